import ArgumentParser
import RoostAPI
import RoostClient

struct SwitchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "switch",
        abstract: "Manage virtual switches.",
        discussion: help(example: "roost switch create lan --type External --bridge br0\nroost switch list"),
        subcommands: [SwitchCreate.self, SwitchList.self, SwitchRemove.self]
    )
}

struct SwitchCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Create a virtual switch.",
        discussion: help(
            """
            Private: guests see each other only. Internal: guests and the host see each other. External: guests are on \
            the host's network, through an existing bridge or a network interface of the host.
            """,
            cmdlet: "New-VMSwitch",
            example: "roost switch create lab --type Private\nroost switch create lan --type External --bridge br0"
        )
    )

    @Argument(help: "The new switch's name.")
    var name: String

    @Option(
        help: "Private, Internal or External.",
        completion: .list(["Private", "Internal", "External"]),
        transform: Value.choice(SwitchType.self)
    )
    var type: SwitchType

    @Option(help: "For an external switch: an existing bridge to use as it is.")
    var bridge: String?

    @Option(help: "For an external switch: an interface that becomes a port of a new bridge.")
    var interface: String?

    @OptionGroup var global: GlobalOptions

    func validate() throws {
        let ports = [bridge, interface].compactMap { $0 }.count
        if type == .external, ports != 1 {
            throw ValidationError("An external switch needs one of --bridge and --interface.")
        }
        if type != .external, ports != 0 {
            throw ValidationError("--bridge and --interface are for external switches.")
        }
    }

    func run() async throws {
        let request = CreateSwitchRequest(name: name, type: type, bridge: bridge, interface: interface)
        let created = try await global.client.createSwitch(request)
        try global.show(created, sentence: "\(created.name): created")
    }
}

struct SwitchList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the virtual switches.",
        discussion: help(cmdlet: "Get-VMSwitch", example: "roost switch list")
    )

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        try global.show(await global.client.switches()) { Render.switches($0).text(width: $1) }
    }
}

struct SwitchRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Remove a virtual switch.",
        discussion: help(cmdlet: "Remove-VMSwitch", example: "roost switch remove lab")
    )

    @Argument(help: "The switch's name.", completion: .switches)
    var name: String

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        try await global.client.removeSwitch(name)
        try global.show(["name": name], sentence: "\(name): removed")
    }
}
