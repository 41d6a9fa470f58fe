package import NIOCore
import Synchronization

/// The serial port of a guest: what it wrote last, and any number of people who watch and type.
package final class SerialConsole: Sendable {
    private struct State {
        var channel: (any Channel)?
        var recent: [UInt8] = []
        var isClosed = false
        var watchers: [Int: AsyncStream<[UInt8]>.Continuation] = [:]
        var nextWatcher = 0
    }

    private let state = Mutex(State())
    /// How much of what the guest wrote is kept, in bytes.
    package static let capacity = 64 << 10

    private init() {}

    /// Connects to QEMU's end of the port.
    package static func connect(path: String, group: any EventLoopGroup) async throws -> SerialConsole {
        let console = SerialConsole()
        _ = try await connectSocket(path: path, group: group) { channel in
            console.state.withLock { $0.channel = channel }
        } onBytes: { bytes in
            console.received(bytes)
        } onClose: {
            console.closed()
        }
        return console
    }

    /// The last 64 KiB that the guest wrote while roostd was connected.
    package var recentOutput: [UInt8] {
        state.withLock { $0.recent.count > Self.capacity ? Array($0.recent.suffix(Self.capacity)) : $0.recent }
    }

    /// What the guest writes from now on, until the machine ends.
    ///
    /// A watcher who falls more than 1,024 pieces behind loses the oldest of them, not the guest's time.
    package func watch() -> AsyncStream<[UInt8]> {
        let (stream, continuation) = AsyncStream.makeStream(of: [UInt8].self, bufferingPolicy: .bufferingNewest(1024))
        let id: Int? = state.withLock { state in
            if state.isClosed { return nil }
            state.nextWatcher += 1
            state.watchers[state.nextWatcher] = continuation
            return state.nextWatcher
        }
        guard let id else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { _ = $0.watchers.removeValue(forKey: id) }
        }
        return stream
    }

    /// Types bytes; dropped when the machine has ended.
    package func type(_ bytes: [UInt8]) async {
        guard let channel = state.withLock({ $0.channel }) else { return }
        do {
            try await channel.writeAndFlush(ByteBuffer(bytes: bytes))
        } catch {
            // The machine has ended; its end is reported elsewhere.
        }
    }

    /// Closes the connection; what was written stays readable.
    package func close() {
        let channel = state.withLock { $0.channel }
        channel?.close(promise: nil)
    }

    private func received(_ bytes: [UInt8]) {
        let watchers = state.withLock { state in
            state.recent += bytes
            // Cut seldom, so that a chatty guest does not make us move 64 KiB for each byte.
            if state.recent.count > 2 * Self.capacity { state.recent.removeFirst(state.recent.count - Self.capacity) }
            return Array(state.watchers.values)
        }
        for watcher in watchers { watcher.yield(bytes) }
    }

    private func closed() {
        let watchers = state.withLock { state in
            state.isClosed = true
            state.channel = nil
            defer { state.watchers = [:] }
            return Array(state.watchers.values)
        }
        for watcher in watchers { watcher.finish() }
    }
}
