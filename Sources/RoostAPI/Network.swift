public import RoostPrimitives

/// A network adapter of a virtual machine (Hyper-V: Get-VMNetworkAdapter).
public struct NetworkAdapterInfo: Codable, Hashable, Sendable {
    /// The adapter's instance identifier.
    public var id: GUID
    /// The machine's name.
    public var virtualMachine: String
    /// The adapter's display name.
    public var name: String
    /// The MAC address, as in `00-15-5D-01-02-03`; nil when none has been assigned yet.
    public var macAddress: String?
    /// The switch's name; nil when the adapter is not connected.
    public var switchName: String?
    /// The addresses that the guest agent reports.
    public var addresses: [String]

    /// An adapter of the given fields.
    public init(
        id: GUID,
        virtualMachine: String,
        name: String,
        macAddress: String?,
        switchName: String?,
        addresses: [String] = []
    ) {
        self.id = id
        self.virtualMachine = virtualMachine
        self.name = name
        self.macAddress = macAddress
        self.switchName = switchName
        self.addresses = addresses
    }
}

/// The kind of a virtual switch (Hyper-V: VMSwitchType).
public enum SwitchType: String, Codable, Sendable, CaseIterable {
    /// NAT: guests reach what the host reaches; in user mode, so guests do not see each other.
    case nat = "NAT"
    /// Guests see each other only.
    case `private` = "Private"
    /// Guests and the host see each other.
    case `internal` = "Internal"
    /// Guests are on the host's network, through an existing bridge or network interface.
    case external = "External"
}

/// A virtual switch (Hyper-V: Get-VMSwitch).
public struct SwitchInfo: Codable, Hashable, Sendable {
    /// The switch's identifier, which network adapters refer to.
    public var id: GUID
    /// The display name.
    public var name: String
    /// The kind.
    public var type: SwitchType
    /// The Linux bridge behind the switch; nil for NAT.
    public var bridge: String?
    /// The host's interface that is a port of an external switch.
    public var interface: String?
    /// The names of the machines with an adapter on the switch.
    public var virtualMachines: [String]
    /// Why the switch does not work at the moment, as in a bridge that is missing.
    public var problem: String?

    /// A switch of the given fields.
    public init(
        id: GUID,
        name: String,
        type: SwitchType,
        bridge: String? = nil,
        interface: String? = nil,
        virtualMachines: [String] = [],
        problem: String? = nil
    ) {
        self.id = id
        self.name = name
        self.type = type
        self.bridge = bridge
        self.interface = interface
        self.virtualMachines = virtualMachines
        self.problem = problem
    }
}

/// The body of `POST /v1/switches` (Hyper-V: New-VMSwitch).
public struct CreateSwitchRequest: Codable, Hashable, Sendable {
    /// The display name: 1 to 100 characters, unique on the host.
    public var name: String
    /// The kind; `NAT` is only the host's own `Default Switch`.
    public var type: SwitchType
    /// For an external switch: an existing bridge to use as it is.
    public var bridge: String?
    /// For an external switch: a host interface that becomes a port of a new bridge.
    public var interface: String?

    /// A request for a switch of a kind.
    public init(name: String, type: SwitchType, bridge: String? = nil, interface: String? = nil) {
        self.name = name
        self.type = type
        self.bridge = bridge
        self.interface = interface
    }
}
