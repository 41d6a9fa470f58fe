import HyperVStorage
public import RoostPrimitives

/// What a new virtual machine is made from.
public struct NewVirtualMachine: Hashable, Sendable {
    /// The display name; see ``VirtualMachineConfiguration/validateName(_:)``.
    public var name: String
    /// The identifier.
    public var id: GUID = .random()
    /// The kind of hardware.
    public var generation: Generation
    /// The configuration version; it decides which keys the file gets.
    public var version: ConfigurationVersion
    /// The memory.
    public var memory = MemorySettings()
    /// The processors.
    public var processors = ProcessorSettings()
    /// Free text of the user.
    public var notes = ""
    /// When it is created; nil writes "never".
    public var creationTime: FileTime?
    /// The user whom it belongs to, as a security identifier: Unix users have S-1-22-1 and their number.
    public var ownerSID = "S-1-22-1-0"
    /// Whether Secure Boot is on; only Generation 2 has it, and there it is on by default.
    public var secureBootEnabled: Bool
    /// Whose signatures Secure Boot trusts; nil for none, as in Generation 1.
    public var secureBootTemplate: SecureBootTemplate?
    /// The network adapters; by default one without a switch.
    public var networkAdapters = [NetworkAdapter()]
    /// Where the file with UEFI variables and TPM state will be; empty for nowhere.
    ///
    /// Versions below 9.0 have no key for it.
    public var guestStateFilePath = ""
    /// The host that makes it.
    public var creationHost: String?

    /// A virtual machine with one processor, 1,024 MiB of memory, one network adapter and one SCSI controller.
    public init(name: String, generation: Generation = .two, version: ConfigurationVersion) {
        self.name = name
        self.generation = generation
        self.version = version
        secureBootEnabled = generation == .two
        secureBootTemplate = generation == .two ? .microsoftWindows : nil
    }
}

extension VirtualMachineConfiguration {
    /// The configuration of a new virtual machine, with the keys of its version in the order of Hyper-V.
    ///
    /// Generation 1 has an empty DVD drive at `ide:1:0` and an empty floppy drive; both generations have one SCSI
    /// controller without drives.
    ///
    /// - Throws: ``ConfigurationError`` as ``validate()`` and ``addNetworkAdapter(_:)``, and `unknownVersion` for a
    ///   version that this release does not know.
    public static func new(_ machine: NewVirtualMachine) throws(ConfigurationError) -> VirtualMachineConfiguration {
        var generator = SystemRandomNumberGenerator()
        return try new(machine, using: &generator)
    }

    /// The configuration of a new virtual machine whose identifiers and serial number come from a generator.
    public static func new(
        _ machine: NewVirtualMachine,
        using generator: inout some RandomNumberGenerator
    ) throws(ConfigurationError) -> VirtualMachineConfiguration {
        guard machine.version.isKnown else {
            throw ConfigurationError(
                .unknownVersion,
                "create virtual machine \"\(machine.name)\": configuration version \(machine.version) is not known "
                    + "here; known are " + ConfigurationVersion.known.map(\.description).joined(separator: ", ")
            )
        }
        let root = ConfigurationTemplate(machine).root(using: &generator)
        var configuration = VirtualMachineConfiguration(unchecked: root)
        for adapter in machine.networkAdapters { try configuration.addNetworkAdapter(adapter, using: &generator) }
        try configuration.addScsiController(using: &generator)
        configuration.apply(machine)
        if machine.version < .v6_0 { configuration.root.sortChildren() }
        try configuration.validate()
        return configuration
    }

    /// Writes what the template does not: the user's settings, and the manifest at its place behind all devices.
    private mutating func apply(_ machine: NewVirtualMachine) {
        if let index = root.children.firstIndex(where: { $0.name == "manifest" }) {
            root.children.append(root.children.remove(at: index))
        }
        memory = machine.memory
        processors = machine.processors
        var firmware = firmware
        firmware.secureBootEnabled = machine.secureBootEnabled
        firmware.secureBootTemplate = machine.secureBootTemplate
        self.firmware = firmware
        roost.creationHost = machine.creationHost
    }
}
