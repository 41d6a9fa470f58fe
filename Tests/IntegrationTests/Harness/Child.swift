import Foundation

/// How a process ended.
enum Exit: Sendable, Hashable {
    case exited(Int32)
    case signalled(Int32)
}

/// A process that the tests started.
final class Child: Sendable {
    let processID: Int32
    private let ended: Task<Exit, Never>
    private let process: Process

    /// Starts a program; both its outputs go to `output`, or its errors to `errors`.
    init(
        _ path: String,
        _ arguments: [String],
        environment: [String: String] = [:],
        output: FileHandle,
        errors: FileHandle? = nil,
        input: FileHandle? = nil
    ) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardOutput = output
        process.standardError = errors ?? output
        process.standardInput = input ?? FileHandle.nullDevice
        let (ends, continuation) = AsyncStream.makeStream(of: Exit.self)
        process.terminationHandler = { process in
            let status = process.terminationStatus
            continuation.yield(process.terminationReason == .exit ? .exited(status) : .signalled(status))
            continuation.finish()
        }
        try process.run()
        self.process = process
        processID = process.processIdentifier
        ended = Task {
            for await exit in ends { return exit }
            return .exited(-1)
        }
    }

    var isRunning: Bool { process.isRunning }

    func signal(_ number: Int32) { kill(processID, number) }

    /// Waits for the end.
    func exit() async -> Exit { await ended.value }
}

/// What a program printed and how it ended.
struct CommandResult: Sendable, CustomStringConvertible {
    var exit: Exit
    var output: Data
    var errors: String

    var text: String { String(decoding: output, as: UTF8.self) }
    var status: Int32 { if case .exited(let status) = exit { status } else { -1 } }
    var description: String { "\(exit), output: \(text), errors: \(errors)" }
}

/// Runs a program to its end; a program that takes more than `seconds` is killed.
@discardableResult
func run(
    _ path: String,
    _ arguments: [String],
    environment: [String: String] = [:],
    input: String = "",
    seconds: Double = 60
) async throws -> CommandResult {
    let folder = Laboratory.unusedPath("\(NSTemporaryDirectory())/roost-command-")
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try Data(input.utf8).write(to: URL(fileURLWithPath: "\(folder)/input"))
    for name in ["output", "errors"] { try Files.write("", "\(folder)/\(name)") }
    let handles = try ["output", "errors"].map { try FileHandle(forWritingTo: URL(fileURLWithPath: "\(folder)/\($0)")) }
    let stdin = try FileHandle(forReadingFrom: URL(fileURLWithPath: "\(folder)/input"))
    defer { for handle in handles + [stdin] { try? handle.close() } }
    let child = try Child(
        path,
        arguments,
        environment: environment,
        output: handles[0],
        errors: handles[1],
        input: stdin
    )
    let killer = Task {
        try await Task.sleep(for: .seconds(seconds))
        child.signal(SIGKILL)
    }
    let exit = await child.exit()
    killer.cancel()
    return CommandResult(
        exit: exit,
        output: try Data(contentsOf: URL(fileURLWithPath: "\(folder)/output")),
        errors: try String(contentsOfFile: "\(folder)/errors", encoding: .utf8)
    )
}

/// Runs a program found on the `PATH`, which must succeed; returns what it printed.
@discardableResult
func tool(_ name: String, _ arguments: String..., seconds: Double = 60) async throws -> String {
    let result = try await run("/usr/bin/env", [name] + arguments, seconds: seconds)
    guard result.exit == .exited(0) else { throw Failure("\(name) \(arguments.joined(separator: " ")): \(result)") }
    return result.text
}
