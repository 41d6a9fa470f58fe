import FoundationEssentials
import NIOCore
import NIOHTTP1
import RoostAPI
import Synchronization

/// Reads one answer, part by part.
struct ResponseReader {
    typealias Writer = NIOAsyncChannelOutboundWriter<HTTPClientRequestPart>

    private var parts: NIOAsyncChannelInboundStream<HTTPClientResponsePart>.AsyncIterator
    private let deadline: Deadline

    init(_ inbound: NIOAsyncChannelInboundStream<HTTPClientResponsePart>, _ deadline: Deadline) {
        parts = inbound.makeAsyncIterator()
        self.deadline = deadline
    }

    /// Lets the rest of the answer take any time.
    ///
    /// - Throws: ``ConnectionEnded`` when the time was over before that.
    func clearDeadline() throws { if !deadline.clear() { throw ConnectionEnded() } }

    /// Reads the head; throws the error in the body when the status is not of the 200 class.
    mutating func expectSuccess(of request: Request) async throws {
        var status: HTTPResponseStatus?
        while status == nil {
            guard case .head(let head) = try await parts.next() else { throw ConnectionEnded() }
            if head.status.code >= 200 { status = head.status }
        }
        guard let code = status?.code, code >= 300 else { return }
        let body = try await rest(limit: 1 << 20, of: request)
        if let error = try? JSONDecoder().decode(APIError.self, from: Data(body)) { throw error }
        throw APIError(
            .internal,
            "roostd answered \(request.name) with HTTP status \(code) and no error that can be read"
        )
    }

    /// The next piece of the body; nil after its end.
    mutating func next() async throws -> ByteBuffer? {
        switch try await parts.next() {
        case .body(let chunk): return chunk
        case .end: return nil
        case .head, nil: throw ConnectionEnded()
        }
    }

    /// The body from here to its end.
    mutating func rest(limit: Int, of request: Request) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while let chunk = try await next() {
            guard bytes.count + chunk.readableBytes <= limit else {
                throw APIError(.internal, "the answer to \(request.name) is longer than \(limit) bytes")
            }
            bytes.append(contentsOf: chunk.readableBytesView)
        }
        return bytes
    }
}

/// Thrown when the connection ends before the answer does.
struct ConnectionEnded: Error {}

/// Closes a connection when its time is over: that ends whatever waits for it.
final class Deadline: Sendable {
    private enum State {
        case ahead
        case passed
        case cleared
    }

    let seconds: Int
    private let state = Mutex(State.ahead)
    private let timer = Mutex<Scheduled<Void>?>(nil)

    init(of channel: any Channel, seconds: Int) {
        self.seconds = seconds
        let scheduled = channel.eventLoop.scheduleTask(in: .seconds(Int64(seconds))) { [weak self] in
            if self?.pass() == true { channel.close(promise: nil) }
        }
        timer.withLock { $0 = scheduled }
    }

    /// Whether the time was over before the deadline was cleared.
    var hasPassed: Bool { state.withLock { $0 == .passed } }

    /// Notes that the time is over; returns false when that means nothing any more.
    private func pass() -> Bool {
        state.withLock { state in
            if state == .ahead { state = .passed }
            return state == .passed
        }
    }

    /// Lets the deadline mean nothing any more; returns false when it has passed already.
    @discardableResult
    func clear() -> Bool {
        timer.withLock { $0 }?.cancel()
        return state.withLock { state in
            if state == .ahead { state = .cleared }
            return state == .cleared
        }
    }
}
