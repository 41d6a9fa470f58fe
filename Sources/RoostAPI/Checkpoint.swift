public import RoostPrimitives

/// What a checkpoint keeps (Hyper-V: the kind of a VMSnapshot).
public enum CheckpointKind: String, Codable, Sendable, CaseIterable {
    /// Disks as a guest left them that had written out what it held; applying it is like restoring a backup.
    case production = "Production"
    /// Disks and memory of one instant.
    case standard = "Standard"
}

/// In which state applications find the disks of a checkpoint.
public enum CheckpointConsistency: String, Codable, Sendable, CaseIterable {
    /// Applications had written out what they held: the guest had shut down, or VSS of Windows asked them.
    case application = "Application"
    /// All file systems that can be frozen were frozen.
    case fileSystem = "FileSystem"
    /// The memory is kept with the disks: programs go on where they were.
    case memory = "Memory"
    /// As after a power cut.
    case crash = "Crash"
}

/// A row of the list of a machine's checkpoints, as `GET /v1/vms/{vm}/checkpoints` gives it.
///
/// Rows come in the order of the tree: each behind its parent, brothers by age.
public struct CheckpointSummary: Codable, Hashable, Sendable, Identifiable {
    /// The checkpoint's identifier.
    public var id: GUID
    /// The name; several checkpoints of a machine may have the same.
    public var name: String
    /// What it keeps.
    public var kind: CheckpointKind
    /// When it was taken, as RFC 3339 text in UTC.
    public var created: String
    /// The checkpoint that the machine came from when it was taken; nil for the first.
    public var parent: GUID?
    /// How many ancestors it has.
    public var depth: Int
    /// Whether the machine came from it last.
    public var isCurrent: Bool
    /// Whether the machine's schedule made it, and gives it up again when there are enough newer ones.
    public var isAutomatic: Bool
    /// How consistent its disks are.
    public var consistency: CheckpointConsistency

    /// A row of the given fields.
    public init(
        id: GUID,
        name: String,
        kind: CheckpointKind,
        created: String,
        parent: GUID?,
        depth: Int,
        isCurrent: Bool,
        isAutomatic: Bool = false,
        consistency: CheckpointConsistency
    ) {
        self.id = id
        self.name = name
        self.kind = kind
        self.created = created
        self.parent = parent
        self.depth = depth
        self.isCurrent = isCurrent
        self.isAutomatic = isAutomatic
        self.consistency = consistency
    }
}

/// What was consistent when a checkpoint was taken, and what taking it cost the guest; measured, never assumed.
public struct CheckpointReceiptInfo: Codable, Hashable, Sendable {
    /// One of the guest's mounted file systems.
    public struct FileSystem: Codable, Hashable, Sendable {
        /// Where it is mounted.
        public var mountPoint: String
        /// `ext4`, `vfat`.
        public var type: String
        /// Why it was not frozen; nil when it was.
        public var skipped: String?

        /// A file system of the given fields.
        public init(mountPoint: String, type: String, skipped: String?) {
            self.mountPoint = mountPoint
            self.type = type
            self.skipped = skipped
        }
    }

    /// What a start of a throw-away copy has shown.
    public struct Verification: Codable, Hashable, Sendable {
        /// When it ended, as RFC 3339 text in UTC.
        public var time: String
        /// Whether all was well.
        public var passed: Bool
        /// What was looked at, and what was found wrong.
        public var detail: String
        /// From the start of the copy until its guest agent answered, in milliseconds; nil when it did not.
        public var bootMilliseconds: Int64?

        /// A verification of the given fields.
        public init(time: String, passed: Bool, detail: String, bootMilliseconds: Int64?) {
            self.time = time
            self.passed = passed
            self.detail = detail
            self.bootMilliseconds = bootMilliseconds
        }
    }

    /// How consistent the disks are.
    public var consistency: CheckpointConsistency
    /// Why it is not better; nil when there is nothing to say.
    public var reason: String?
    /// The file systems of a guest that ran.
    public var fileSystems: [FileSystem]
    /// Who would have ended the freeze if nobody else had: `guestTimer` or `watchdog`; nil when nothing was frozen.
    public var lease: String?
    /// From the request to freeze to the answer that all is thawed, in microseconds; nil when nothing was frozen.
    public var freezeMicroseconds: Int64?
    /// How long QEMU took to branch the disks, in microseconds; nil when the guest was off.
    public var transactionMicroseconds: Int64?
    /// The version of the guest agent; nil when it did not take part.
    public var agentVersion: String?
    /// Whether the UEFI variables are part of the checkpoint.
    public var hasVariables: Bool
    /// How much the file with the memory takes, in bytes; nil when the memory is not kept.
    public var memoryBytes: Int64?
    /// How long the guest's processors stood still for the memory, in microseconds.
    public var pauseMicroseconds: Int64?
    /// How long what the guest writes was held up at most, in microseconds; nil when the guest was off.
    public var stalledMicroseconds: Int64?
    /// What the last verification has shown; nil when there was none.
    public var verification: Verification?

