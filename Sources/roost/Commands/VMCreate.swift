import ArgumentParser
import RoostAPI
import RoostClient
import RoostPrimitives

struct VMCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Create a virtual machine.",
        discussion: help(
            """
            With --image the machine gets a disk of its own, made from the file, which is left alone; with --disk the \
            file itself is attached where it lies; with --disk-size alone the disk is new and empty.

            Ctrl-C while the machine is being made cancels it: nothing half made stays.
            """,
            cmdlet: "New-VM",
            example: """
                roost vm create web --image debian-12.qcow2 --memory 2GiB
                roost vm create web --disk web.qcow2 --switch "Default Switch"
                roost vm create lab --generation 1 --disk-size 20GiB --start
                """
        )
    )

    @Argument(help: "The new machine's name.")
    var name: String

    @Option(help: "1 (BIOS) or 2 (UEFI). (default: 2)", transform: Value.number(1...2))
    var generation: Int?

    @Option(help: "The memory, as in 512MiB or 2GiB. (default: 1GiB)", transform: Value.memoryMiB)
    var memory: UInt64?

    @Option(help: "The number of virtual processors. (default: 1)", transform: Value.number(1...65_535))
    var processors: Int?

    @Option(help: "Make the machine's own first disk from this image.", completion: .file())
    var image: String?

    @Option(help: "Attach this disk where it lies.", completion: .file())
    var disk: String?

    @Option(
        help: "With --disk: qcow2, raw or vhdx. (default: what the file looks like)",
        completion: .list(["qcow2", "raw", "vhdx"])
    )
    var diskFormat: String?

    @Option(
        help: "The size of a new first disk, as in 10GiB; with --image, the size it is grown to.",
        transform: Value.sizeBytes
    )
    var diskSize: UInt64?

    @Option(name: .customLong("switch"), help: "Connect a network adapter to this switch.", completion: .switches)
    var switchName: String?

    @Option(
        help: "A Secure Boot template, or off. (default: MicrosoftWindows, for generation 2)",
        completion: .secureBoot
    )
    var secureBoot: String?

    @Option(
        name: .customLong("version"),
        help: ArgumentHelp("The configuration version, as in 8.0. (default: the host's)", valueName: "version")
    )
    var configurationVersion: String?

    @Option(help: "A cloud-init user-data file, handed to the guest at its first start.", completion: .file())
    var cloudInit: String?

    @Option(help: "Notes about the machine.")
    var notes: String?

    @Flag(help: "Start the machine once it is made.")
    var start = false

    @OptionGroup var jobs: JobOptions
    @OptionGroup var global: GlobalOptions

    func validate() throws {
        if disk != nil, image != nil {
            throw ValidationError("--image and --disk exclude each other: a machine's first disk is made, or attached.")
        }
        if disk == nil, diskFormat != nil {
            throw ValidationError("--disk-format is for a disk that --disk attaches.")
        }
        if disk != nil, diskSize != nil {
            throw ValidationError("--disk-size is for a new disk; \"roost disk resize\" changes one that exists.")
        }
        if start, jobs.noWait {
            throw ValidationError("--start waits for the machine to be made, so --no-wait cannot be given with it.")
        }
    }

    /// What roostd is asked for; reads the cloud-init file.
    func request() throws -> CreateVirtualMachineRequest {
        var request = CreateVirtualMachineRequest(name: name)
        request.generation = generation
        request.version = configurationVersion
        request.memoryMiB = memory
        request.processors = processors
        request.image = image.map { Files.absolute($0) }
        request.disk = disk.map { Files.absolute($0) }
        request.diskFormat = diskFormat
        request.diskSizeBytes = diskSize
        request.switchName = switchName
        request.secureBoot = secureBoot
        request.cloudInitUserData = try cloudInit.map { try Files.text($0, what: "cloud-init file") }
        request.notes = notes
        return request
    }

    func run() async throws {
        let request = try request()
        let waits = !jobs.noWait
        let create = JobRunner(global.client, waits: waits, interrupt: .cancels, progress: global.progress)
        let created = try await create.run { try await $0.createVirtualMachine(request, waitSeconds: $1) }
        let sentence = "\(name): created" + (created.result.map { " (\($0))" } ?? "")
        guard start else { return try global.show(created, sentence: waits ? sentence : String(created.id)) }
        // People see at once that the machine is made; a program gets one value, whatever becomes of the start.
        if global.output == .table { try global.show(created, sentence: sentence) }
        let started: Job
        do {
            started = try await startMachine(created)
        } catch {
            if global.output == .json { try global.show(Creation(created: created), sentence: "") }
            throw error
        }
        try global.show(Creation(created: created, started: started), sentence: "\(started.subject): started")
    }

    private func startMachine(_ created: Job) async throws -> Job {
        let machine = created.virtualMachine?.uppercased ?? name
        return try await JobRunner(global.client, progress: global.progress).run {
            try await $0.startVirtualMachine(machine, waitSeconds: $1)
        }
    }

    /// The job that made a machine, with the one that started it as its `start`.
    struct Creation: Encodable {
        var created: Job
        var started: Job?

        private enum CodingKeys: String, CodingKey {
            case started = "start"
        }

        func encode(to encoder: any Encoder) throws {
            try created.encode(to: encoder)
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encodeIfPresent(started, forKey: .started)
        }
    }
}
