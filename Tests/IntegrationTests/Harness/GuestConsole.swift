import Foundation
import RoostAPI
import RoostClient
import Synchronization

/// The serial console of a running guest: what it wrote, and its root shell.
///
/// One test at a time waits on a console. It ends with the guest's QEMU and with roostd.
final class GuestConsole: Sendable {
    private let client: RoostClient
    private let vm: String
    private let changes = Changes()
    private let typing: AsyncStream<[UInt8]>.Continuation
    private let connection: Task<Void, Never>
    private let commands = Mutex(0)

    /// Connects to a machine that runs.
    init(_ client: RoostClient, _ vm: String) async throws {
        self.client = client
        self.vm = vm
        let changes = changes
        let (input, typing) = AsyncStream.makeStream(of: [UInt8].self)
        self.typing = typing
        let (connected, connectedContinuation) = AsyncStream.makeStream(of: (any Error)?.self)
        connection = Task {
            do {
                try await client.console(vm, input: input) {
                    connectedContinuation.yield(nil)
                } output: { _ in
                    changes.note()
                }
            } catch {
                connectedContinuation.yield(error)
            }
            changes.end()
        }
        for await error in connected {
            if let error { throw error }
            break
        }
    }

    deinit { connection.cancel() }

    /// What the guest has written since roostd connected to it.
    func text() async throws -> String { String(decoding: try await client.consoleLog(vm), as: UTF8.self) }

    /// Waits until the guest has written something `count` times; returns everything that it wrote.
    @discardableResult
    func wait(for wanted: String, count: Int = 1, within seconds: Double = 60) async throws -> String {
        do {
            return try await within(seconds, "\"\(wanted)\" on the console of \(self.vm)") {
                while true {
                    let seen = self.changes.count
                    let text = try await self.text()
                    if text.components(separatedBy: wanted).count > count { return text }
                    guard await self.changes.wait(after: seen) else {
                        throw Failure("the console of \(self.vm) ended before \"\(wanted)\" came")
                    }
                }
            }
        } catch {
            throw Failure("\(error); the console says:\n\((try? await text().suffix(3000)) ?? "nothing")")
        }
    }

    /// Waits until the guest is up.
    @discardableResult
    func waitUntilReady(count: Int = 1, within seconds: Double = 120) async throws -> String {
        try await wait(for: "ROOST-GUEST ready", count: count, within: seconds)
    }

    func type(_ text: String) { typing.yield(Array(text.utf8)) }

    /// Runs a command in the guest's shell and returns what it printed.
    @discardableResult
    func shell(_ command: String, within seconds: Double = 30) async throws -> String {
        let number = commands.withLock {
            $0 += 1; return $0
        }
        let token = "\(number)-\(UInt16.random(in: 0...9999))"
        // The quotes keep the echo of what is typed from looking like what is printed.
        type("echo be''gin-\(token); \(command); echo e''nd-\(token)\n")
        let text = try await wait(for: "end-\(token)", within: seconds)
        guard let begin = text.range(of: "begin-\(token)"),
            let end = text.range(of: "end-\(token)", range: begin.upperBound..<text.endIndex)
        else { throw Failure("the answer to \(command) cannot be read: \(text.suffix(1000))") }
        return text[begin.upperBound..<end.lowerBound].trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Seconds that the guest's kernel has been running.
    func uptime() async throws -> Double {
        let text = try await shell("cat /proc/uptime")
        guard let seconds = text.split(separator: " ").first.flatMap({ Double($0) }) else {
            throw Failure("no uptime in \"\(text)\"")
        }
        return seconds
    }
}

/// Counts changes and lets one task wait for the next.
private final class Changes: Sendable {
    private struct State {
        var count = 0
        var hasEnded = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    var count: Int { state.withLock { $0.count } }

    func note() { change { $0.count += 1 } }
    func end() { change { $0.hasEnded = true } }

    /// Waits until there have been more changes than `count`; returns false when there will be none, or the task is
    /// cancelled.
    func wait(after count: Int) async -> Bool {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let mustWait = state.withLock { state in
                    if state.count > count || state.hasEnded || Task.isCancelled { return false }
                    state.waiter = continuation
                    return true
                }
                if !mustWait { continuation.resume() }
            }
        } onCancel: {
            change { _ in }
        }
        return state.withLock { $0.count > count } && !Task.isCancelled
    }

    private func change(_ apply: (inout State) -> Void) {
        let waiter = state.withLock { state in
            apply(&state)
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }
}

extension Roostd {
    nonisolated func console(_ vm: String) async throws -> GuestConsole { try await GuestConsole(client, vm) }

    /// Starts a machine and waits until its guest is up.
    nonisolated func boot(_ vm: String) async throws -> GuestConsole {
        try await start(vm)
        let console = try await console(vm)
        try await console.waitUntilReady()
        return console
    }

    /// Waits until the guest agent has reported itself to roostd.
    nonisolated func waitForAgent(_ vm: String) async throws {
        try await eventually("the agent of \(vm) is connected", within: 30) {
            try await client.virtualMachine(vm).runtime?.guestAgentConnected == true
        }
    }
}
