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

    /// The format that the words of a command line ask for; they may be no command in any other respect.
    init(askedForBy words: [String]) {
        self = .table
        let words = words.prefix { $0 != "--" }
        for (index, word) in words.enumerated() {
            let next = index + 1 < words.count ? words[index + 1] : ""
            let value = word == "--output" ? next : word.hasPrefix("--output=") ? String(word.dropFirst(9)) : ""
            if let format = OutputFormat(rawValue: value) { self = format }
        }
    }
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

    /// How jobs that are waited for get on, on standard error.
    var progress: ProgressDisplay { ProgressDisplay(output) }

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
}
