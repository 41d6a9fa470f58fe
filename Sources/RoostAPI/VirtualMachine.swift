public import RoostPrimitives

/// The life-cycle state of a virtual machine.
public enum VirtualMachineState: String, Codable, Sendable, CaseIterable {
    /// No QEMU process, no saved state.
    case off
    /// QEMU is being started.
    case starting
    /// The guest's processors run.
    case running
    /// The guest's processors are stopped, memory stays in place.
    case paused
    /// The guest was asked to shut down, or QEMU is being ended.
    case stopping
    /// The guest stands still while its memory is written to the disk.
    case saving
    /// No QEMU process; the guest's memory is on the disk, and a start goes on where it was.
    case saved
    /// QEMU ended without being asked to; the reason says how.
    case crashed
    /// The configuration cannot be read; the reason says why. Its files are left alone.
    case broken
}

/// One line of `GET /v1/vms`.
public struct VirtualMachineSummary: Codable, Hashable, Sendable {
    /// The identifier, also the file name of the configuration.
    public var id: GUID
    /// The display name; for a broken machine the file name.
    public var name: String
    /// The life-cycle state.
    public var state: VirtualMachineState
    /// 1 or 2; nil when the machine is broken.
    public var generation: Int?
    /// The configuration version, as in `8.0`; nil when it cannot be read.
    public var version: String?
    /// The start-up memory in MiB.
    public var memoryMiB: UInt64?
    /// The number of virtual processors.
    public var processors: Int?
    /// Seconds since the guest was started; nil when it does not run.
    public var uptimeSeconds: Int?
    /// Why the machine is crashed or broken.
    public var reason: String?
    /// The absolute path of a broken machine's configuration; nil for others, whose detail tells it.
    public var configurationFile: String?

    /// A summary of the given fields.
    public init(
        id: GUID,
        name: String,
        state: VirtualMachineState,
        generation: Int? = nil,
        version: String? = nil,
        memoryMiB: UInt64? = nil,
        processors: Int? = nil,
        uptimeSeconds: Int? = nil,
        reason: String? = nil,
        configurationFile: String? = nil
    ) {
        self.id = id
        self.name = name
        self.state = state
        self.generation = generation
        self.version = version
        self.memoryMiB = memoryMiB
        self.processors = processors
        self.uptimeSeconds = uptimeSeconds
        self.reason = reason
        self.configurationFile = configurationFile
    }
}

/// The answer of `GET /v1/vms/{vm}`.
public struct VirtualMachineDetail: Codable, Hashable, Sendable {
    /// What the list shows.
    public var summary: VirtualMachineSummary
    /// The owner's notes.
    public var notes: String
    /// The absolute path of the configuration file.
    public var configurationFile: String
    /// When the machine was created, as RFC 3339 text in UTC.
    public var created: String?
    /// `Nothing`, `StartIfRunning` or `Start` (Hyper-V: AutomaticStartAction).
    public var automaticStartAction: AutomaticStartAction
    /// Seconds to wait before an automatic start.
    public var automaticStartDelaySeconds: Int
    /// `TurnOff`, `Save` or `ShutDown` (Hyper-V: AutomaticStopAction).
    public var automaticStopAction: AutomaticStopAction
    /// `Disabled`, `Production`, `ProductionOnly` or `Standard` (Hyper-V: CheckpointType).
    public var checkpointType: CheckpointType
    /// When it takes checkpoints by itself; nil for never.
    public var checkpointSchedule: CheckpointScheduleInfo?
    /// The drives, in controller order.
    public var drives: [DriveInfo]
    /// The network adapters, in the order of the configuration.
    public var networkAdapters: [NetworkAdapterInfo]
    /// Network adapters that can still be added while the machine runs; nil for generation 1.
    public var freeNetworkAdapterSlots: Int?
    /// Firmware settings.
    public var firmware: FirmwareInfo
    /// Which integration services are offered, by name.
    public var integrationServices: [String: Bool]
    /// What is known only of a running machine.
    public var runtime: RuntimeInfo?
    /// The memory that the next start goes on from; nil for a machine that is not saved.
    public var savedState: SavedStateSummary?

