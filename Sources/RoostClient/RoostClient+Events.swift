import NIOCore
public import RoostAPI

extension RoostClient {
    /// Events that may wait for a slow reader before ``events(since:)`` gives up.
    public static let eventBacklog = 4096

    /// The longest event that is read, in bytes.
    private static let longestEventBytes = 1 << 20

    /// Follows what happens on the host, in order.
    ///
    /// With `since`, events after that number come first, as far as roostd keeps them; without, only new ones come.
    /// The stream ends when roostd stops, and when the reading task is cancelled. It throws `unavailable` when the
    /// reader falls ``eventBacklog`` events behind: it may ask again with the last number that it has seen.
    ///
    /// Maps to `GET /v1/events`.
    public func events(since sequence: UInt64? = nil) -> AsyncThrowingStream<Event, any Error> {
        let query = sequence.map { [("since", String($0))] } ?? []
        let request = Request(.get, ["events"], query: query)
        return AsyncThrowingStream(bufferingPolicy: .bufferingOldest(Self.eventBacklog)) { continuation in
            let task = Task {
                do {
                    try await follow(request, into: continuation)
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    private func follow(
        _ request: Request,
        into continuation: AsyncThrowingStream<Event, any Error>.Continuation
    ) async throws {
        var lines = LineSplitter(limit: Self.longestEventBytes)
        try await stream(request) { chunk in
            for line in try lines.append(chunk) {
                let event: Event = try decode(line, request)
                if case .dropped = continuation.yield(event) {
                    throw APIError(
                        .unavailable,
                        "the reader of the event stream is \(Self.eventBacklog) events behind: "
                            + "ask again for the events since number \(event.sequence - min(event.sequence, 1))"
                    )
                }
            }
        }
    }
}

/// Cuts a stream of bytes into lines, of at most `limit` bytes each.
struct LineSplitter {
    let limit: Int
    private var rest: [UInt8] = []

    init(limit: Int) { self.limit = limit }

    /// Takes more bytes; returns the lines that are now complete, without their line feeds and without empty ones.
    mutating func append(_ chunk: ByteBuffer) throws(APIError) -> [[UInt8]] {
        var lines: [[UInt8]] = []
        var bytes = chunk.readableBytesView[...]
        while let end = bytes.firstIndex(of: UInt8(ascii: "\n")) {
            rest.append(contentsOf: bytes[..<end])
            bytes = bytes[bytes.index(after: end)...]
            if !rest.isEmpty { lines.append(rest) }
            rest.removeAll()
        }
        rest.append(contentsOf: bytes)
        guard rest.count <= limit else {
            throw APIError(.internal, "roostd sent an event of more than \(limit) bytes")
        }
        return lines
    }
}
