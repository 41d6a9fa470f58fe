import FoundationEssentials
import HostEngine
import Hummingbird
import Logging
import RoostAPI

/// The largest request body that is taken, in bytes.
private let bodyLimit = 4 << 20

extension Response {
    /// A JSON body.
    static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes]
        return json(raw: try encoder.encode(value), status: status)
    }

    /// A body that is JSON already.
    static func json(raw bytes: some Collection<UInt8> & Sendable, status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status,
            headers: [.contentType: "application/json"],
            body: .init(byteBuffer: ByteBuffer(bytes: bytes))
        )
    }

    /// No body.
    static var nothing: Response { Response(status: .noContent) }

    /// An error's status and body.
    static func failure(_ error: APIError) -> Response {
        // Encoding two strings cannot fail; the message is still there as text if it did.
        (try? json(error, status: .init(code: error.code.httpStatus)))
            ?? Response(status: .internalServerError, body: .init(byteBuffer: ByteBuffer(string: error.message)))
    }
}

extension Request {
    /// Decodes a JSON body.
    ///
    /// - Throws: `APIError` `.invalidArgument` naming the field that does not fit.
    func decode<Value: Decodable>(_ type: Value.Type, orEmpty: Value? = nil) async throws -> Value {
        var buffer = ByteBuffer()
        var count = 0
        // What is too much is read and dropped: a client that has not sent everything does not listen for the answer.
        for try await piece in body {
            count += piece.readableBytes
            if count <= bodyLimit { buffer.writeImmutableBuffer(piece) }
        }
        guard count <= bodyLimit else {
            throw APIError(
                .invalidArgument,
                "the request's body has \(count) bytes, more than the \(bodyLimit) allowed"
            )
        }
        if buffer.readableBytes == 0, let orEmpty { return orEmpty }
        do {
            return try JSONDecoder().decode(Value.self, from: Data(buffer.readableBytesView))
        } catch let error as DecodingError {
            throw APIError(.invalidArgument, "the request's body is no \(Value.self)", cause: error.explanation)
        }
    }

    /// The largest number that is taken in a query: every whole number up to it has a `Double` of its own.
    private static var largestNumber: Double { 9_007_199_254_740_992 }

    /// A number in the query, as in `?wait=10`.
    func number(_ name: Substring) throws -> Double? {
        guard let text = uri.queryParameters[name] else { return nil }
        guard let value = Double(text), (0...Self.largestNumber).contains(value) else {
            throw APIError(.invalidArgument, "\(name)=\(text) is not a number from 0 to \(Int(Self.largestNumber))")
        }
        return value
    }
}

extension DecodingError {
    /// Which field does not fit, and why.
    fileprivate var explanation: String {
        func place(_ context: Context) -> String {
            let path = context.codingPath.map(\.stringValue).joined(separator: ".")
            // A number that does not fit comes without its place, and with its value in the error beneath.
            let details = (context.underlyingError as? CocoaError)?.userInfo["NSDebugDescription"] as? String
            let words = details ?? context.debugDescription
            return path.isEmpty ? words : "\(path): \(words)"
        }
        switch self {
        case .keyNotFound(let key, let context): return "\(place(context)): no field \(key.stringValue)"
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            return place(context)
        @unknown default: return "\(self)"
        }
    }
}

extension RequestContext {
    /// A part of the path, percent-decoded.
    func argument(_ name: String) throws -> String {
        let raw = try parameters.require(name)
        guard let decoded = percentDecoded(raw) else {
            throw APIError(.invalidArgument, "\"\(raw)\" is not percent-encoded as it should be")
        }
        return decoded
    }
}

/// Decodes `%20` and the like; nil when the result is not UTF-8 or a sign is cut short.
func percentDecoded(_ text: String) -> String? {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
        guard byte == UInt8(ascii: "%") else {
            bytes.append(byte)
            continue
        }
        guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
            return nil
        }
        bytes.append(value)
        rest = rest.dropFirst(2)
    }
    return String(validating: bytes, as: UTF8.self)
}

/// Turns every error into the API's form.
struct ErrorMiddleware<Context: RequestContext>: RouterMiddleware {
    func handle(
        _ request: Request,
        context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let error as HTTPError where error.status == .notFound {
            return .failure(APIError(.notFound, "the API has no \(request.method) \(request.uri.path)"))
        } catch let error as HTTPError {
            return .failure(APIError(.invalidArgument, error.body ?? "\(error.status)"))
        } catch {
            let translated = APIError(translating: error)
            if translated.code == .internal {
                context.logger.error("request failed", metadata: ["path": "\(request.uri.path)", "error": "\(error)"])
            }
            return .failure(translated)
        }
    }
}
