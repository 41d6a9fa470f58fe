public import RoostAPI

extension RoostClient {
    /// Lists a machine's checkpoints in the order of their tree.
    ///
    /// Maps to `GET /v1/vms/{vm}/checkpoints`.
    public func checkpoints(of vm: String) async throws -> [CheckpointSummary] {
        try await value(Request(.get, ["vms", vm, "checkpoints"]))
    }

    /// Takes a checkpoint; the job's result is its GUID.
    ///
    /// Maps to `POST /v1/vms/{vm}/checkpoints`.
    public func createCheckpoint(
        of vm: String,
        _ request: CreateCheckpointRequest = CreateCheckpointRequest(),
        waitSeconds: Int? = nil
    ) async throws -> Job {
        try await value(Request(.post, ["vms", vm, "checkpoints"], body: encode(request), waitSeconds: waitSeconds))
    }

    /// Everything known of a checkpoint, named by its GUID or a name that no other has.
    ///
    /// Maps to `GET /v1/vms/{vm}/checkpoints/{checkpoint}`.
    public func checkpoint(of vm: String, _ checkpoint: String) async throws -> CheckpointDetail {
        try await value(Request(.get, ["vms", vm, "checkpoints", checkpoint]))
    }

    /// Gives a checkpoint another name.
    ///
    /// Maps to `PATCH /v1/vms/{vm}/checkpoints/{checkpoint}`.
    public func updateCheckpoint(
        of vm: String,
        _ checkpoint: String,
        _ request: UpdateCheckpointRequest
    ) async throws -> CheckpointDetail {
        try await value(Request(.patch, ["vms", vm, "checkpoints", checkpoint], body: encode(request)))
    }

    /// Gives a machine the state of a checkpoint.
    ///
    /// Maps to `POST /v1/vms/{vm}/checkpoints/{checkpoint}/apply`.
    public func applyCheckpoint(
        to vm: String,
        _ checkpoint: String,
        _ request: ApplyCheckpointRequest = ApplyCheckpointRequest(),
        waitSeconds: Int? = nil
    ) async throws -> Job {
        let path = ["vms", vm, "checkpoints", checkpoint, "apply"]
        return try await value(Request(.post, path, body: encode(request), waitSeconds: waitSeconds))
    }

    /// Starts a throw-away copy of what a checkpoint keeps and looks whether all is well; the job's result says what was
    /// looked at, and the job fails with `.corrupt` when something is wrong.
    ///
    /// Maps to `POST /v1/vms/{vm}/checkpoints/{checkpoint}/verify`.
    public func verifyCheckpoint(
        of vm: String,
        _ checkpoint: String,
        _ request: VerifyCheckpointRequest = VerifyCheckpointRequest(),
        waitSeconds: Int? = nil
    ) async throws -> Job {
        let path = ["vms", vm, "checkpoints", checkpoint, "verify"]
        return try await value(Request(.post, path, body: encode(request), waitSeconds: waitSeconds))
    }

    /// Exports what a checkpoint keeps as a machine's folder; the job's result is the path of the folder.
    ///
    /// Maps to `POST /v1/vms/{vm}/checkpoints/{checkpoint}/export`.
    public func exportCheckpoint(
        of vm: String,
        _ checkpoint: String,
        _ request: ExportVirtualMachineRequest,
        waitSeconds: Int? = nil
    ) async throws -> Job {
        let path = ["vms", vm, "checkpoints", checkpoint, "export"]
        return try await value(Request(.post, path, body: encode(request), waitSeconds: waitSeconds))
    }

    /// Makes a machine of its own from what a checkpoint keeps; the job's result is its GUID.
    ///
    /// Maps to `POST /v1/vms/{vm}/checkpoints/{checkpoint}/new-vm`.
    public func createVirtualMachine(
        fromCheckpoint checkpoint: String,
        of vm: String,
        _ request: NewVirtualMachineFromCheckpointRequest,
        waitSeconds: Int? = nil
    ) async throws -> Job {
        let path = ["vms", vm, "checkpoints", checkpoint, "new-vm"]
        return try await value(Request(.post, path, body: encode(request), waitSeconds: waitSeconds))
    }

    /// Removes a checkpoint, or one with all that came from it.
    ///
    /// Maps to `DELETE /v1/vms/{vm}/checkpoints/{checkpoint}`.
    public func removeCheckpoint(
        of vm: String,
        _ checkpoint: String,
        _ request: RemoveCheckpointRequest = RemoveCheckpointRequest(),
        waitSeconds: Int? = nil
    ) async throws -> Job {
        let path = ["vms", vm, "checkpoints", checkpoint]
        return try await value(Request(.delete, path, body: encode(request), waitSeconds: waitSeconds))
    }
}
