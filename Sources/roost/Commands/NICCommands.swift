import ArgumentParser
import RoostAPI
import RoostClient

struct NICCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nic",
        abstract: "Show the network adapters of virtual machines.",
        discussion: help(example: "roost nic list"),
        subcommands: [NICList.self]
    )
}

struct NICList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List network adapters with their switches and addresses.",
        discussion: help(
            "Addresses are those that the guest agent reports.",
            cmdlet: "Get-VMNetworkAdapter",
            example: "roost nic list\nroost nic list web"
        )
    )

    @Argument(help: "A machine's name or GUID.", completion: .virtualMachines)
    var machine: String?

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        try global.show(await global.client.networkAdapters(of: machine)) { Render.adapters($0).text(width: $1) }
    }
}
