/// A configuration version, as `GET /v1/host/versions` lists it (Hyper-V: Get-VMHostSupportedVersion).
public struct VersionInfo: Codable, Hashable, Sendable {
    /// The version, as in `8.0`.
    public var version: String
    /// Whether this host runs machines of it.
    public var isSupported: Bool
    /// Whether new machines get it when none is named.
    public var isDefault: Bool
    /// `xml` or `vmcx`.
    public var fileFormat: String
    /// The virtual hardware that it pins, as QEMU numbers it.
    public var hardware: String
    /// What it brings beyond the versions before.
    public var brings: [String]

    /// A row of the given fields.
    public init(
        version: String,
        isSupported: Bool,
        isDefault: Bool,
        fileFormat: String,
        hardware: String,
        brings: [String]
    ) {
        self.version = version
        self.isSupported = isSupported
        self.isDefault = isDefault
        self.fileFormat = fileFormat
        self.hardware = hardware
        self.brings = brings
    }
}

/// The body of `POST /v1/vms/{vm}/update-version` (Hyper-V: Update-VMVersion, once Update-VmConfigurationVersion).
///
/// Answered by a ``VersionUpdate``.
public struct UpdateVersionRequest: Codable, Hashable, Sendable {
    /// The version to upgrade to; nil means the host's default.
    public var version: String?
    /// Whether nothing is changed and the answer only says what would be.
    public var dryRun: Bool?

    /// A request to upgrade to a version.
    public init(version: String? = nil, dryRun: Bool? = nil) {
        self.version = version
        self.dryRun = dryRun
    }
}

/// An upgrade of a machine's configuration version, planned or done.
///
/// What is done cannot be undone.
public struct VersionUpdate: Codable, Hashable, Sendable {
    /// The machine's name.
    public var name: String
    /// The version before.
    public var from: String
    /// The version asked for.
    public var to: String
    /// Whether it was carried out.
    public var isDone: Bool
    /// Why it cannot be carried out now, each with what to do about it.
    public var blockers: [String]
    /// The keys of the configuration that differ afterwards, each with the reason.
    public var changes: [String]
    /// What the owner should know.
    public var notes: [String]

    /// An upgrade of the given fields.
    public init(
        name: String,
        from: String,
        to: String,
        isDone: Bool = false,
        blockers: [String] = [],
        changes: [String] = [],
        notes: [String] = []
    ) {
        self.name = name
        self.from = from
        self.to = to
        self.isDone = isDone
        self.blockers = blockers
        self.changes = changes
        self.notes = notes
    }
}

/// A version that a machine has or had, as `GET /v1/vms/{vm}/version-history` lists them, oldest first.
public struct VersionRecord: Codable, Hashable, Sendable {
    /// The version, as in `5.0`; nil for the one in use of a broken machine, whose version is unknown.
    public var version: String?
    /// The absolute path of the configuration of that version.
    public var path: String
    /// Whether it is the one in use; the others are sealed.
    public var isCurrent: Bool

    /// A record of the given fields.
    public init(version: String?, path: String, isCurrent: Bool) {
        self.version = version
        self.path = path
        self.isCurrent = isCurrent
    }
}
