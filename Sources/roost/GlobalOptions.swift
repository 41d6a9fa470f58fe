import ArgumentParser
import RoostClient

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// How a command shows what it found.
enum OutputFormat: String, CaseIterable, ExpressibleByArgument {
    /// Aligned text for people; its form may change.
    case table
    /// The API's own types, for scripts; its form stays.
    case json
}

/// The options that every command takes.
struct GlobalOptions: ParsableArguments {
    @Option(
        name: .customLong("run-dir"),
        help: "The run directory of roostd (default: $ROOST_RUN_DIR, else /run/roost).",
        completion: .directory
    )
    var runDirectory: String?

    @Option(help: "How to show results: table, or json for scripts.")
    var output: OutputFormat = .table

    /// The run directory when neither the option nor the environment names one.
    static let defaultRunDirectory = "/run/roost"

    /// The path of roostd's socket.
    var socketPath: String {
        let fromEnvironment = getenv("ROOST_RUN_DIR").map { String(cString: $0) } ?? ""
        return Self.socketPath(option: runDirectory, environment: fromEnvironment)
    }

    static func socketPath(option: String?, environment: String) -> String {
        let directory = option ?? (environment.isEmpty ? defaultRunDirectory : environment)
        return directory.hasSuffix("/") ? "\(directory)roost.sock" : "\(directory)/roost.sock"
    }

    var client: RoostClient { RoostClient(socketPath: socketPath) }

    /// Prints a value: in JSON as it is, else as `render` makes it for a terminal of a width, or nil for no terminal.
    func show<Value: Encodable>(_ value: Value, _ render: (Value, Int?) -> String) throws {
        switch output {
        case .json: try FileDescriptor.standardOutput.write(JSONText.pretty(value))
        case .table: try FileDescriptor.standardOutput.write(render(value, FileDescriptor.standardOutput.terminalWidth))
        }
    }

    /// Prints a value in JSON, or else a sentence.
    func show(_ value: some Encodable, sentence: String) throws {
        try show(value) { _, _ in printable(sentence) + "\n" }
    }

    /// Prints a sentence where people read; the API has no value to print.
    func show(sentence: String) throws {
        guard output == .table else { return }
        try FileDescriptor.standardOutput.write(printable(sentence) + "\n")
    }
}
