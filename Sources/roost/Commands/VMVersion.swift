import ArgumentParser
import RoostAPI
import RoostClient
import RoostPrimitives
import VMConfiguration

struct VMUpdateVersion: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update-version",
        abstract: "Upgrade the configuration version of virtual machines, one way.",
        discussion: help(
            """
            A newer version brings features and newer virtual hardware; hosts that do not know it run the machine no more, \
            and there is no way back. The machine must be off. The old file stays sealed beside the new one: see \
            "roost vm version-history". On a terminal the command asks first; scripts say --yes.

            --dry-run changes nothing and shows what would be changed, or what is in the way.
            """,
            cmdlet: "Update-VMVersion (once Update-VmConfigurationVersion)",
            example: """
                roost vm update-version web
                roost vm update-version web db --version 7.1 --yes
                roost vm update-version --all --dry-run
                """
        )
    )

    @Argument(help: "Names or GUIDs of virtual machines.", completion: .virtualMachines)
    var names: [String] = []

    @Flag(help: "All machines of an older version.")
    var all = false

    @Option(
        name: .customLong("version"),
        help: ArgumentHelp("The version to upgrade to, as in 8.0. (default: the host's)", valueName: "version")
    )
    var configurationVersion: String?

    @Flag(help: "Change nothing; show what would be changed, or what is in the way.")
    var dryRun = false

    @Flag(help: "Do not ask.")
    var yes = false

    @OptionGroup var global: GlobalOptions

    func validate() throws {
        if all, !names.isEmpty {
            throw ValidationError("--all takes no names: it means every machine of an older version.")
        }
        if !all, names.isEmpty { throw ValidationError("Name the machines to upgrade, or say --all.") }
    }

    func run() async throws {
        let client = global.client
        let names = all ? try await older(client) : names
        if names.isEmpty {
            return try global.show([VersionUpdate]()) { _, _ in "There is nothing to upgrade.\n" }
        }
        if !dryRun { try confirm(names) }
        let request = UpdateVersionRequest(version: configurationVersion, dryRun: dryRun ? true : nil)
        var updates: [VersionUpdate] = []
        var firstFailure: Int32 = 0
        for name in names {
            do {
                updates.append(try await client.updateVersion(of: name, request))
            } catch {
                let ending = Roost.ending(after: error, global.output)
                if firstFailure == 0 { firstFailure = ending.code }
                try FileDescriptor.standardError.write(ending.standardError)
            }
        }
        try global.show(updates) { updates, width in
            dryRun && updates.count > 1
                ? Render.versionUpdates(updates).text(width: width) : updates.map(Render.versionUpdate).joined()
        }
        if firstFailure != 0 { throw ExitCode(firstFailure) }
    }

    /// The machines whose version is older than the one asked for, or cannot be read.
    private func older(_ client: RoostClient) async throws -> [String] {
        let target =
            if let configurationVersion { configurationVersion } else { try await client.host().defaultVersion }
        let wanted = ConfigurationVersion(target)
        return try await client.virtualMachines().filter { machine in
            // A version that means nothing is refused by name.
            guard let wanted, let version = machine.version.flatMap(ConfigurationVersion.init) else { return true }
            return version < wanted
        }.map(\.id.uppercased)
    }

    private func confirm(_ names: [String]) throws {
        guard !yes, !names.isEmpty else { return }
        guard FileDescriptor.standardInput.isTerminal else {
            throw APIError(.invalidArgument, "nothing was upgraded: without a terminal to ask on, give --yes")
        }
        let what = names.count == 1 ? printable(names[0]) : "\(names.count) virtual machines"
        try FileDescriptor.standardError.write("Upgrade \(what)? There is no way back. [y/N] ")
        guard ["y", "yes"].contains((readLine() ?? "").lowercased()) else {
            throw APIError(.cancelled, "nothing was upgraded")
        }
    }
}

struct VMVersionHistory: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version-history",
        abstract: "List the configuration versions that a virtual machine had and has.",
        discussion: help(
            "The file of an earlier version is sealed: Roost keeps it and never changes it. It is listed for a broken machine too.",
            cmdlet: "Get-VM | Select-Object Version",
            example: "roost vm version-history web"
        )
    )

    @Argument(help: "The machine's name or GUID.", completion: .virtualMachines)
    var name: String

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        try global.show(await global.client.versionHistory(of: name)) {
            Render.versionHistory($0).text(width: $1)
        }
    }
}

struct HostVersions: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "versions",
        abstract: "List the configuration versions, which of them this host runs, and what each brings.",
        discussion: help(cmdlet: "Get-VMHostSupportedVersion", example: "roost host versions")
    )

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        try global.show(await global.client.versions()) { Render.versions($0).text(width: $1) }
    }
}
