import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A server on a Unix socket that says what a test tells it to, byte for byte.
///
/// It knows no HTTP beyond finding the end of a request, so it checks the client against the wire and not against the
/// library that the client uses.
package struct ScriptedRoostd: Sendable {
    /// The run directory, which holds the socket.
    package let runDirectory: String

    /// The path of the socket.
    package var socketPath: String { "\(runDirectory)/roost.sock" }

    private let seen = Log()

    /// The requests so far, in the order in which they came.
    package var requests: [ReceivedRequest] { seen.requests.withLock { $0 } }

    private final class Log: Sendable {
        let requests = Mutex<[ReceivedRequest]>([])
    }

    /// Serves connections with `script` for as long as `body` runs.
    @discardableResult
    package static func run<Result: Sendable>(
        _ script: @escaping @Sendable (inout ScriptedConnection, ReceivedRequest) async throws -> Void,
        _ body: (ScriptedRoostd) async throws -> Result
    ) async throws -> Result {
        let server = ScriptedRoostd(runDirectory: try makeDirectory())
        defer {
            unlink(server.socketPath)
            rmdir(server.runDirectory)
        }
        let group = MultiThreadedEventLoopGroup.singleton
        let listener = try await ServerBootstrap(group: group).bind(unixDomainSocketPath: server.socketPath) {
            channel in
            channel.eventLoop.makeCompletedFuture {
                try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
            }
        }
        return try await listener.executeThenClose { inbound in
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { await server.serve(inbound, script) }
                defer { tasks.cancelAll() }
                return try await body(server)
            }
        }
    }

    private func serve(
        _ connections: NIOAsyncChannelInboundStream<NIOAsyncChannel<ByteBuffer, ByteBuffer>>,
        _ script: @escaping @Sendable (inout ScriptedConnection, ReceivedRequest) async throws -> Void
    ) async {
        await withTaskGroup(of: Void.self) { group in
            do {
                for try await channel in connections {
                    // A script fails when its client has gone, which tests provoke on purpose.
                    group.addTask { try? await handle(channel, script) }
                }
            } catch {
                group.cancelAll()
            }
        }
    }

    private func handle(
        _ channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>,
        _ script: @Sendable (inout ScriptedConnection, ReceivedRequest) async throws -> Void
    ) async throws {
        try await channel.executeThenClose { inbound, outbound in
            var connection = ScriptedConnection(inbound.makeAsyncIterator(), outbound)
            guard let request = try await connection.receiveRequest() else { return }
            seen.requests.withLock { $0.append(request) }
            try await script(&connection, request)
        }
    }

    /// Makes a directory with a short path: a socket's path has at most 107 bytes.
    package static func makeDirectory() throws -> String {
        var template = Array("/tmp/roost-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw IOError(errnoCode: errno, reason: "mkdtemp") }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// A request as it came over the socket.
package struct ReceivedRequest: Sendable {
    /// The head, line by line.
    package var lines: [String]
    /// The body of a request that tells its length.
    package var body: String

    /// The request line without the protocol version.
    package var name: String { lines.first.map { String($0.dropLast(" HTTP/1.1".count)) } ?? "" }
}

/// The server's end of a connection.
package struct ScriptedConnection {
    private var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    private let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    private var buffered = ""

    init(
        _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator,
        _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) {
        self.inbound = inbound
        self.outbound = outbound
    }

    /// Sends text as it is.
    package func send(_ text: String) async throws {
        try await outbound.write(ByteBuffer(string: text))
    }

    /// Sends a whole answer.
    package func answer(_ status: String, _ body: String) async throws {
        try await send("HTTP/1.1 \(status)\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)")
    }

    /// Sends the head of an answer in chunks.
    package func beginStream() async throws {
        try await send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    }

    /// Sends a chunk; an empty one is the end.
    package func chunk(_ text: String) async throws {
        try await send("\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n")
    }

    /// Waits for text that ends with `end`; nil when the client closes first.
    package mutating func receive(until end: String) async throws -> String? {
        while true {
            if let range = buffered.range(of: end) {
                let text = String(buffered[..<range.upperBound])
                buffered.removeSubrange(..<range.upperBound)
                return text
            }
            guard let more = try await inbound.next() else { return nil }
            buffered += String(buffer: more)
        }
    }

    /// Waits until the client closes the connection.
    package mutating func waitForClose() async throws {
        while try await inbound.next() != nil {}
    }

    mutating func receiveRequest() async throws -> ReceivedRequest? {
        guard let head = try await receive(until: "\r\n\r\n") else { return nil }
        let lines = head.split(separator: "\r\n").map(String.init)
        let length = lines.compactMap { $0.hasPrefix("content-length: ") ? Int($0.dropFirst(16)) : nil }.first ?? 0
        while buffered.utf8.count < length, let more = try await inbound.next() { buffered += String(buffer: more) }
        let body = String(decoding: buffered.utf8.prefix(length), as: UTF8.self)
        buffered = String(decoding: buffered.utf8.dropFirst(length), as: UTF8.self)
        return ReceivedRequest(lines: lines, body: body)
    }
}

extension String {
    /// The first occurrence of a text; by bytes, as `\r\n` is one character.
    fileprivate func range(of text: String) -> Range<String.Index>? {
        let pattern = Array(text.utf8)
        var start = utf8.startIndex
        while let end = utf8.index(start, offsetBy: pattern.count, limitedBy: utf8.endIndex) {
            if utf8[start..<end].elementsEqual(pattern) { return start..<end }
            guard start < utf8.endIndex else { return nil }
            start = utf8.index(after: start)
        }
        return nil
    }
}
