public import RoostPrimitives

/// A network adapter of a virtual machine.
public struct NetworkAdapter: Hashable, Sendable, Identifiable {
    /// The device's instance; it stays when other adapters come and go.
    public var id: GUID
    /// The display name; several adapters may share one.
    public var name: String
    /// The hardware address; nil while none is assigned.
    public var macAddress: MACAddress?
    /// Whether the user chose the address, so that a copy of the virtual machine keeps it.
    public var macAddressIsStatic: Bool
    /// The virtual switch; nil for none.
    public var switchID: GUID?
    /// The switch's name when the adapter was connected, to find the switch of another host by; may be empty.
    public var switchName: String
    /// The port of the switch; made when the adapter is connected without one.
    public var portID: GUID?
    /// Whether the adapter is plugged into its switch.
    public var isConnected: Bool
    /// Whether it is an emulated adapter, which Generation 1 can boot from.
    public var isLegacy: Bool

    /// A network adapter; connected when a switch is given.
    public init(
        id: GUID = .random(),
        name: String = "Network Adapter",
        macAddress: MACAddress? = nil,
        macAddressIsStatic: Bool = false,
        switchID: GUID? = nil,
        switchName: String = "",
        isLegacy: Bool = false
    ) {
        self.id = id
        self.name = name
        self.macAddress = macAddress
        self.macAddressIsStatic = macAddressIsStatic
        self.switchID = switchID
        self.switchName = switchName
        self.isConnected = switchID != nil
        self.isLegacy = isLegacy
    }
}
