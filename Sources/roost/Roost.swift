import ArgumentParser
import RoostAPI

/// The command `roost`.
struct Roost: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roost",
        abstract: "Manage the virtual machines of a Roost host.",
        discussion: """
            roost talks to roostd, the daemon that owns the host's virtual machines, through the socket in its run \
            directory. Commands are a noun and a verb; every one has --help with an example and the name of the Hyper-V \
            cmdlet that does the same. roost --version tells the release.

            Example:
              roost vm create web --image debian-12.qcow2 --start
              roost vm console web
            """,
        subcommands: [
            HostCommand.self, VMCommand.self, CheckpointCommand.self, DiskCommand.self, NICCommand.self,
            SwitchCommand.self, FirmwareCommand.self, FileCommand.self, EventsCommand.self, JobCommand.self,
            CompletionCommand.self,
        ]
    )

    /// Roost's release.
    static let version = roostVersion

    @OptionGroup var global: GlobalOptions

    /// What `roost --version` prints.
    ///
    /// ArgumentParser's own flag would be one of every command, and `vm create` has a `--version` with another meaning.
    static func versionText(for arguments: [String]) -> String? {
        arguments == ["--version"] ? "roost \(version)\n" : nil
    }
}

@main
enum Main {
    static func main() async {
        do {
            if let text = Roost.versionText(for: Array(CommandLine.arguments.dropFirst())) {
                return try FileDescriptor.standardOutput.write(text)
            }
            var command = try await Roost.asyncParseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            Roost.exit(after: error, OutputFormat(askedForBy: CommandLine.arguments))
        }
    }
}
