public import HyperVStorage
public import RoostPrimitives

/// What a list of virtual machines shows of one: little enough to keep for ten thousand.
public struct ConfigurationSummary: Hashable, Sendable, Identifiable {
    /// The virtual machine's identifier.
    public var id: GUID
    /// The display name.
    public var name: String
    /// The kind of the hardware.
    public var generation: Generation
    /// The configuration version.
    public var version: ConfigurationVersion
    /// The startup memory in MiB.
    public var memoryStartupMiB: UInt64
    /// The number of processors.
    public var processorCount: Int
    /// Free text of the user; nil when there is none.
    public var notes: String?
    /// What happens when the host starts.
    public var automaticStartAction: AutomaticStartAction
    /// What happens when the host shuts down.
    public var automaticStopAction: AutomaticStopAction
    /// When it takes checkpoints by itself; nil for never.
    public var checkpointSchedule: CheckpointSchedule?

    /// Reads and checks the identity, the processors and the memory, and takes the rest as it is, without the other checks
    /// of a whole configuration.
    ///
    /// - Throws: ``ConfigurationError`` as ``VirtualMachineConfiguration/init(root:)`` for what is checked.
    public init(root: KeyNode) throws(ConfigurationError) {
        let identity = try ConfigurationIdentity(root: root)
        id = identity.id
        name = identity.name
        generation = identity.generation
        version = identity.version
        memoryStartupMiB = try root.storedOrThrow(VirtualMachineConfiguration.memoryStartupKey, name: identity.name)
        processorCount = try root.storedOrThrow(VirtualMachineConfiguration.processorCountKey, name: identity.name)
        let notes = root[VirtualMachineConfiguration.notesKey]
        self.notes = notes.isEmpty ? nil : notes
        automaticStartAction = root[VirtualMachineConfiguration.startActionKey]
        automaticStopAction = root[VirtualMachineConfiguration.stopActionKey]
        checkpointSchedule = root.checkpointSchedule
        try VirtualMachineConfiguration.checkBounds(processorCount, memoryStartupMiB, name: name, version)
    }

    /// The summary of a whole configuration.
    public init(_ configuration: VirtualMachineConfiguration) {
        let root = configuration.root
        id = configuration.id
        name = configuration.name
        generation = configuration.generation
        version = configuration.version
        memoryStartupMiB = root[VirtualMachineConfiguration.memoryStartupKey]
        processorCount = root[VirtualMachineConfiguration.processorCountKey]
        let notes = root[VirtualMachineConfiguration.notesKey]
        self.notes = notes.isEmpty ? nil : notes
        automaticStartAction = root[VirtualMachineConfiguration.startActionKey]
        automaticStopAction = root[VirtualMachineConfiguration.stopActionKey]
        checkpointSchedule = root.checkpointSchedule
    }
}
