public import RoostAPI

extension RoostClient {
    /// Lists the network adapters of all machines, or of one.
    ///
    /// Maps to `GET /v1/nics` and `GET /v1/vms/{vm}/nics`.
    public func networkAdapters(of vm: String? = nil) async throws -> [NetworkAdapterInfo] {
        try await value(Request(.get, vm.map { ["vms", $0, "nics"] } ?? ["nics"]))
    }

    /// Lists the virtual switches.
    ///
    /// Maps to `GET /v1/switches`.
    public func switches() async throws -> [SwitchInfo] {
        try await value(Request(.get, ["switches"]))
    }

    /// Creates a virtual switch.
    ///
    /// Maps to `POST /v1/switches`.
    public func createSwitch(_ request: CreateSwitchRequest) async throws -> SwitchInfo {
        try await value(Request(.post, ["switches"], body: encode(request)))
    }

    /// Removes a virtual switch.
    ///
    /// Maps to `DELETE /v1/switches/{name}`.
    public func removeSwitch(_ name: String) async throws {
        _ = try await bytes(Request(.delete, ["switches", name]))
    }
}
