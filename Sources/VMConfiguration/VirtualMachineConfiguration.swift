public import HyperVStorage
public import RoostPrimitives

/// A virtual machine's configuration: the ordered key tree of its file, with typed views that read and write it.
///
/// A view changes the keys whose values change and no other: unknown keys, their order and their flags stay. Reading
/// never fails: a key that is absent, or that holds a value of another type, reads as the default that the property
/// documents. Setting does not check bounds; call ``validate()`` before storing what a user wants.
/// The keys are described in `docs/formats/vm-configuration.md`.
public struct VirtualMachineConfiguration: Hashable, Sendable {
    /// The key `/configuration` with all that is below it.
    public package(set) var root: KeyNode

    /// Checks a tree that was read from a file and takes it as it is.
    ///
    /// - Throws: ``ConfigurationError`` with the code `notAConfiguration` when the root is not named `configuration`
    ///   or the name, the identifier, the version or the generation is missing; `invalidValue` when one of them cannot
    ///   be; `unknownVersion` for a version that this release does not know; `outOfBounds` for a processor count or
    ///   startup memory that the version does not allow, or too many adapters or controllers.
    public init(root: KeyNode) throws(ConfigurationError) {
        let identity = try ConfigurationIdentity(root: root)
        self.root = root
        try checkSizes(name: identity.name)
    }

    /// Takes a tree that is known to be a configuration.
    init(unchecked root: KeyNode) { self.root = root }
}

extension VirtualMachineConfiguration {
    /// The display name.
    public var name: String {
        get { root[Self.nameKey] }
        set { root[Self.nameKey] = newValue }
    }

    /// The virtual machine's identifier, also the name of its files.
    ///
    /// Setting it also sets the logical identifier.
    public var id: GUID {
        get { GUID(root[Self.idKey]) ?? .zero }
        set {
            guard newValue != id else { return }
            root[Self.idKey] = newValue.uppercased
            root[ConfigurationKey("settings/global/logical_id")] = newValue.uppercased
        }
    }

    /// The kind of the hardware.
    public var generation: Generation {
        root.stored(Self.subtypeKey).flatMap { Generation(subtype: Int64($0)) } ?? .one
    }

    /// The configuration version.
    public var version: ConfigurationVersion {
        ConfigurationVersion(rawValue: UInt16(clamping: root[Self.versionKey]))
    }

    /// Free text of the user; empty by default.
    public var notes: String {
        get { root[Self.notesKey] }
        set { root[Self.notesKey] = newValue }
    }

    /// When the virtual machine was created; nil when the file does not say.
    public var creationTime: FileTime? {
        get {
            root.descendant(Self.creationTimePath)?.value.asBytes.flatMap { FileTime(littleEndianBytes: $0) }
        }
        set {
            guard newValue != creationTime else { return }
            let bytes = newValue?.littleEndianBytes ?? [UInt8](repeating: 0, count: 8)
            root.assign(.array(bytes), at: Self.creationTimePath)
        }
    }

    /// When the virtual machine last started; nil for never.
    public var lastPoweredOnTime: FileTime? {
        get { root.time("properties/last_powered_on_time") }
        set { root.setTime("properties/last_powered_on_time", newValue) }
    }

    /// When the virtual machine last stopped; nil for never.
    public var lastPoweredOffTime: FileTime? {
        get { root.time("properties/last_powered_off_time") }
        set { root.setTime("properties/last_powered_off_time", newValue) }
    }

    /// When the virtual machine last changed between off, running and saved; nil for never.
    public var lastStateChangeTime: FileTime? {
        get { root.time("properties/last_state_change_time") }
        set { root.setTime("properties/last_state_change_time", newValue) }
    }

    /// Whether a cluster keeps the virtual machine running; false by default.
    public var isHighlyAvailable: Bool {
        get { root[ConfigurationKey("properties/highly_available", absent: false)] }
        set { root[ConfigurationKey("properties/highly_available", absent: false)] = newValue }
    }

    /// Where the file with UEFI variables and TPM state is; nil when the file does not say.
    ///
    /// Versions below 9.0 have no key for it; setting it there changes nothing.
    public var guestStateFilePath: String? {
        get { root.stored(ConfigurationKey<String>(Self.guestStatePath)).flatMap { $0.isEmpty ? nil : $0 } }
        set {
            guard hasDevice(instance: DeviceClass.guestState.id) else { return }
            root[ConfigurationKey(Self.guestStatePath)] = newValue ?? ""
        }
    }

    /// What the serial ports COM1 and COM2 are connected to: a path, or empty for nothing.
    public var serialPorts: [String] {
        get { Self.serialKeys.map { root[$0] } }
        set { for (key, value) in zip(Self.serialKeys, newValue) { root[key] = value } }
    }

    static let nameKey = ConfigurationKey<String>("properties/name")
    static let idKey = ConfigurationKey<String>("properties/global_id")
    static let subtypeKey = ConfigurationKey<Int>("properties/subtype", absent: 0)
    static let versionKey = ConfigurationKey<Int>("properties/version", absent: 0)
    static let notesKey = ConfigurationKey<String>("properties/notes")
    private static let creationTimePath = "properties/creation_time"
    private static let guestStatePath = "\(KeyNode.deviceName(DeviceClass.guestState.id))/StateFilePath"
    private static let serialKeys = ["port0", "port1"].map {
        ConfigurationKey<String>("\(KeyNode.deviceName(DeviceClass.serial.id))/\($0)/connection")
    }
}

extension KeyNode {
    /// The moment that an Int key holds; nil for 0, which stands for "never".
    fileprivate func time(_ path: String) -> FileTime? {
        descendant(path)?.value.asInteger.flatMap { FileTime(intervals: $0) }
    }

    fileprivate mutating func setTime(_ path: String, _ time: FileTime?) {
        self[ConfigurationKey<UInt64>(path, absent: 0)] = time.map { UInt64($0.intervals) } ?? 0
    }
}
