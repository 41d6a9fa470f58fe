/// What is asked of roostd.
struct Request: Sendable {
    enum Method: String {
        case get = "GET"
        case post = "POST"
        case patch = "PATCH"
        case delete = "DELETE"
    }

    var method: Method
    /// Path and query, percent-encoded.
    var target: String
    /// The body, in JSON; nil for none.
    var body: [UInt8]?
    /// Whether the body is sent in chunks while the answer comes in.
    var streamsBody: Bool
    /// Seconds that roostd was asked to wait.
    var waitSeconds: Int

    /// A request for the resource at `/v1/` followed by `path`, of which no element is encoded yet.
    init(
        _ method: Method,
        _ path: [String],
        query: [(String, String)] = [],
        body: [UInt8]? = nil,
        waitSeconds: Int? = nil,
        streamsBody: Bool = false
    ) {
        self.method = method
        self.body = body
        self.streamsBody = streamsBody
        var query = query
        let wait = waitSeconds.map { min(max($0, 0), RoostClient.longestWaitSeconds) }
        self.waitSeconds = wait ?? 0
        if let wait { query.append(("wait", String(wait))) }
        target = "/v1/" + path.map(Self.percentEncoded).joined(separator: "/")
        if !query.isEmpty {
            target += "?" + query.map { "\($0)=\(Self.percentEncoded($1))" }.joined(separator: "&")
        }
    }

    /// Method and target, for messages.
    var name: String { "\(method.rawValue) \(target)" }

    /// Encodes everything but the unreserved characters of RFC 3986 section 2.3.
    ///
    /// An element that is `.` or `..` is encoded too: left as it is, a server may take it for a relative path.
    static func percentEncoded(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        let isDots = text == "." || text == ".."
        var result: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "~"):
                result.append(byte)
            case UInt8(ascii: ".") where !isDots:
                result.append(byte)
            default:
                result += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
