package import NIOCore
package import QMP
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// The channel to the agent inside a guest.
///
/// The guest is not trusted: whatever it sends costs it its own commands and nothing else.
package final class GuestAgentConnection: Sendable {
    // Changed on the channel's event loop alone, so that what is sent leaves in the order in which it was decided.
    private struct State {
        var session: GuestAgentSession
        var channel: (any Channel)?
    }

    private let state: Mutex<State>
    private let replies = PendingReplies<GuestAgentSession.RequestID>()

    private init() {
        state = Mutex(State(session: GuestAgentSession(firstSyncID: UInt32.random(in: 1...UInt32.max / 2))))
    }

    /// Connects to QEMU's end of the channel, which exists whether or not an agent runs in the guest.
    package static func connect(path: String, group: any EventLoopGroup) async throws -> GuestAgentConnection {
        let connection = GuestAgentConnection()
        _ = try await connectSocket(path: path, group: group) { channel in
            connection.state.withLock { $0.channel = channel }
        } onOpen: {
            connection.perform(connection.state.withLock { $0.session.connect() })
        } onBytes: { bytes in
            connection.perform(connection.state.withLock { $0.session.receive(bytes) })
        } onClose: {
            connection.perform(connection.state.withLock { $0.session.disconnect() })
        }
        return connection
    }

    /// Executes a command in the guest and waits for the answer.
    ///
    /// - Throws: `QMPError`: `.refused` with the agent's words, `.timedOut` when nobody answers, `.closed`.
    package func execute<Command: GuestAgentCommand>(
        _ command: Command,
        deadline: Duration = .seconds(5)
    ) async throws -> Command.Response {
        guard let channel = state.withLock({ $0.channel }) else {
            throw QMPError(.closed, "the guest agent's channel is not open", command: Command.name)
        }
        let value = try await replies.answer(on: channel, within: deadline) { () throws(QMPError) in
            let (id, actions) = try self.state.withLock { (state) throws(QMPError) in
                try state.session.execute(command)
            }
            return .init(id: id) { self.perform(actions) }
        } abandon: { id in
            self.perform(self.state.withLock { $0.session.abandon(id) })
        }
        return try Command.response(from: value)
    }

    /// Another descriptor of the connection's socket.
    ///
    /// - Throws: `EngineError` when the channel is not open.
    func duplicatedSocket() async throws -> OwnedDescriptor {
        guard let channel = state.withLock({ $0.channel }) else {
            throw EngineError(.failed, "the guest agent's channel is not open")
        }
        let number: Int32? = try await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { socket in
                fcntl(socket, F_DUPFD_CLOEXEC, 0)
            }
        }.get()
        guard let number, number >= 0 else { throw EngineError(.failed, "the guest agent's channel has no socket") }
        return OwnedDescriptor(number)
    }

    /// Closes the connection.
    package func close() {
        let channel = state.withLock { $0.channel }
        channel?.close(promise: nil)
    }

    private func perform(_ actions: [GuestAgentSession.Action]) {
        for action in actions {
            switch action {
            case .send(let bytes):
                state.withLock { $0.channel }?.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
            case .completed(let id, let result):
                replies.complete(id, with: result)
            case .synchronized, .ignored:
                break
            }
        }
    }
}
