import HyperVStorage
public import RoostPrimitives

extension VirtualMachineConfiguration {
    /// The network adapters in the order of the manifest.
    public var networkAdapters: [NetworkAdapter] {
        let emulated = legacyNetworkAdapters
        return ethernetInstances.map { id, isEmulated in
            let node = device(id) ?? KeyNode(KeyNode.deviceName(id))
            return NetworkAdapter(id: id, isLegacy: isEmulated || emulated.contains(id), node: node)
        }
    }

    /// The network adapter with an identifier; nil when there is none.
    public func networkAdapter(_ id: GUID) -> NetworkAdapter? { networkAdapters.first { $0.id == id } }

    /// Adds a network adapter behind the present ones.
    ///
    /// - Throws: ``ConfigurationError`` with the code `limitReached` when there are eight (and four legacy ones, in
    ///   Generation 1), `alreadyInUse` when the identifier is one of the virtual machine's devices, `invalidValue` for
    ///   a legacy adapter in Generation 2 or an address that is not unicast.
    public mutating func addNetworkAdapter(_ adapter: NetworkAdapter) throws(ConfigurationError) {
        var generator = SystemRandomNumberGenerator()
        try addNetworkAdapter(adapter, using: &generator)
    }

    /// Adds a network adapter whose missing identifiers come from a generator.
    mutating func addNetworkAdapter(
        _ adapter: NetworkAdapter,
        using generator: inout some RandomNumberGenerator
    ) throws(ConfigurationError) {
        try check(adapter)
        guard !hasDevice(instance: adapter.id), device(adapter.id) == nil else {
            throw ConfigurationError(.alreadyInUse, "add network adapter to \(name): \(adapter.id) is already a device")
        }
        let present = networkAdapters.count { $0.isLegacy == adapter.isLegacy }
        let limit = adapter.isLegacy ? Limits.legacyNetworkAdapters : Limits.networkAdapters
        guard present < limit else {
            throw ConfigurationError(
                .limitReached,
                "add \(adapter.isLegacy ? "legacy " : "")network adapter to \(name): "
                    + "it has \(present), \(limit) is the most"
            )
        }
        let node = ConfigurationTemplate.networkAdapter(id: adapter.id, version: version, using: &generator)
        addDevice(.ethernet, instance: adapter.id, node: node)
        if adapter.isLegacy { roost.legacyNetworkAdapters.append(adapter.id) }
        write(adapter, using: &generator)
    }

    /// Changes the network adapter with the same identifier.
    ///
    /// - Throws: ``ConfigurationError`` with the code `notFound` when there is none, `invalidValue` for an address that
    ///   is not unicast or for another kind of adapter, which it cannot become.
    public mutating func updateNetworkAdapter(_ adapter: NetworkAdapter) throws(ConfigurationError) {
        guard let present = networkAdapter(adapter.id) else { throw noAdapter(adapter.id) }
        try check(adapter)
        guard present.isLegacy == adapter.isLegacy else {
            throw ConfigurationError(
                .invalidValue,
                "change network adapter \"\(adapter.name)\" of \(name): an adapter cannot become a legacy one, "
                    + "nor a legacy one another; remove it and add a new one"
            )
        }
        var generator = SystemRandomNumberGenerator()
        write(adapter, using: &generator)
    }

    /// Removes a network adapter and returns it.
    ///
    /// - Throws: ``ConfigurationError`` with the code `notFound` when there is none.
    @discardableResult
    public mutating func removeNetworkAdapter(_ id: GUID) throws(ConfigurationError) -> NetworkAdapter {
        guard let adapter = networkAdapter(id) else { throw noAdapter(id) }
        removeDevice(instance: id)
        roost.legacyNetworkAdapters.removeAll { $0 == id }
        return adapter
    }

    private func noAdapter(_ id: GUID) -> ConfigurationError {
        ConfigurationError(.notFound, "network adapter of \(name): there is none with the identifier \(id)")
    }

    private func check(_ adapter: NetworkAdapter) throws(ConfigurationError) {
        if let address = adapter.macAddress, !address.isUnicast {
            throw ConfigurationError(
                .invalidValue,
                "network adapter \"\(adapter.name)\" of \(name): \(address) is not the address of one adapter"
            )
        }
        guard !adapter.isLegacy || generation == .one else {
            throw ConfigurationError(
                .invalidValue,
                "network adapter \"\(adapter.name)\" of \(name): generation 2 has no legacy network adapters"
            )
        }
    }

