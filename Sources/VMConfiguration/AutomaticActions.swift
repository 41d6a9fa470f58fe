import HyperVStorage

/// What happens to a virtual machine when its host starts.
public enum AutomaticStartAction: Int, Hashable, Sendable, CaseIterable {
    /// Nothing.
    case nothing = 0
    /// It starts if it ran when the host stopped.
    case startIfRunning = 1
    /// It starts.
    case alwaysStart = 2
}

/// What happens to a running virtual machine when its host shuts down.
public enum AutomaticStopAction: Int, Hashable, Sendable, CaseIterable {
    /// It loses its power.
    case turnOff = 0
    /// Its state is saved.
    case save = 1
    /// Its guest is asked to shut down.
    case shutDown = 2
}

extension VirtualMachineConfiguration {
    /// What happens when the host starts; by default ``AutomaticStartAction/startIfRunning``.
    public var automaticStartAction: AutomaticStartAction {
        get { root[Self.startActionKey] }
        set { root[Self.startActionKey] = newValue }
    }

    /// How long the automatic start waits, in whole seconds; by default not at all.
    ///
    /// Hyper-V's files have no known key for it.
    public var automaticStartDelay: Duration {
        get { .seconds(root[Self.startDelayKey]) }
        set { root[Self.startDelayKey] = Int(clamping: max(0, newValue.components.seconds)) }
    }

    /// What happens when the host shuts down; by default ``AutomaticStopAction/save``.
    public var automaticStopAction: AutomaticStopAction {
        get { root[Self.stopActionKey] }
        set { root[Self.stopActionKey] = newValue }
    }

    static let startActionKey = ConfigurationKey<AutomaticStartAction>(
        choice: "global_settings/power/host_startup/action",
        absent: .startIfRunning
    )
    static let stopActionKey = ConfigurationKey<AutomaticStopAction>(
        choice: "global_settings/power/host_shutdown/action",
        absent: .save
    )
    private static let startDelayKey = ConfigurationKey<Int>("roost/automatic_start_delay", absent: 0)
}
