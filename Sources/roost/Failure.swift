import ArgumentParser
import RoostAPI

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// What is left to print and the exit code after a command ended with an error.
struct Ending: Equatable {
    var code: Int32
    var standardOutput = ""
    var standardError = ""
}

extension Roost {
    /// The exit code after an interrupt, as shells have it: 128 and the number of SIGINT.
    static let interrupted: Int32 = 130

    /// The exit code when the reader of the output has gone: 128 and the number of SIGPIPE.
    static let brokenPipe: Int32 = 141

    /// Turns what a command threw into messages and an exit code.
    ///
    /// A request for help or the version is not a failure. Usage errors are exit code 2, as APIError's
    /// `invalidArgument` is.
    ///
    /// - Parameter arguments: the command line, for a hint at what is wrong with it.
    static func ending(
        after error: any Error,
        _ output: OutputFormat = .table,
        arguments: [String] = []
    ) -> Ending {
        switch error {
        case let error as APIError:
            return Ending(code: error.code.exitCode, standardError: failureLine(error, output))
        case let error as ExitCode:
            return Ending(code: error.rawValue)
        case is BrokenPipe:
            return Ending(code: brokenPipe)
        default:
            let text = fullMessage(for: error) + "\n"
            let code = exitCode(for: error)
            guard code != .success else { return Ending(code: 0, standardOutput: text) }
            let kind: APIError.Code = code == .validationFailure ? .invalidArgument : .internal
            let hint = kind == .invalidArgument ? usageHint(arguments) : nil
            guard output == .json else {
                return Ending(code: kind.exitCode, standardError: (hint.map { "\($0)\n" } ?? "") + text)
            }
            let parsers = message(for: error)
            let failure = APIError(kind, hint ?? parsers, cause: hint == nil ? nil : parsers)
            return ending(after: failure, output)
        }
    }

    /// One line about a failure.
    private static func failureLine(_ error: APIError, _ output: OutputFormat) -> String {
        // Encoding two strings and a word cannot fail; the message is still there as text if it did.
        if output == .json, let line = try? JSONText.line(error) { return String(decoding: line, as: UTF8.self) }
        return "roost: \(printable(error.description))\n"
    }

    static func exit(after error: any Error, _ output: OutputFormat) -> Never {
        let ending = ending(after: error, output, arguments: Array(CommandLine.arguments.dropFirst()))
        try? FileDescriptor.standardOutput.write(ending.standardOutput)
        try? FileDescriptor.standardError.write(ending.standardError)
        #if canImport(Glibc)
            Glibc.exit(ending.code)
        #elseif canImport(Musl)
            Musl.exit(ending.code)
        #else
            Darwin.exit(ending.code)
        #endif
    }
}
