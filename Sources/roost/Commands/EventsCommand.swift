import ArgumentParser
import RoostAPI
import RoostClient

struct EventsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events",
        abstract: "Follow what happens on the host, until Ctrl-C.",
        discussion: help(
            """
            One line for an event; with --output json, one JSON object a line. A gap in the numbers means that events \
            were lost.
            """,
            cmdlet: "Register-CimIndicationEvent on Msvm_ComputerSystem",
            example: "roost events\nroost events --since 0 --output json"
        )
    )

    @Option(help: "Begin after the event of this number, as far as roostd keeps events. (default: only new ones)")
    var since: UInt64?

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let events = global.client.events(since: since)
        let asJSON = global.output == .json
        let width = FileDescriptor.standardOutput.terminalWidth
        try await Signals.interrupting {
            for try await event in events {
                if asJSON {
                    try FileDescriptor.standardOutput.write(JSONText.line(event))
                } else {
                    try FileDescriptor.standardOutput.write(Render.event(event, width: width))
                }
            }
            guard !Task.isCancelled else { return }
            throw APIError(.unavailable, "roostd has ended the stream of events: is it stopping?")
        }
    }
}
