import NIOCore
import NIOPosix
import QEMUDriver
import Synchronization

/// A Unix socket that answers lines as a script says, for QEMU's ends of a monitor, an agent and a serial port.
final class ScriptedSocket: Sendable {
    /// What to do with a line that was received.
    enum Answer: Sendable {
        case send(String)
        case sendBytes([UInt8])
        case nothing
        case close
    }

    let path: String
    private let folder = TemporaryFolder()
    private let server: any Channel
    private let box = Box()
    /// The lines received, in order.
    let lines: AsyncStream<String>

    /// Listens; `greeting` is sent to everybody who connects, at once.
    init(greeting: String = "", _ answer: @escaping @Sendable (String) -> Answer = { _ in .nothing }) async throws {
        path = "\(folder.path)/socket"
        let box = box
        let (lines, continuation) = AsyncStream.makeStream(of: String.self)
        self.lines = lines
        server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                box.clients.withLock { $0.append(channel) }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        LineAnswerer(greeting: greeting, answer: answer, lines: continuation)
                    )
                }
            }
            .bind(unixDomainSocketPath: path).get()
    }

    private final class Box: Sendable {
        let clients = Mutex<[any Channel]>([])
    }

    /// Sends text to everybody who is connected.
    func send(_ text: String) {
        for client in box.clients.withLock({ $0 }) {
            client.writeAndFlush(ByteBuffer(string: text), promise: nil)
        }
    }

    /// Closes every connection.
    func hangUp() { for client in box.clients.withLock({ $0 }) { client.close(promise: nil) } }

    deinit {
        server.close(promise: nil)
        hangUp()
    }
}

private final class LineAnswerer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let greeting: String
    private let answer: @Sendable (String) -> ScriptedSocket.Answer
    private let lines: AsyncStream<String>.Continuation
    private var rest: [UInt8] = []

    init(
        greeting: String,
        answer: @escaping @Sendable (String) -> ScriptedSocket.Answer,
        lines: AsyncStream<String>.Continuation
    ) {
        self.greeting = greeting
        self.answer = answer
        self.lines = lines
    }

    func channelActive(context: ChannelHandlerContext) {
        if !greeting.isEmpty { context.writeAndFlush(NIOAny(ByteBuffer(string: greeting)), promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        rest += unwrapInboundIn(data).readableBytesView
        while let end = rest.firstIndex(of: 10) {
            let line = String(decoding: rest[..<end].filter { $0 != 0xFF }, as: UTF8.self)
            rest.removeSubrange(...end)
            lines.yield(line)
            switch answer(line) {
            case .send(let text): context.channel.writeAndFlush(ByteBuffer(string: text), promise: nil)
            case .sendBytes(let bytes): context.channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
            case .nothing: break
            case .close: context.close(promise: nil)
            }
        }
    }
}
