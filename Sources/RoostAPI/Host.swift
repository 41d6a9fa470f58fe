/// Roost's release, of the daemon and the command line alike.
public let roostVersion = "0.1.0"

/// The answer of `GET /v1/host` (Hyper-V: Get-VMHost).
public struct HostInfo: Codable, Hashable, Sendable {
    /// The host's name.
    public var name: String
    /// Roost's release.
    public var roostVersion: String
    /// The functional level that the host has, as in `9`.
    public var functionalLevel: Int
    /// The release of Windows Server with the same level.
    public var functionalLevelName: String
    /// QEMU's path.
    public var qemuPath: String
    /// QEMU's version.
    public var qemuVersion: String
    /// `kvm` or `tcg`.
    public var accelerator: String
    /// Why that accelerator was chosen.
    public var acceleratorReason: String
    /// The processor model for new machines.
    public var processorModel: String
    /// Logical processors of the host.
    public var processors: Int
    /// Memory of the host in MiB.
    public var memoryMiB: UInt64
    /// Memory of the host that can be given to machines now, in MiB.
    public var availableMemoryMiB: UInt64
    /// The configuration versions that the host runs.
    public var supportedVersions: [String]
    /// The configuration version of new machines.
    public var defaultVersion: String
    /// The root of configurations and disks.
    public var stateDirectory: String
    /// The root of sockets.
    public var runDirectory: String
    /// roostd's process id.
    public var processID: Int
    /// The user that QEMU runs as.
    public var qemuUser: String
    /// What is not as it should be, as in a missing firmware.
    public var warnings: [String]

    /// A record of the given fields.
    public init(
        name: String,
        roostVersion: String,
        functionalLevel: Int,
        functionalLevelName: String,
        qemuPath: String,
        qemuVersion: String,
        accelerator: String,
        acceleratorReason: String,
        processorModel: String,
        processors: Int,
        memoryMiB: UInt64,
        availableMemoryMiB: UInt64,
        supportedVersions: [String],
        defaultVersion: String,
        stateDirectory: String,
        runDirectory: String,
        processID: Int,
        qemuUser: String,
        warnings: [String]
    ) {
        self.name = name
        self.roostVersion = roostVersion
        self.functionalLevel = functionalLevel
        self.functionalLevelName = functionalLevelName
        self.qemuPath = qemuPath
        self.qemuVersion = qemuVersion
        self.accelerator = accelerator
        self.acceleratorReason = acceleratorReason
        self.processorModel = processorModel
        self.processors = processors
        self.memoryMiB = memoryMiB
        self.availableMemoryMiB = availableMemoryMiB
        self.supportedVersions = supportedVersions
        self.defaultVersion = defaultVersion
        self.stateDirectory = stateDirectory
        self.runDirectory = runDirectory
        self.processID = processID
        self.qemuUser = qemuUser
        self.warnings = warnings
    }
}
