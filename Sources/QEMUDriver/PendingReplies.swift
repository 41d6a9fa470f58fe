import NIOCore
import QMP
import Synchronization

/// Who waits for the answer to which request of a connection.
///
/// Each answer comes once: from ``complete(_:with:)``, which the connection calls for every request that its session
/// reports as completed. That includes those that are abandoned at their deadline or at the connection's end.
final class PendingReplies<RequestID: Hashable & Sendable>: Sendable {
    private struct Waiter {
        var continuation: CheckedContinuation<JSONValue, any Error>
        var timeout: Scheduled<Void>
    }

    /// A request that the session has taken, and what sends it.
    struct Request {
        var id: RequestID
        var send: () -> Void
    }

    private let waiters = Mutex<[RequestID: Waiter]>([:])

    /// Makes a request on the channel's event loop, sends it and waits for the answer.
    ///
    /// - Parameters:
    ///   - begin: Hands the command to the session; what it throws is the answer.
    ///   - abandon: Tells the session that nobody waits any longer; called when the deadline has passed.
    func answer(
        on channel: any Channel,
        within deadline: Duration,
        begin: @escaping @Sendable () throws(QMPError) -> Request,
        abandon: @escaping @Sendable (RequestID) -> Void
    ) async throws -> JSONValue {
        try await withCheckedThrowingContinuation { continuation in
            channel.eventLoop.execute {
                do throws(QMPError) {
                    let request = try begin()
                    let id = request.id
                    let timeout = channel.eventLoop.scheduleTask(in: TimeAmount(deadline)) { abandon(id) }
                    self.waiters.withLock { $0[id] = Waiter(continuation: continuation, timeout: timeout) }
                    request.send()
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    }

    /// Hands an answer to whoever waits for it.
    func complete(_ id: RequestID, with result: Result<JSONValue, QMPError>) {
        let waiter = waiters.withLock { $0.removeValue(forKey: id) }
        waiter?.timeout.cancel()
        waiter?.continuation.resume(with: result)
    }
}
