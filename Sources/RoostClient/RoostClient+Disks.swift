public import RoostAPI

extension RoostClient {
    /// Lists the disks in the host's `Virtual Hard Disks` folder and all that are attached.
    ///
    /// Maps to `GET /v1/disks`.
    public func disks() async throws -> [DiskInfo] {
        try await value(Request(.get, ["disks"]))
    }

    /// Lists the disks in the host's `Virtual Hard Disks` folder that no machine and no checkpoint needs.
    ///
    /// Maps to `GET /v1/disks/orphans`.
    public func orphanedDisks() async throws -> [DiskInfo] {
        try await value(Request(.get, ["disks", "orphans"]))
    }

    /// Creates an empty disk; the job's result is its path.
    ///
    /// Maps to `POST /v1/disks`.
    public func createDisk(_ request: CreateDiskRequest, waitSeconds: Int? = nil) async throws -> Job {
        try await value(Request(.post, ["disks"], body: encode(request), waitSeconds: waitSeconds))
    }

    /// Gives a disk a new size.
    ///
    /// Maps to `POST /v1/disks/resize`.
    public func resizeDisk(_ request: ResizeDiskRequest, waitSeconds: Int? = nil) async throws -> Job {
        try await value(Request(.post, ["disks", "resize"], body: encode(request), waitSeconds: waitSeconds))
    }

    /// Lists a machine's drives, with what is known of their files.
    ///
    /// Maps to `GET /v1/vms/{vm}/disks`.
    public func drives(of vm: String) async throws -> [DriveInfo] {
        try await value(Request(.get, ["vms", vm, "disks"]))
    }

    /// Attaches a file to a machine as a disk or DVD.
    ///
    /// Maps to `POST /v1/vms/{vm}/disks`.
    public func attachDisk(to vm: String, _ request: AttachDiskRequest) async throws -> DriveInfo {
        try await value(Request(.post, ["vms", vm, "disks"], body: encode(request)))
    }

    /// Detaches the drive at a location, written as in `scsi:0:1`; its file stays.
    ///
    /// Maps to `DELETE /v1/vms/{vm}/disks/{location}`.
    public func detachDisk(from vm: String, location: String) async throws {
        _ = try await bytes(Request(.delete, ["vms", vm, "disks", location]))
    }
}
