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
    static func ending(after error: any Error) -> Ending {
        switch error {
        case let error as APIError:
            return Ending(code: error.code.exitCode, standardError: failureLine(error))
        case let error as ExitCode:
            return Ending(code: error.rawValue)
        case is BrokenPipe:
            return Ending(code: brokenPipe)
        default:
            let text = fullMessage(for: error) + "\n"
            switch exitCode(for: error) {
            case .success: return Ending(code: 0, standardOutput: text)
            case .validationFailure: return Ending(code: 2, standardError: text)
            default: return Ending(code: 1, standardError: text)
            }
        }
    }

    /// One line about a failure.
    static func failureLine(_ error: APIError) -> String {
        "roost: \(printable(error.description))\n"
    }

    static func exit(after error: any Error) -> Never {
        let ending = ending(after: error)
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
