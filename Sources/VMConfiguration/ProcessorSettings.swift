import HyperVStorage

/// A virtual machine's processors.
public struct ProcessorSettings: Hashable, Sendable {
    /// How many there are: 1 to 240, below version 8.0 at most 64.
    public var count = 1
    /// The share of the host's processors that is kept for the virtual machine, in 1/1000 %: 0 to 100,000.
    public var reservation = 0
    /// The share that the virtual machine may use, in 1/1000 %: 0 to 100,000.
    public var limit = 100_000
    /// The weight when processors are short: 1 to 10,000.
    public var weight = 100
    /// Whether the guest sees few processor features, so that operating systems of Windows NT's age start.
    public var compatibilityForOlderOperatingSystems = false
    /// Whether the guest sees only features that allow migration between different processors of a maker.
    public var compatibilityForMigration = false
    /// Whether the guest can run a hypervisor; needs version 8.0.
    public var nestedVirtualization = false
    /// Whether the guest is not told that it runs in a virtual machine.
    public var hypervisorHidden = false
    /// The threads per core that the guest sees; 0 leaves it to the host.
    public var threadsPerCore = 0

    /// `count` processors with default settings.
    public init(count: Int = 1) { self.count = count }
}

extension VirtualMachineConfiguration {
    /// The processors; by default one, without reservation, without limit (100,000) and with the weight 100.
    public var processors: ProcessorSettings {
        get {
            var processors = ProcessorSettings(count: root[Self.processorCountKey])
            processors.reservation = root[ProcessorKeys.reservation]
            processors.limit = root[ProcessorKeys.limit]
            processors.weight = root[ProcessorKeys.weight]
            processors.compatibilityForOlderOperatingSystems = root[ProcessorKeys.limitCPUID]
            processors.compatibilityForMigration = root[ProcessorKeys.limitFeatures]
            processors.nestedVirtualization = root[ProcessorKeys.nestedVirtualization]
            processors.hypervisorHidden = root[ProcessorKeys.hypervisorHidden]
            processors.threadsPerCore = root[ProcessorKeys.threadsPerCore]
            return processors
        }
        set {
            root[Self.processorCountKey] = newValue.count
            root[ProcessorKeys.reservation] = newValue.reservation
            root[ProcessorKeys.limit] = newValue.limit
            root[ProcessorKeys.weight] = newValue.weight
            root[ProcessorKeys.limitCPUID] = newValue.compatibilityForOlderOperatingSystems
            root[ProcessorKeys.limitFeatures] = newValue.compatibilityForMigration
            root[ProcessorKeys.nestedVirtualization] = newValue.nestedVirtualization
            root[ProcessorKeys.hypervisorHidden] = newValue.hypervisorHidden
            root[ProcessorKeys.threadsPerCore] = newValue.threadsPerCore
        }
    }

    static let processorCountKey = ConfigurationKey<Int>("settings/processors/count", absent: 1)
}

private enum ProcessorKeys {
    static let reservation = ConfigurationKey<Int>("settings/processors/reservation", absent: 0)
    static let limit = ConfigurationKey<Int>("settings/processors/limit", absent: 100_000)
    static let weight = ConfigurationKey<Int>("settings/processors/weight", absent: 100)
    static let limitCPUID = ConfigurationKey<Bool>("settings/processors/limit_cpuid", absent: false)
    static let limitFeatures = ConfigurationKey<Bool>("settings/processors/features/limit", absent: false)
    static let nestedVirtualization = ConfigurationKey<Bool>(
        "settings/processors/nested_virtualization/enabled",
        absent: false
    )
    static let hypervisorHidden = ConfigurationKey<Bool>(
        "settings/processors/hide_hypervisor_present",
        absent: false
    )
    static let threadsPerCore = ConfigurationKey<Int>("settings/processors/hwthreads", absent: 0)
}
