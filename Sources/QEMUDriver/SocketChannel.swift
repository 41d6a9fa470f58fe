import NIOCore
import NIOPosix

/// Passes what a Unix socket delivers to closures, on the channel's event loop and in order.
final class SocketHandler: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    private let onOpen: @Sendable () -> Void
    private let onBytes: @Sendable ([UInt8]) -> Void
    private let onClose: @Sendable () -> Void

    init(
        onOpen: @escaping @Sendable () -> Void,
        onBytes: @escaping @Sendable ([UInt8]) -> Void,
        onClose: @escaping @Sendable () -> Void
    ) {
        self.onOpen = onOpen
        self.onBytes = onBytes
        self.onClose = onClose
    }

    func channelActive(context: ChannelHandlerContext) {
        onOpen()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        onBytes(Array(buffer: unwrapInboundIn(data)))
    }

    func channelInactive(context: ChannelHandlerContext) {
        onClose()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

/// Connects to a Unix socket.
///
/// `onChannel` is called before anything is received: an answer to the first bytes needs the channel already. `onOpen`
/// is called next, and `onClose` last, once.
///
/// - Throws: `EngineError` `.notFound` when nobody listens there.
func connectSocket(
    path: String,
    group: any EventLoopGroup,
    onChannel: @escaping @Sendable (any Channel) -> Void,
    onOpen: @escaping @Sendable () -> Void = {},
    onBytes: @escaping @Sendable ([UInt8]) -> Void,
    onClose: @escaping @Sendable () -> Void
) async throws -> any Channel {
    do {
        return try await ClientBootstrap(group: group)
            .connectTimeout(.seconds(5))
            .channelInitializer { channel in
                onChannel(channel)
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        SocketHandler(onOpen: onOpen, onBytes: onBytes, onClose: onClose)
                    )
                }
            }
            .connect(unixDomainSocketPath: path).get()
    } catch {
        throw EngineError(.notFound, "cannot connect to \(path)", cause: "\(error)")
    }
}
