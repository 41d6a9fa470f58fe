public import RoostAPI

/// A client of the API that roostd serves on a Unix socket.
///
/// Each request has its own connection, so a client may be used from many tasks at once and holds nothing open in
/// between. Every method throws an ``APIError``: the one that roostd answers with, or
///
/// - `unavailable` when nothing listens on the socket, or the connection ends before the answer does,
/// - `permissionDenied` when the socket may not be opened,
/// - `timeout` when roostd does not answer by the deadline,
/// - `internal` when the answer is not what docs/api/http.md promises,
/// - `cancelled` when the calling task is cancelled.
///
/// Methods that start a ``Job`` take `waitSeconds`: with nil they return as soon as the job runs, with a number once
/// it has ended or so many seconds have passed. A job that failed is returned, not thrown; see ``Job/error``.
public struct RoostClient: Sendable {
    /// The path of roostd's socket.
    public let socketPath: String

    /// Seconds that a request may take beyond the time it asks roostd to wait.
    public let timeoutSeconds: Int

    /// A client of the roostd whose socket is at a path; nothing is opened yet.
    public init(socketPath: String, timeoutSeconds: Int = 60) {
        self.socketPath = socketPath
        self.timeoutSeconds = timeoutSeconds
    }

    /// The longest wait, in seconds, that can be asked of roostd in one request; longer ones are cut.
    public static let longestWaitSeconds = 3600
}

extension RoostClient {
    /// Describes the host.
    ///
    /// Maps to `GET /v1/host`.
    public func host() async throws -> HostInfo {
        try await value(Request(.get, ["host"]))
    }

    /// Looks at every byte of the host's files and puts right what is damaged.
    ///
    /// Maps to `POST /v1/host/scrub`.
    public func scrub(waitSeconds: Int? = nil) async throws -> Job {
        try await value(Request(.post, ["host", "scrub"], waitSeconds: waitSeconds))
    }

    /// Applies each running machine's automatic stop action, as when the host goes down.
    ///
    /// Maps to `POST /v1/host/stop-guests`.
    public func stopGuests(waitSeconds: Int? = nil) async throws -> Job {
        try await value(Request(.post, ["host", "stop-guests"], waitSeconds: waitSeconds))
    }
}
