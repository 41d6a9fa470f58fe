import FoundationEssentials
import NIOCore
import NIOHTTP1
import NIOPosix
import RoostAPI

/// One thread drives the connections of all clients: they are few, and wait for roostd nearly all the time.
private let eventLoops = MultiThreadedEventLoopGroup(numberOfThreads: 1)

extension RoostClient {
    /// The longest answer that is collected, in bytes: some 100,000 machines, or a display of 8,000 × 2,000 pixels.
    static let longestAnswerBytes = 64 << 20

    /// Sends a request; decodes the answer.
    func value<Value: Decodable>(_ request: Request) async throws -> Value {
        let bytes = try await bytes(request)
        return try decode(bytes, request)
    }

    /// Sends a request; returns the answer's body.
    func bytes(_ request: Request) async throws -> [UInt8] {
        try await exchange(request) { response, _ in
            try await response.expectSuccess(of: request)
            return try await response.rest(limit: Self.longestAnswerBytes, of: request)
        }
    }

    /// Sends a request; hands over the answer's body as it comes.
    ///
    /// The deadline is for the beginning of the answer only.
    func stream(_ request: Request, _ chunk: (ByteBuffer) throws -> Void) async throws {
        try await exchange(request) { response, _ in
            try await response.expectSuccess(of: request)
            try response.clearDeadline()
            while let next = try await response.next() { try chunk(next) }
        }
    }

    /// Connects, sends a request, and closes the connection after `body`; every error but the caller's own leaves as an
    /// ``APIError``.
    func exchange<Result>(
        _ request: Request,
        _ body: (inout ResponseReader, ResponseReader.Writer) async throws -> sending Result
    ) async throws -> sending Result {
        let connection = try await connect()
        let deadline = Deadline(of: connection.channel, seconds: timeoutSeconds + request.waitSeconds)
        defer { deadline.clear() }
        do {
            return try await connection.executeThenClose { inbound, outbound in
                try await outbound.write(contentsOf: parts(of: request))
                var response = ResponseReader(inbound, deadline)
                return try await body(&response, outbound)
            }
        } catch {
            throw failure(error, request, deadline)
        }
    }

    func encode(_ value: some Encodable) throws -> [UInt8] {
        try Array(JSONEncoder().encode(value))
    }

    func decode<Value: Decodable>(_ bytes: [UInt8], _ request: Request) throws(APIError) -> Value {
        do {
            return try JSONDecoder().decode(Value.self, from: Data(bytes))
        } catch {
            throw APIError(
                .internal,
                "the answer to \(request.name) cannot be read: are roost and the roostd at \(socketPath) of one release?",
                cause: String(describing: error)
            )
        }
    }

    private func parts(of request: Request) -> [HTTPClientRequestPart] {
        var headers = HTTPHeaders([("host", "roost"), ("connection", "close")])
        var parts: [HTTPClientRequestPart] = []
        if request.streamsBody {
            headers.add(name: "transfer-encoding", value: "chunked")
            headers.add(name: "content-type", value: "application/octet-stream")
        } else {
            if let body = request.body {
                headers.add(name: "content-type", value: "application/json")
                parts.append(.body(.byteBuffer(ByteBuffer(bytes: body))))
            }
            headers.add(name: "content-length", value: String(request.body?.count ?? 0))
            parts.append(.end(nil))
        }
        let method = HTTPMethod(rawValue: request.method.rawValue)
        let head = HTTPRequestHead(version: .http1_1, method: method, uri: request.target, headers: headers)
        return [.head(head)] + parts
    }

    private func connect() async throws -> NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart> {
        do {
            return try await ClientBootstrap(group: eventLoops).connect(unixDomainSocketPath: socketPath) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    return try NIOAsyncChannel(wrappingChannelSynchronously: channel)
                }
            }
        } catch {
            throw connectFailure(error)
        }
    }
}
