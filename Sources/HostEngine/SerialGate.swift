import NIOPosix
import Synchronization

/// Lets one operation at a time pass, in the order in which they came.
package final class SerialGate: Sendable {
    private struct State {
        var isTaken = false
        var queue: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    package init() {}

    /// Runs an operation once all earlier ones have ended.
    package func run<Result: Sendable>(
        _ operation: @Sendable () async throws -> Result
    ) async rethrows -> Result {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                if !state.isTaken {
                    state.isTaken = true
                    return true
                }
                state.queue.append(continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
        defer {
            let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
                if state.queue.isEmpty {
                    state.isTaken = false
                    return nil
                }
                return state.queue.removeFirst()
            }
            next?.resume()
        }
        return try await operation()
    }
}

/// Runs what blocks on the disk on a thread that may, so that no task's thread waits.
package func onDisk<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await NIOThreadPool.singleton.runIfActive(body)
}
