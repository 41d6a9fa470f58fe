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

    /// Runs an operation once all earlier ones have ended, where its caller runs; an operation must not wait for another.
    package func run<Result: Sendable>(
        isolation: isolated (any Actor)? = #isolation,
        _ operation: () async throws -> Result
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
///
/// A cancelled task's work is done all the same: cleaning up after a cancellation goes through here too.
package func onDisk<Success: Sendable>(_ body: @escaping @Sendable () throws -> Success) async throws -> Success {
    try await withCheckedThrowingContinuation { continuation in
        NIOThreadPool.singleton.submit { state in
            switch state {
            case .active: continuation.resume(with: Result(catching: body))
            // Only a pool that is shut down says so, and the singleton never is.
            case .cancelled: continuation.resume(throwing: CancellationError())
            }
        }
    }
}
