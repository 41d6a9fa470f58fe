public import RoostAPI

/// `vm` is a machine's name or its GUID throughout; a GUID wins.
extension RoostClient {
    /// Lists the machines, by name.
    ///
    /// Maps to `GET /v1/vms`.
    public func virtualMachines() async throws -> [VirtualMachineSummary] {
        try await value(Request(.get, ["vms"]))
    }

    /// Creates a machine; the job's result is its GUID.
    ///
    /// Maps to `POST /v1/vms`.
    public func createVirtualMachine(
        _ request: CreateVirtualMachineRequest,
        waitSeconds: Int? = nil
    ) async throws -> Job {
        try await value(Request(.post, ["vms"], body: encode(request), waitSeconds: waitSeconds))
    }

    /// Imports a machine; the job's result is its GUID.
    ///
    /// Maps to `POST /v1/imports`.
    public func importVirtualMachine(
        _ request: ImportVirtualMachineRequest,
        waitSeconds: Int? = nil
    ) async throws -> Job {
        try await value(Request(.post, ["imports"], body: encode(request), waitSeconds: waitSeconds))
    }

    /// Tells what an import would do.
    ///
    /// Maps to `POST /v1/imports/plan`.
    public func importPlan(_ request: ImportVirtualMachineRequest) async throws -> ImportReport {
        try await value(Request(.post, ["imports", "plan"], body: encode(request)))
    }

    /// Exports a machine that is off; the job's result is the path of the folder.
    ///
    /// Maps to `POST /v1/vms/{vm}/export`.
    public func exportVirtualMachine(
        _ vm: String,
        _ request: ExportVirtualMachineRequest,
        waitSeconds: Int? = nil
    ) async throws -> Job {
        try await value(Request(.post, ["vms", vm, "export"], body: encode(request), waitSeconds: waitSeconds))
    }

    /// Describes a machine.
    ///
    /// Maps to `GET /v1/vms/{vm}`.
    public func virtualMachine(_ vm: String) async throws -> VirtualMachineDetail {
        try await value(Request(.get, ["vms", vm]))
    }

    /// Changes a machine's settings or its name; when this returns, the change is durable.
    ///
    /// Maps to `PATCH /v1/vms/{vm}`.
    public func updateVirtualMachine(
        _ vm: String,
        _ request: UpdateVirtualMachineRequest
    ) async throws -> VirtualMachineDetail {
        try await value(Request(.patch, ["vms", vm], body: encode(request)))
    }

    /// Removes a machine.
    ///
    /// Maps to `DELETE /v1/vms/{vm}`.
    public func removeVirtualMachine(
        _ vm: String,
        _ request: RemoveVirtualMachineRequest = RemoveVirtualMachineRequest(),
        waitSeconds: Int? = nil
    ) async throws -> Job {
        try await value(Request(.delete, ["vms", vm], body: encode(request), waitSeconds: waitSeconds))
    }

    /// Starts a machine; one with a saved state goes on from there.
    ///
    /// Maps to `POST /v1/vms/{vm}/start`.
    public func startVirtualMachine(
        _ vm: String,
        _ request: StartVirtualMachineRequest = StartVirtualMachineRequest(),
        waitSeconds: Int? = nil
    ) async throws -> Job {
        try await value(Request(.post, ["vms", vm, "start"], body: encode(request), waitSeconds: waitSeconds))
    }

    /// Writes the memory of the guest to the disk and ends QEMU.
    ///
    /// Maps to `POST /v1/vms/{vm}/save`.
    public func saveVirtualMachine(_ vm: String, waitSeconds: Int? = nil) async throws -> Job {
        try await value(Request(.post, ["vms", vm, "save"], waitSeconds: waitSeconds))
    }

    /// Gives the saved state of a machine up.
    ///
    /// Maps to `DELETE /v1/vms/{vm}/saved-state`.
    public func discardSavedState(of vm: String, waitSeconds: Int? = nil) async throws -> Job {
        try await value(Request(.delete, ["vms", vm, "saved-state"], waitSeconds: waitSeconds))
    }

    /// Asks the guest to shut down, or turns the machine off.
    ///
    /// Maps to `POST /v1/vms/{vm}/stop`.
    public func stopVirtualMachine(
        _ vm: String,
        _ request: StopVirtualMachineRequest = StopVirtualMachineRequest(),
        waitSeconds: Int? = nil
    ) async throws -> Job {
        try await value(Request(.post, ["vms", vm, "stop"], body: encode(request), waitSeconds: waitSeconds))
    }

    /// Stops a machine as ``stopVirtualMachine(_:_:waitSeconds:)`` does, then starts it.
    ///
    /// Maps to `POST /v1/vms/{vm}/restart`.
    public func restartVirtualMachine(
        _ vm: String,
        _ request: StopVirtualMachineRequest = StopVirtualMachineRequest(),
        waitSeconds: Int? = nil
    ) async throws -> Job {
        try await value(Request(.post, ["vms", vm, "restart"], body: encode(request), waitSeconds: waitSeconds))
    }

    /// Stops the guest's processors; its memory stays in place.
    ///
    /// Maps to `POST /v1/vms/{vm}/pause`.
    public func pauseVirtualMachine(_ vm: String, waitSeconds: Int? = nil) async throws -> Job {
        try await value(Request(.post, ["vms", vm, "pause"], waitSeconds: waitSeconds))
    }

    /// Lets a paused machine go on.
    ///
    /// Maps to `POST /v1/vms/{vm}/resume`.
    public func resumeVirtualMachine(_ vm: String, waitSeconds: Int? = nil) async throws -> Job {
        try await value(Request(.post, ["vms", vm, "resume"], waitSeconds: waitSeconds))
    }

    /// Takes a picture of the machine's display, in PNG format.
    ///
    /// Maps to `GET /v1/vms/{vm}/screenshot`.
    public func screenshot(_ vm: String) async throws -> [UInt8] {
        try await bytes(Request(.get, ["vms", vm, "screenshot"]))
    }
}