    /// A receipt of the given fields.
    public init(
        consistency: CheckpointConsistency,
        reason: String?,
        fileSystems: [FileSystem],
        lease: String?,
        freezeMicroseconds: Int64?,
        transactionMicroseconds: Int64?,
        agentVersion: String?,
        hasVariables: Bool,
        memoryBytes: Int64? = nil,
        pauseMicroseconds: Int64? = nil,
        stalledMicroseconds: Int64? = nil,
        verification: Verification? = nil
    ) {
        self.stalledMicroseconds = stalledMicroseconds
        self.verification = verification
        (self.memoryBytes, self.pauseMicroseconds) = (memoryBytes, pauseMicroseconds)
        self.consistency = consistency
        self.reason = reason
        self.fileSystems = fileSystems
        self.lease = lease
        self.freezeMicroseconds = freezeMicroseconds
        self.transactionMicroseconds = transactionMicroseconds
        self.agentVersion = agentVersion
        self.hasVariables = hasVariables
    }
}

/// Everything known of a checkpoint, as `GET /v1/vms/{vm}/checkpoints/{checkpoint}` gives it.
public struct CheckpointDetail: Codable, Hashable, Sendable {
    /// A disk file that the checkpoint relies on.
    public struct Disk: Codable, Hashable, Sendable {
        /// The file's absolute path.
        public var path: String
        /// The size of the file on the host, in bytes.
        public var sizeBytes: UInt64
        /// Why the checkpoint cannot be applied with it; nil when it can.
        public var problem: String?

        /// A disk of the given fields.
        public init(path: String, sizeBytes: UInt64, problem: String?) {
            self.path = path
            self.sizeBytes = sizeBytes
            self.problem = problem
        }
    }

    /// What the list says of it.
    public var summary: CheckpointSummary
    /// The configuration version that the machine had.
    public var version: String
    /// The machine's notes as they were.
    public var notes: String
    /// The startup memory that the machine had, in MiB.
    public var memoryMiB: UInt64
    /// The processors that the machine had.
    public var processors: Int
    /// The disk files that it relies on.
    public var disks: [Disk]
    /// What was consistent.
    public var receipt: CheckpointReceiptInfo
    /// The absolute path of its file.
    public var configurationFile: String

    /// A checkpoint of the given fields.
    public init(
        summary: CheckpointSummary,
        version: String,
        notes: String,
        memoryMiB: UInt64,
        processors: Int,
        disks: [Disk],
        receipt: CheckpointReceiptInfo,
        configurationFile: String
    ) {
        self.summary = summary
        self.version = version
        self.notes = notes
        self.memoryMiB = memoryMiB
        self.processors = processors
        self.disks = disks
        self.receipt = receipt
        self.configurationFile = configurationFile
    }
}

/// The body of `POST /v1/vms/{vm}/checkpoints` (Hyper-V: Checkpoint-VM); the job's result is the checkpoint's GUID.
public struct CreateCheckpointRequest: Codable, Hashable, Sendable {
    /// The name; nil means the machine's name and the time.
    public var name: String?
    /// What to keep; nil means what the machine's checkpoint type says.
    public var kind: CheckpointKind?

    /// A request of the given fields.
    public init(name: String? = nil, kind: CheckpointKind? = nil) {
        self.name = name
        self.kind = kind
    }
}

/// The body of `PATCH /v1/vms/{vm}/checkpoints/{checkpoint}` (Hyper-V: Rename-VMSnapshot).
public struct UpdateCheckpointRequest: Codable, Hashable, Sendable {
    /// The new name.
    public var name: String

    /// A request for a new name.
    public init(name: String) { self.name = name }
}

/// The body of `POST /v1/vms/{vm}/checkpoints/{checkpoint}/apply` (Hyper-V: Restore-VMSnapshot).
public struct ApplyCheckpointRequest: Codable, Hashable, Sendable {
    /// Whether a checkpoint of the present state is taken first; nil means no.
    public var checkpointFirst: Bool?
    /// Whether a machine that runs is turned off for it, as if its power were cut; nil means no: it is refused then.
    public var turnOff: Bool?
    /// Whether the machine is started afterwards; nil means no.
    public var start: Bool?

    /// A request of the given fields.
    public init(checkpointFirst: Bool? = nil, turnOff: Bool? = nil, start: Bool? = nil) {
        (self.checkpointFirst, self.turnOff, self.start) = (checkpointFirst, turnOff, start)
    }
}

/// The body of `DELETE /v1/vms/{vm}/checkpoints/{checkpoint}` (Hyper-V: Remove-VMSnapshot).
public struct RemoveCheckpointRequest: Codable, Hashable, Sendable {
    /// Whether all checkpoints that came from it go too; nil means no: they stay, and come from its parent.
    public var subtree: Bool?

    /// A request of the given fields.
    public init(subtree: Bool? = nil) { self.subtree = subtree }
}

/// The body of `POST /v1/vms/{vm}/checkpoints/{checkpoint}/verify`.
///
/// Answered by a ``Job`` whose result says what was looked at.
public struct VerifyCheckpointRequest: Codable, Hashable, Sendable {
    /// A command for the guest's shell, which has to end with exit code 0; nil for a look at the file systems.
    public var command: String?
    /// Seconds within which all has to be over, 1 to 86,400; nil means 300.
    public var timeoutSeconds: Int?

    /// A request of the given fields.
    public init(command: String? = nil, timeoutSeconds: Int? = nil) {
        (self.command, self.timeoutSeconds) = (command, timeoutSeconds)
    }
}

/// The body of `POST /v1/vms/{vm}/checkpoints/{checkpoint}/new-vm`.
///
/// Answered by a ``Job`` whose result is the new machine's GUID.
public struct NewVirtualMachineFromCheckpointRequest: Codable, Hashable, Sendable {
    /// The new machine's name.
    public var name: String

    /// A request for a machine of a name.
    public init(name: String) { self.name = name }
}
