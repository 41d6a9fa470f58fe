/// The body of `POST /v1/vms`: creates a virtual machine (Hyper-V: New-VM).
///
/// Answered by a ``Job``.
public struct CreateVirtualMachineRequest: Codable, Hashable, Sendable {
    /// The display name: 1 to 100 characters, unique on the host, without control characters and `/`.
    public var name: String
    /// 1 or 2; nil means 2.
    public var generation: Int?
    /// The configuration version; nil means the host's default.
    public var version: String?
    /// The start-up memory in MiB; nil means 1024.
    public var memoryMiB: UInt64?
    /// The number of virtual processors; nil means 1.
    public var processors: Int?
    /// The absolute path of an image from which the machine's own first disk is made; the image is left alone.
    public var image: String?
    /// The absolute path of a disk to attach where it lies.
    public var disk: String?
    /// The format of `disk`: `qcow2`, `raw` or `vhdx`; nil means what the file looks like, which must not need other files.
    public var diskFormat: String?
    /// The size in bytes of a new, empty first disk; with `image`, the size it is grown to.
    public var diskSizeBytes: UInt64?
    /// The name of the virtual switch that a network adapter is connected to; nil means no network adapter.
    public var switchName: String?
    /// The name of a Secure Boot template, or `off`; nil means MicrosoftWindows, as Hyper-V does for generation 2.
    public var secureBoot: String?
    /// The text of a cloud-init user-data file, given to the guest as a NoCloud seed.
    public var cloudInitUserData: String?
    /// The owner's notes.
    public var notes: String?

    /// A request for a machine with a name; everything else takes its default.
    public init(name: String) { self.name = name }
}

/// The body of `PATCH /v1/vms/{vm}` (Hyper-V: Set-VM, Rename-VM).
///
/// Fields that are nil stay as they are.
public struct UpdateVirtualMachineRequest: Codable, Hashable, Sendable {
    /// A new display name.
    public var name: String?
    /// The start-up memory in MiB; the machine must be off.
    public var memoryMiB: UInt64?
    /// The number of virtual processors; the machine must be off.
    public var processors: Int?
    /// The owner's notes.
    public var notes: String?
    /// What happens when the host starts.
    public var automaticStartAction: AutomaticStartAction?
    /// Seconds to wait before an automatic start, 0 to 86,400.
    public var automaticStartDelaySeconds: Int?
    /// What happens when the host shuts down.
    public var automaticStopAction: AutomaticStopAction?
    /// Which kind of checkpoint the machine takes.
    public var checkpointType: CheckpointType?
    /// When the machine takes checkpoints by itself.
    public var checkpointSchedule: CheckpointScheduleRequest?
    /// Integration services to offer or not, by name.
    public var integrationServices: [String: Bool]?

    /// A request that changes nothing yet.
    public init() {}
}

/// The body of `POST /v1/vms/{vm}/start` (Hyper-V: Start-VM).
///
/// Answered by a ``Job``.
public struct StartVirtualMachineRequest: Codable, Hashable, Sendable {
    /// Whether a saved state is given up, and the guest starts as after a power cut; nil means no, it goes on from there.
    public var discardSavedState: Bool?
    /// Whether files on which the machine's checkpoints rely, and that another program has changed, are taken as they are;
    /// nil means no, and the machine does not start with one below its disks.
    public var acceptChangedDisks: Bool?

    /// A request of the given fields.
    public init(discardSavedState: Bool? = nil, acceptChangedDisks: Bool? = nil) {
        self.discardSavedState = discardSavedState
        self.acceptChangedDisks = acceptChangedDisks
    }
}

/// The body of `POST /v1/vms/{vm}/stop` and `/restart` (Hyper-V: Stop-VM, Restart-VM).
///
/// Answered by a ``Job``.
public struct StopVirtualMachineRequest: Codable, Hashable, Sendable {
    /// Whether to end QEMU at once instead of asking the guest.
    public var turnOff: Bool?
    /// Seconds to wait for the guest after it was asked; nil means 120.
    ///
    /// The machine goes on running when they pass.
    public var timeoutSeconds: Int?

    /// A request for a graceful stop with the default time-out.
    public init(turnOff: Bool? = nil, timeoutSeconds: Int? = nil) {
        self.turnOff = turnOff
        self.timeoutSeconds = timeoutSeconds
    }
}

/// The body of `DELETE /v1/vms/{vm}` (Hyper-V: Remove-VM).
public struct RemoveVirtualMachineRequest: Codable, Hashable, Sendable {
    /// Whether the machine's own disks below the state directory are deleted too; nil means no.
    public var removeDisks: Bool?

    /// A request that keeps or deletes the machine's own disks.
    public init(removeDisks: Bool? = nil) { self.removeDisks = removeDisks }
}