    /// A detail of the given parts.
    public init(
        summary: VirtualMachineSummary,
        notes: String,
        configurationFile: String,
        created: String?,
        automaticStartAction: AutomaticStartAction,
        automaticStartDelaySeconds: Int,
        automaticStopAction: AutomaticStopAction,
        checkpointType: CheckpointType,
        checkpointSchedule: CheckpointScheduleInfo? = nil,
        drives: [DriveInfo],
        networkAdapters: [NetworkAdapterInfo],
        freeNetworkAdapterSlots: Int?,
        firmware: FirmwareInfo,
        integrationServices: [String: Bool],
        runtime: RuntimeInfo?,
        savedState: SavedStateSummary? = nil
    ) {
        self.summary = summary
        self.notes = notes
        self.configurationFile = configurationFile
        self.created = created
        self.automaticStartAction = automaticStartAction
        self.automaticStartDelaySeconds = automaticStartDelaySeconds
        self.automaticStopAction = automaticStopAction
        self.checkpointType = checkpointType
        self.checkpointSchedule = checkpointSchedule
        self.drives = drives
        self.networkAdapters = networkAdapters
        self.freeNetworkAdapterSlots = freeNetworkAdapterSlots
        self.firmware = firmware
        self.integrationServices = integrationServices
        self.runtime = runtime
        self.savedState = savedState
    }
}

/// The saved state of a machine, as far as its head says.
public struct SavedStateSummary: Codable, Hashable, Sendable {
    /// The absolute path.
    public var path: String
    /// The space that the file takes, in bytes; nil for one that is gone.
    public var sizeBytes: UInt64?
    /// When the machine was saved, in RFC 3339, UTC.
    public var created: String?
    /// The version of the QEMU that wrote it, as in `7.2.22`; another one must be as new.
    public var qemuVersion: String?
    /// `kvm` or `tcg`.
    public var accelerator: String?
    /// Why no start goes on from it, as far as its head tells; damage further on is found by a start and by `roost host scrub`.
    public var problem: String?

    /// A summary of the given fields.
    public init(
        path: String,
        sizeBytes: UInt64? = nil,
        created: String? = nil,
        qemuVersion: String? = nil,
        accelerator: String? = nil,
        problem: String? = nil
    ) {
        self.path = path
        self.sizeBytes = sizeBytes
        self.created = created
        self.qemuVersion = qemuVersion
        self.accelerator = accelerator
        self.problem = problem
    }
}

/// What is known only of a machine that has a QEMU process.
public struct RuntimeInfo: Codable, Hashable, Sendable {
    /// QEMU's process id.
    public var processID: Int
    /// QEMU's version, as in `7.2.22`.
    public var qemuVersion: String
    /// The machine type, as in `pc-q35-7.2`.
    public var machineType: String
    /// `kvm` or `tcg`.
    public var accelerator: String
    /// The processor model given to QEMU.
    public var processorModel: String
    /// Whether the guest agent has answered since the machine started.
    public var guestAgentConnected: Bool
    /// The Unix socket of the VNC display.
    public var vncSocket: String
    /// The Unix socket of the serial console; roostd itself is connected to it.
    public var serialSocket: String

    /// A record of the given fields.
    public init(
        processID: Int,
        qemuVersion: String,
        machineType: String,
        accelerator: String,
        processorModel: String,
        guestAgentConnected: Bool,
        vncSocket: String,
        serialSocket: String
    ) {
        self.processID = processID
        self.qemuVersion = qemuVersion
        self.machineType = machineType
        self.accelerator = accelerator
        self.processorModel = processorModel
        self.guestAgentConnected = guestAgentConnected
        self.vncSocket = vncSocket
        self.serialSocket = serialSocket
    }
}

/// What happens to a machine when the host starts (Hyper-V: AutomaticStartAction).
public enum AutomaticStartAction: String, Codable, Sendable, CaseIterable {
    /// It stays off.
    case nothing = "Nothing"
    /// It starts when it was running when the host went down.
    case startIfRunning = "StartIfRunning"
    /// It starts.
    case start = "Start"
}

/// What happens to a running machine when the host shuts down (Hyper-V: AutomaticStopAction).
public enum AutomaticStopAction: String, Codable, Sendable, CaseIterable {
    /// It is turned off.
    case turnOff = "TurnOff"
    /// Its state is saved.
    case save = "Save"
    /// The guest is asked to shut down.
    case shutDown = "ShutDown"
}

/// Which kind of checkpoint a machine takes (Hyper-V: CheckpointType).
public enum CheckpointType: String, Codable, Sendable, CaseIterable {
    /// None.
    case disabled = "Disabled"
    /// Production, or standard where that fails.
    case production = "Production"
    /// Production or none.
    case productionOnly = "ProductionOnly"
    /// Standard.
    case standard = "Standard"
}
