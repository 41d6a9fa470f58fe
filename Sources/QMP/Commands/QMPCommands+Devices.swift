extension QMPCommands {
    /// `set_link`: plugs a network adapter's cable in or out.
    package struct SetLink: QMPCommand {
        package typealias Response = Void
        package static let name = "set_link"

        /// The identifier of the network device.
        package var id: String
        package var isUp: Bool

        package init(id: String, isUp: Bool) {
            self.id = id
            self.isUp = isUp
        }

        package var arguments: [String: JSONValue] { ["name": .string(id), "up": .bool(isUp)] }
    }

    /// `query-pci`: the devices on the PCI buses.
    package struct QueryPCI: QMPCommand {
        package static let name = "query-pci"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> [PCIBus] {
            try ReplyReader(value, of: name).map(PCIBus.init)
        }
    }
}

/// A PCI bus and what is on it.
package struct PCIBus: Hashable, Sendable {
    package var number: Int64
    package var devices: [PCIDevice]

    init(_ reader: ReplyReader) throws(QMPError) {
        number = try reader.int("bus")
        devices = try reader.list("devices", PCIDevice.init)
    }
}

/// A function of a PCI device.
package struct PCIDevice: Hashable, Sendable {
    package var bus: Int64
    package var slot: Int64
    package var function: Int64
    /// The identifier given with the device; empty without one.
    package var id: String
    package var vendorID: Int64
    package var deviceID: Int64
    /// The devices behind it, when it is a bridge.
    package var devicesBehind: [PCIDevice]

    init(_ reader: ReplyReader) throws(QMPError) {
        bus = try reader.int("bus")
        slot = try reader.int("slot")
        function = try reader.int("function")
        id = try reader.optionalString("qdev_id") ?? ""
        let hardware = try reader.member("id")
        vendorID = try hardware.int("vendor")
        deviceID = try hardware.int("device")
        devicesBehind = try reader.optionalMember("pci_bridge")?.list("devices", PCIDevice.init) ?? []
    }
}
