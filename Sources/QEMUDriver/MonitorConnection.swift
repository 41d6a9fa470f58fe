package import NIOCore
package import QMP
import Synchronization

/// A connection to the monitor of a running QEMU.
///
/// Commands may be executed from any task; events come in order through ``events``, which ends when the connection does.
package final class MonitorConnection: Sendable {
    // Changed on the channel's event loop, but for the wait for the greeting.
    private struct State {
        var session: QMPSession
        var channel: (any Channel)?
        var greetingWaiter: CheckedContinuation<QMPGreeting, any Error>?
        var greeting: Result<QMPGreeting, QMPError>?
    }

    private let state: Mutex<State>
    private let replies = PendingReplies<QMPSession.RequestID>()
    private let eventContinuation: AsyncStream<QMPEvent>.Continuation
    /// What happens in QEMU, in order; for one consumer.
    package let events: AsyncStream<QMPEvent>

    private init() {
        var options = QMPSession.Options()
        options.firstRequestID = UInt64.random(in: 1...(1 << 40))
        state = Mutex(State(session: QMPSession(options: options)))
        (events, eventContinuation) = AsyncStream.makeStream(of: QMPEvent.self)
    }

    /// Connects, waits for the greeting and negotiates.
    ///
    /// - Throws: `EngineError` `.notFound` when nobody listens, `.timeout` when no greeting comes in time,
    ///   `.failed` when QEMU ends before or speaks something else.
    package static func connect(
        path: String,
        group: any EventLoopGroup,
        deadline: Duration
    ) async throws -> (connection: MonitorConnection, greeting: QMPGreeting) {
        let connection = MonitorConnection()
        let channel = try await connectSocket(path: path, group: group) { channel in
            connection.state.withLock { $0.channel = channel }
        } onBytes: { bytes in
            connection.received(bytes)
        } onClose: {
            connection.closed()
        }
        let timeout = channel.eventLoop.scheduleTask(in: TimeAmount(deadline)) {
            connection.failGreeting(QMPError(.timedOut, "no greeting within \(deadline)"))
        }
        defer { timeout.cancel() }
        do {
            let greeting = try await withCheckedThrowingContinuation { continuation in
                let known = connection.state.withLock { state in
                    if state.greeting == nil { state.greetingWaiter = continuation }
                    return state.greeting
                }
                if let known { continuation.resume(with: known) }
            }
            return (connection, greeting)
        } catch {
            connection.close()
            let isTimeout = (error as? QMPError)?.code == .timedOut
            throw EngineError(
                isTimeout ? .timeout : .failed,
                "QEMU's monitor at \(path) did not come up",
                cause: "\(error)"
            )
        }
    }

    /// Executes a command and waits for the answer.
    ///
    /// - Throws: `QMPError`: `.refused` with QEMU's class and words, `.timedOut`, `.closed`.
    package func execute<Command: QMPCommand>(
        _ command: Command,
        deadline: Duration = .seconds(30)
    ) async throws -> Command.Response {
        guard let channel = state.withLock({ $0.channel }) else {
            throw QMPError(.closed, "the monitor is not connected", command: Command.name)
        }
        let value = try await replies.answer(on: channel, within: deadline) { () throws(QMPError) in
            let request = try self.state.withLock { (state) throws(QMPError) in try state.session.execute(command) }
            return .init(id: request.id) {
                // A write that fails closes the channel, which fails what waits.
                channel.writeAndFlush(ByteBuffer(bytes: request.bytes)).whenFailure { _ in channel.close(promise: nil) }
            }
        } abandon: { id in
            self.perform(self.state.withLock { $0.session.abandon(id) })
        }
        return try Command.response(from: value)
    }

    /// Closes the connection; QEMU goes on.
    package func close() {
        let channel = state.withLock { $0.channel }
        channel?.close(promise: nil)
    }

    private func received(_ bytes: [UInt8]) {
        perform(state.withLock { $0.session.receive(bytes) })
    }

    private func closed() {
        perform(state.withLock { $0.session.close() })
        failGreeting(QMPError(.closed, "QEMU closed the connection"))
        eventContinuation.finish()
    }

    private func failGreeting(_ error: QMPError) { settleGreeting(.failure(error)) }

    private func settleGreeting(_ result: Result<QMPGreeting, QMPError>) {
        let waiter = state.withLock { state in
            if state.greeting == nil { state.greeting = result }
            defer { state.greetingWaiter = nil }
            return state.greetingWaiter
        }
        waiter?.resume(with: result)
    }

    private func perform(_ actions: [QMPSession.Action]) {
        for action in actions {
            switch action {
            case .send(let bytes):
                state.withLock { $0.channel }?.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
            case .ready(let greeting):
                settleGreeting(.success(greeting))
            case .completed(let id, let result):
                replies.complete(id, with: result)
            case .event(let event):
                eventContinuation.yield(event)
            case .ignoredReply:
                break
            case .failed(let error):
                failGreeting(error)
                close()
            }
        }
    }
}
