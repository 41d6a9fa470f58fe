/// Where a drive is attached, written `scsi:0:1` (controller type, controller number, slot).
public struct DriveInfo: Codable, Hashable, Sendable {
    /// `ide`, `scsi` or `floppy`.
    public var controllerType: String
    /// The controller's number, from 0.
    public var controllerNumber: Int
    /// The slot on the controller, from 0.
    public var slot: Int
    /// `disk`, `dvd` or `floppy`.
    public var kind: String
    /// The absolute path of the file; nil for an empty DVD drive.
    public var path: String?
    /// What the file is; nil when it cannot be inspected or was not asked for.
    public var disk: DiskInfo?
    /// Why the file cannot be inspected.
    public var problem: String?

    /// A drive of the given fields.
    public init(
        controllerType: String,
        controllerNumber: Int,
        slot: Int,
        kind: String,
        path: String?,
        disk: DiskInfo? = nil,
        problem: String? = nil
    ) {
        self.controllerType = controllerType
        self.controllerNumber = controllerNumber
        self.slot = slot
        self.kind = kind
        self.path = path
        self.disk = disk
        self.problem = problem
    }

    /// The location as text, as in `scsi:0:1`.
    public var location: String { "\(controllerType):\(controllerNumber):\(slot)" }
}

/// What a disk file is.
public struct DiskInfo: Codable, Hashable, Sendable {
    /// The absolute path.
    public var path: String
    /// `qcow2`, `raw`, `vhdx` or another format that qemu-img names.
    public var format: String
    /// The size the guest sees, in bytes.
    public var virtualSizeBytes: UInt64
    /// The space the file takes on the host, in bytes.
    public var actualSizeBytes: UInt64
    /// The parent of a differencing disk.
    public var backingFile: String?
    /// The names of the machines that the disk is attached to; in parentheses behind a name, the machine's checkpoint that keeps
    /// the disk, or `to be merged` for one that a removal has left and others stand on.
    public var attachedTo: [String]
    /// Why the file cannot be inspected; its format is `unknown` then, and its sizes are 0.
    public var problem: String?

    /// A disk of the given fields.
    public init(
        path: String,
        format: String,
        virtualSizeBytes: UInt64,
        actualSizeBytes: UInt64,
        backingFile: String? = nil,
        attachedTo: [String] = [],
        problem: String? = nil
    ) {
        self.path = path
        self.format = format
        self.virtualSizeBytes = virtualSizeBytes
        self.actualSizeBytes = actualSizeBytes
        self.backingFile = backingFile
        self.attachedTo = attachedTo
        self.problem = problem
    }
}

/// The body of `POST /v1/disks` (Hyper-V: New-VHD).
///
/// Answered by a ``Job``; its result is the path.
public struct CreateDiskRequest: Codable, Hashable, Sendable {
    /// The absolute path of the new file; a path without `/` is placed in the host's `Virtual Hard Disks` folder.
    public var path: String
    /// The size the guest sees, in bytes.
    public var sizeBytes: UInt64
    /// `qcow2`, `raw` or `vhdx`; nil means what the path's extension says, else `qcow2`.
    public var format: String?

    /// A request for a disk of a size at a path.
    public init(path: String, sizeBytes: UInt64, format: String? = nil) {
        self.path = path
        self.sizeBytes = sizeBytes
        self.format = format
    }
}

/// The body of `POST /v1/disks/resize` (Hyper-V: Resize-VHD).
///
/// Answered by a ``Job``.
public struct ResizeDiskRequest: Codable, Hashable, Sendable {
    /// The absolute path of the file.
    public var path: String
    /// The new size, in bytes; smaller than now only with ``shrink``.
    public var sizeBytes: UInt64
    /// Whether a smaller size is meant.
    public var shrink: Bool?
    /// `qcow2` or `raw`; nil means what the file looks like, which must not contradict the recorded one.
    public var format: String?

    /// A request to give the disk at a path a new size.
    public init(path: String, sizeBytes: UInt64, shrink: Bool? = nil, format: String? = nil) {
        self.path = path
        self.sizeBytes = sizeBytes
        self.shrink = shrink
        self.format = format
    }
}

/// The body of `POST /v1/vms/{vm}/disks` (Hyper-V: Add-VMHardDiskDrive, Add-VMDvdDrive).
///
/// Answered by ``DriveInfo``.
public struct AttachDiskRequest: Codable, Hashable, Sendable {
    /// The absolute path of the file.
    public var path: String
    /// `disk` or `dvd`; nil means `dvd` for a path that ends in `.iso`, else `disk`.
    public var kind: String?
    /// The location, as in `scsi:0:1`; nil means the first free one.
    public var location: String?
    /// `qcow2`, `raw` or `vhdx`; nil means what the file looks like, which must not contradict what it was used as before
    /// and must not need other files.
    public var format: String?

    /// A request to attach the file at a path.
    public init(path: String, kind: String? = nil, location: String? = nil, format: String? = nil) {
        self.path = path
        self.kind = kind
        self.location = location
        self.format = format
    }
}
