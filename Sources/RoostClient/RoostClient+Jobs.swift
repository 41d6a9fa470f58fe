public import RoostAPI

extension RoostClient {
    /// Lists the jobs, newest first.
    ///
    /// Maps to `GET /v1/jobs`.
    public func jobs() async throws -> [Job] {
        try await value(Request(.get, ["jobs"]))
    }

    /// Describes a job; with `waitSeconds`, once it has ended or so many seconds have passed.
    ///
    /// Maps to `GET /v1/jobs/{id}`.
    public func job(_ id: Int, waitSeconds: Int? = nil) async throws -> Job {
        try await value(Request(.get, ["jobs", String(id)], waitSeconds: waitSeconds))
    }

    /// Asks a job to end; the answer may still say that it runs.
    ///
    /// Maps to `POST /v1/jobs/{id}/cancel`.
    public func cancelJob(_ id: Int) async throws -> Job {
        try await value(Request(.post, ["jobs", String(id), "cancel"]))
    }
}
