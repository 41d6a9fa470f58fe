import ArgumentParser
import RoostAPI
import RoostClient

struct HostCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "host",
        abstract: "Show what this host is and can do.",
        discussion: help(cmdlet: "Get-VMHost", example: "roost host show"),
        subcommands: [HostShow.self]
    )
}

struct HostShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show the host: QEMU, accelerator, versions, memory, directories, warnings.",
        discussion: help(cmdlet: "Get-VMHost", example: "roost host show"),
    )

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        try global.show(await global.client.host()) { host, width in Render.host(host).text(width: width) }
    }
}
