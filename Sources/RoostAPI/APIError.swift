/// A failure as the API reports it: what went wrong, with which subject and value, and what to do.
public struct APIError: Error, Codable, Hashable, Sendable {
    /// The kind of a failure; each has one HTTP status and one exit code of `roost`.
    public enum Code: String, Codable, Sendable, CaseIterable {
        /// A value is malformed or out of bounds (HTTP 400, exit 2).
        case invalidArgument
        /// The subject does not exist (HTTP 404, exit 3).
        case notFound
        /// A subject of that name exists already (HTTP 409, exit 4).
        case exists
        /// The subject's state does not allow the operation (HTTP 409, exit 4).
        case invalidState
        /// Another operation or process holds the subject (HTTP 409, exit 4).
        case busy
        /// This host, or this configuration version, cannot do it (HTTP 501, exit 5).
        case unsupported
        /// The host lacks memory, disk space or another resource (HTTP 507, exit 6).
        case insufficientResources
        /// A file is damaged or not what it claims to be (HTTP 422, exit 7).
        case corrupt
        /// The caller's or roostd's rights do not suffice (HTTP 403, exit 8).
        case permissionDenied
        /// The guest or a helper did not answer in time (HTTP 504, exit 9).
        case timeout
        /// The operation was cancelled (HTTP 409, exit 10).
        case cancelled
        /// QEMU, or a tool that Roost calls, failed (HTTP 502, exit 11).
        case engineFailure
        /// roostd cannot be reached or is stopping (HTTP 503, exit 69).
        case unavailable
        /// A defect in Roost itself (HTTP 500, exit 1).
        case `internal`
    }

    /// The kind of the failure.
    public var code: Code
    /// Operation, subject, value and remedy, in lower case and without a full stop.
    public var message: String
    /// What lies beneath, in the words of QEMU, the kernel or a tool; nil when the message says it all.
    public var cause: String?

    /// A failure of kind `code`.
    public init(_ code: Code, _ message: String, cause: String? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }
}

extension APIError: CustomStringConvertible {
    /// The message, followed by the cause.
    public var description: String { cause.map { "\(message): \($0)" } ?? message }
}

extension APIError.Code {
    /// The HTTP status that carries this kind of failure.
    public var httpStatus: Int {
        switch self {
        case .invalidArgument: 400
        case .permissionDenied: 403
        case .notFound: 404
        case .exists, .invalidState, .busy, .cancelled: 409
        case .corrupt: 422
        case .internal: 500
        case .unsupported: 501
        case .engineFailure: 502
        case .unavailable: 503
        case .timeout: 504
        case .insufficientResources: 507
        }
    }

    /// The exit code of `roost` for this kind of failure.
    public var exitCode: Int32 {
        switch self {
        case .internal: 1
        case .invalidArgument: 2
        case .notFound: 3
        case .exists, .invalidState, .busy: 4
        case .unsupported: 5
        case .insufficientResources: 6
        case .corrupt: 7
        case .permissionDenied: 8
        case .timeout: 9
        case .cancelled: 10
        case .engineFailure: 11
        case .unavailable: 69
        }
    }
}
