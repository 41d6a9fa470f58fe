public import RoostAPI

extension RoostClient {
    /// Lists the configuration versions that exist, and what the host makes of them.
    ///
    /// Maps to `GET /v1/host/versions`.
    public func versions() async throws -> [VersionInfo] {
        try await value(Request(.get, ["host", "versions"]))
    }

    /// Upgrades a machine's configuration version, one way; when this returns, the change is durable.
    ///
    /// Maps to `POST /v1/vms/{vm}/update-version`.
    public func updateVersion(of vm: String, _ request: UpdateVersionRequest) async throws -> VersionUpdate {
        try await value(Request(.post, ["vms", vm, "update-version"], body: encode(request)))
    }

    /// Lists the versions that a machine had and has, oldest first.
    ///
    /// Maps to `GET /v1/vms/{vm}/version-history`.
    public func versionHistory(of vm: String) async throws -> [VersionRecord] {
        try await value(Request(.get, ["vms", vm, "version-history"]))
    }
}