    /// Writes the adapter's keys into its node.
    private mutating func write(_ adapter: NetworkAdapter, using generator: inout some RandomNumberGenerator) {
        var adapter = adapter
        if adapter.isConnected, adapter.portID == nil { adapter.portID = .random(using: &generator) }
        if device(adapter.id) == nil { root.children.append(KeyNode(KeyNode.deviceName(adapter.id))) }
        root.update(at: KeyNode.deviceName(adapter.id)) { node in
            node.write(adapter, over: NetworkAdapter(id: adapter.id, isLegacy: adapter.isLegacy, node: node))
        }
    }

    /// The instances of network adapters, with whether the manifest calls them emulated.
    var ethernetInstances: [(id: GUID, isEmulated: Bool)] { countedDevices.adapters }

    /// The devices of which a machine has only so many: the network adapters, and how many SCSI controllers.
    var countedDevices: (adapters: [(id: GUID, isEmulated: Bool)], controllers: Int) {
        var adapters: [(id: GUID, isEmulated: Bool)] = []
        var controllers = 0
        forEachManifestRow { deviceClass, row in
            if DeviceClass.scsi.isNamed(by: deviceClass) {
                if row.deviceInstance != nil { controllers += 1 }
                return
            }
            let isEmulated = Self.emulatedEthernetClassPrefix.isPrefix(ofText: deviceClass)
            guard isEmulated || DeviceClass.ethernet.isNamed(by: deviceClass), let id = row.deviceInstance else {
                return
            }
            adapters.append((id, isEmulated))
        }
        return (adapters, controllers)
    }

    /// The first group of the class of Hyper-V's emulated adapters; no more of it is documented.
    private static let emulatedEthernetClassPrefix = "718032da-"
}

extension NetworkAdapter {
    fileprivate init(id: GUID, isLegacy: Bool, node: KeyNode) {
        self.init(id: id, name: node[AdapterKeys.name], isLegacy: isLegacy)
        macAddress = MACAddress(node[AdapterKeys.address]).flatMap { $0.isZero ? nil : $0 }
        macAddressIsStatic = node[AdapterKeys.addressIsStatic]
        switchID = GUID(node[AdapterKeys.switchID])
        switchName = node[AdapterKeys.switchName]
        portID = GUID(node[AdapterKeys.portID])
        isConnected = node[AdapterKeys.isConnected]
    }
}

extension KeyNode {
    /// Writes the keys whose values change.
    ///
    /// An address or identifier that cannot be read stays as long as nobody gives another one.
    fileprivate mutating func write(_ adapter: NetworkAdapter, over old: NetworkAdapter) {
        self[AdapterKeys.name] = adapter.name
        if adapter.macAddress != old.macAddress {
            self[AdapterKeys.address] = adapter.macAddress?.description ?? AdapterKeys.address.absent
        }
        self[AdapterKeys.addressIsStatic] = adapter.macAddressIsStatic
        self[AdapterKeys.isConnected] = adapter.isConnected
        if adapter.switchID != old.switchID { self[AdapterKeys.switchID] = adapter.switchID?.uppercased ?? "" }
        if adapter.portID != old.portID { self[AdapterKeys.portID] = adapter.portID?.uppercased ?? "" }
        self[AdapterKeys.switchName] = adapter.switchName
        guard adapter.switchID != old.switchID || adapter.isConnected != old.isConnected else { return }
        if adapter.isConnected, let switchID = adapter.switchID {
            self[AdapterKeys.hostResource] = switchID.uppercased
        } else {
            remove("Connection/HostResources")
        }
    }
}

private enum AdapterKeys {
    static let name = ConfigurationKey<String>("FriendlyName", absent: "Network Adapter")
    static let address = ConfigurationKey<String>("MacAddress", absent: "00-00-00-00-00-00")
    static let addressIsStatic = ConfigurationKey<Bool>("MacAddressIsStatic", absent: false)
    static let isConnected = ConfigurationKey<Bool>("IsConnected", absent: false)
    static let switchID = ConfigurationKey<String>("SwitchName")
    static let portID = ConfigurationKey<String>("PortName")
    static let switchName = ConfigurationKey<String>("Connection/AltSwitchName")
    static let hostResource = ConfigurationKey<String>("Connection/HostResources/HostResource")
}
