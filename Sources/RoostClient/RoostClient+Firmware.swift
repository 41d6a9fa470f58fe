public import RoostAPI

extension RoostClient {
    /// Describes a machine's firmware.
    ///
    /// Maps to `GET /v1/vms/{vm}/firmware`.
    public func firmware(of vm: String) async throws -> FirmwareInfo {
        try await value(Request(.get, ["vms", vm, "firmware"]))
    }

    /// Changes a machine's firmware; when this returns, the change is durable.
    ///
    /// Maps to `PATCH /v1/vms/{vm}/firmware`.
    public func updateFirmware(of vm: String, _ request: UpdateFirmwareRequest) async throws -> FirmwareInfo {
        try await value(Request(.patch, ["vms", vm, "firmware"], body: encode(request)))
    }
}
