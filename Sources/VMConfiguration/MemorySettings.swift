import HyperVStorage

/// A virtual machine's memory; sizes in MiB.
public struct MemorySettings: Hashable, Sendable {
    /// What the virtual machine starts with, and all it has without dynamic memory.
    public var startup: UInt64 = 1024
    /// The least that dynamic memory leaves it.
    public var minimum: UInt64 = 512
    /// The most that dynamic memory gives it.
    public var maximum: UInt64 = 1_048_576
    /// Whether the host adds and removes memory while the virtual machine runs.
    public var dynamicMemoryEnabled = false
    /// The weight when memory is short: 0 to 10,000.
    public var priority = 5000
    /// What dynamic memory keeps free, in percent of what the guest uses: 5 to 2,000.
    public var buffer = 20

    /// Memory of a startup size in MiB; the minimum and the maximum follow it where it is beyond their defaults.
    public init(startup: UInt64 = 1024) {
        self.startup = startup
        minimum = min(512, startup)
        maximum = max(1_048_576, startup)
    }
}

extension VirtualMachineConfiguration {
    /// The memory; by default 1,024 MiB, 512 to 1,048,576 MiB when dynamic, priority 5,000 and buffer 20 %.
    public var memory: MemorySettings {
        get {
            var memory = MemorySettings()
            memory.startup = root[Self.memoryStartupKey]
            memory.minimum = root[MemoryKeys.minimum]
            memory.maximum = root[MemoryKeys.maximum]
            memory.dynamicMemoryEnabled = root[MemoryKeys.dynamicMemoryEnabled]
            memory.priority = root[MemoryKeys.priority]
            memory.buffer = root[MemoryKeys.buffer]
            return memory
        }
        set {
            root[Self.memoryStartupKey] = newValue.startup
            root[MemoryKeys.minimum] = newValue.minimum
            root[MemoryKeys.maximum] = newValue.maximum
            root[MemoryKeys.dynamicMemoryEnabled] = newValue.dynamicMemoryEnabled
            root[MemoryKeys.priority] = newValue.priority
            root[MemoryKeys.buffer] = newValue.buffer
        }
    }

    static let memoryStartupKey = ConfigurationKey<UInt64>("settings/memory/bank/size", absent: 1024)
}

private enum MemoryKeys {
    static let minimum = ConfigurationKey<UInt64>("settings/memory/bank/reservation", absent: 512)
    static let maximum = ConfigurationKey<UInt64>("settings/memory/bank/limit", absent: 1_048_576)
    static let dynamicMemoryEnabled = ConfigurationKey<Bool>(
        "settings/memory/bank/dynamic_memory_enabled",
        absent: false
    )
    static let priority = ConfigurationKey<Int>("settings/memory/bank/priority", absent: 5000)
    static let buffer = ConfigurationKey<Int>("settings/memory/bank/target_memory_buffer", absent: 20)
}
