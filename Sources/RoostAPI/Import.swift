public import RoostPrimitives

/// How an imported machine comes to a host.
public enum ImportMode: String, Codable, Sendable, CaseIterable {
    /// Disks are copied, the GUID stays.
    case restore
    /// Disks are used where they lie, the GUID stays.
    case register
    /// Disks are copied, the GUID is a new one.
    case copy
}

/// The body of `POST /v1/imports` and `/v1/imports/plan` (Hyper-V: Import-VM, Compare-VM).
///
/// The first is answered by a ``Job`` whose result is the machine's GUID, the second by an ``ImportReport``.
public struct ImportVirtualMachineRequest: Codable, Hashable, Sendable {
    /// The absolute path of a configuration file (`.vmcx`, `.xml`) or of an exported folder.
    public var path: String
    /// How the machine comes to the host; nil means `restore`.
    public var mode: ImportMode?
    /// The machine's name; nil keeps the one in the file.
    public var name: String?
    /// The absolute path of a folder to look for disks in, after all others.
    public var disksFolder: String?
    /// Whether copies of VHDX disks stay VHDX; nil means no: they become qcow2.
    public var keepVHDX: Bool?
    /// `virtio-scsi` or `ahci`; nil means what the file says, else `virtio-scsi`.
    public var diskController: String?
    /// `virtio`, `e1000` or `e1000e`; nil means what the file says, else `e1000` for generation 1 and `virtio` for 2.
    public var adapterModel: String?

    /// A request to import what is at a path.
    public init(path: String) { self.path = path }
}

/// A drive of a machine that is to be imported.
public struct ImportedDisk: Codable, Hashable, Sendable {
    /// A place where the drive's file could be.
    public struct Candidate: Codable, Hashable, Sendable {
        /// The path.
        public var path: String
        /// Whether a file is there that may be used.
        public var isUsable: Bool
        /// What is special about it.
        public var note: String?

        /// A place of the given fields.
        public init(path: String, isUsable: Bool, note: String?) {
            self.path = path
            self.isUsable = isUsable
            self.note = note
        }
    }

    /// Where the drive is attached, as in `scsi:0:0`.
    public var location: String
    /// The path in the configuration file.
    public var recordedPath: String
    /// Where the file was looked for, in order; the first usable one counts.
    public var candidates: [Candidate]
    /// The file that is used; nil when there is none.
    public var source: String?
    /// `vhdx`, `vhd`, `qcow2` or `raw`.
    public var format: String?
    /// The path of the copy; nil when the file is used where it lies, or not at all.
    public var target: String?

    /// A drive of the given fields.
    public init(
        location: String,
        recordedPath: String,
        candidates: [Candidate],
        source: String?,
        format: String?,
        target: String?
    ) {
        self.location = location
        self.recordedPath = recordedPath
        self.candidates = candidates
        self.source = source
        self.format = format
        self.target = target
    }
}

/// What an import would do.
public struct ImportReport: Codable, Hashable, Sendable {
    /// The configuration file.
    public var configurationFile: String
    /// The GUID that the machine will have.
    public var id: GUID
    /// The name that the machine will have.
    public var name: String
    /// 1 or 2.
    public var generation: Int
    /// The configuration version in the file.
    public var version: String
    /// How the machine comes to the host.
    public var mode: ImportMode
    /// The drives with a medium.
    public var disks: [ImportedDisk]
    /// What the configuration comes to here, one line for each thing.
    public var mapped: [String]
    /// The paths of keys that have no meaning here; they are kept.
    public var keptKeys: [String]
    /// What is not as it was.
    public var warnings: [String]
    /// Why the import cannot be done; empty when it can.
    public var problems: [String]

    /// A report of the given fields.
    public init(
        configurationFile: String,
        id: GUID,
        name: String,
        generation: Int,
        version: String,
        mode: ImportMode,
        disks: [ImportedDisk],
        mapped: [String],
        keptKeys: [String],
        warnings: [String],
        problems: [String]
    ) {
        self.configurationFile = configurationFile
        self.id = id
        self.name = name
        self.generation = generation
        self.version = version
        self.mode = mode
        self.disks = disks
        self.mapped = mapped
        self.keptKeys = keptKeys
        self.warnings = warnings
        self.problems = problems
    }
}

/// The body of `POST /v1/vms/{vm}/export` (Hyper-V: Export-VM).
///
/// Answered by a ``Job`` whose result is the path of the folder that was made.
public struct ExportVirtualMachineRequest: Codable, Hashable, Sendable {
    /// The absolute path of the folder in which a folder of the machine's name is made.
    public var directory: String
    /// Whether disks are converted to VHDX; nil means that they are copied as they are.
    public var vhdx: Bool?

    /// A request to export into a folder.
    public init(directory: String, vhdx: Bool? = nil) {
        self.directory = directory
        self.vhdx = vhdx
    }
}
