import ArgumentParser
import RoostAPI
import RoostClient

struct VMSet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Change a virtual machine's settings.",
        discussion: help(
            "Memory and processors are changed while the machine is off; everything else at any time.",
            cmdlet: "Set-VM",
            example: """
                roost vm set web --memory 4GiB --processors 4
                roost vm set web --start-action Start --start-delay 30
                roost vm set web --checkpoint-every 4h --checkpoint-keep 12
                roost vm set web --integration-service Heartbeat=off
                """
        )
    )

    @Argument(help: "The machine's name or GUID.", completion: .virtualMachines)
    var name: String

    @Option(help: "The memory, as in 512MiB or 2GiB.", transform: Value.memoryMiB)
    var memory: UInt64?

    @Option(help: "The number of virtual processors.", transform: Value.number(1...65_535))
    var processors: Int?

    @Option(help: "Notes about the machine.")
    var notes: String?

    @Option(
        help: "What happens when the host starts: Nothing, StartIfRunning or Start.",
        completion: .list(Value.names(of: AutomaticStartAction.self)),
        transform: Value.choice(AutomaticStartAction.self)
    )
    var startAction: AutomaticStartAction?

    @Option(help: "Seconds to wait before an automatic start, 0 to 86400.", transform: Value.number(0...86_400))
    var startDelay: Int?

    @Option(
        help: "What happens when the host shuts down: TurnOff, Save or ShutDown.",
        completion: .list(Value.names(of: AutomaticStopAction.self)),
        transform: Value.choice(AutomaticStopAction.self)
    )
    var stopAction: AutomaticStopAction?

    @Option(
        help: "The kind of checkpoints: Disabled, Production, ProductionOnly or Standard.",
        completion: .list(Value.names(of: CheckpointType.self)),
        transform: Value.choice(CheckpointType.self)
    )
    var checkpointType: CheckpointType?

    @Option(
        help: ArgumentHelp(
            "Take a checkpoint by itself each time this has passed, as in 90m, 4h or 1d; off ends that.",
            valueName: "time"
        ),
        transform: Value.minutes
    )
    var checkpointEvery: Int?

    @Option(
        help: "How many of these to keep, 1 to 50; older ones are removed. (default: 12)",
        transform: Value.number(1...50)
    )
    var checkpointKeep: Int?

    @Option(
        name: .customLong("integration-service"),
        help: ArgumentHelp(
            "Offer an integration service or not; may be given several times.",
            valueName: "name=on|off"
        ),
        transform: Value.integrationService
    )
    var integrationServices: [IntegrationServiceSwitch] = []

    @OptionGroup var global: GlobalOptions

    /// What roostd is asked for.
    var request: UpdateVirtualMachineRequest {
        var request = UpdateVirtualMachineRequest()
        request.memoryMiB = memory
        request.processors = processors
        request.notes = notes
        request.automaticStartAction = startAction
        request.automaticStartDelaySeconds = startDelay
        request.automaticStopAction = stopAction
        request.checkpointType = checkpointType
        if checkpointEvery != nil || checkpointKeep != nil {
            request.checkpointSchedule = CheckpointScheduleRequest(everyMinutes: checkpointEvery, keep: checkpointKeep)
        }
        if !integrationServices.isEmpty {
            request.integrationServices = Dictionary(integrationServices.map { ($0.name, $0.isOn) }) { $1 }
        }
        return request
    }

    func validate() throws {
        if request == UpdateVirtualMachineRequest() {
            throw ValidationError("Nothing to change: name a setting, as in --memory 2GiB.")
        }
    }

    func run() async throws {
        let detail = try await global.client.updateVirtualMachine(name, request)
        try global.show(detail, sentence: "\(detail.summary.name): changed")
    }
}
