import HyperVStorage

/// Which checkpoints a virtual machine gets.
public enum CheckpointType: Int, Hashable, Sendable, CaseIterable {
    /// None.
    case disabled = 2
    /// Production checkpoints, standard ones where the guest cannot freeze.
    case production = 3
    /// Production checkpoints; where the guest cannot freeze, none.
    case productionOnly = 4
    /// Checkpoints with memory.
    case standard = 5
}

extension VirtualMachineConfiguration {
    /// Which checkpoints the virtual machine gets; by default production ones, or standard ones where the version has
    /// no others.
    public var checkpointType: CheckpointType {
        get { root[checkpointTypeKey] }
        set { root[checkpointTypeKey] = newValue }
    }

    /// Whether every start makes a checkpoint that the next one replaces; false by default.
    public var automaticCheckpointsEnabled: Bool {
        get { root[Self.automaticCheckpointsKey] }
        set { root[Self.automaticCheckpointsKey] = newValue }
    }

    private var checkpointTypeKey: ConfigurationKey<CheckpointType> {
        ConfigurationKey(
            choice: "global_settings/snapshots/user_type",
            absent: version.supports(.productionCheckpoints) ? .production : .standard
        )
    }

    private static let automaticCheckpointsKey = ConfigurationKey<Bool>(
        "global_settings/snapshots/enable_automatic",
        absent: false
    )
}
