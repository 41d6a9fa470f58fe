/// What a command adds to a running QEMU, and another one removes again by its identifier.
package protocol QMPAddable: Sendable {
    /// The command that adds one.
    static var addCommand: String { get }
    /// The command that removes one.
    static var deleteCommand: String { get }
    /// The argument that says of which type it is.
    static var typeArgument: String { get }
    /// The argument that holds its identifier.
    static var idArgument: String { get }
}

extension QMPAddable {
    package static var idArgument: String { "id" }
}

extension QMPCommands {
    /// Adds something to a running QEMU.
    package struct Add<Kind: QMPAddable>: QMPCommand {
        package typealias Response = Void
        package static var name: String { Kind.addCommand }

        package var type: String
        package var id: String
        /// What else there is to say of it.
        package var properties: [String: JSONValue]

        package init(type: String, id: String, properties: [String: JSONValue] = [:]) {
            self.type = type
            self.id = id
            self.properties = properties
        }

        package var arguments: [String: JSONValue] {
            properties.setting(Kind.typeArgument, .string(type)).setting(Kind.idArgument, .string(id))
        }
    }

    /// Removes what ``Add`` has added.
    package struct Delete<Kind: QMPAddable>: QMPCommand {
        package typealias Response = Void
        package static var name: String { Kind.deleteCommand }

        package var id: String

        package init(id: String) { self.id = id }

        package var arguments: [String: JSONValue] { [Kind.idArgument: .string(id)] }
    }

    /// A device, which the guest sees.
    package enum Device: QMPAddable {
        package static let addCommand = "device_add"
        package static let deleteCommand = "device_del"
        package static let typeArgument = "driver"
    }

    /// A network back end.
    package enum NetworkBackend: QMPAddable {
        package static let addCommand = "netdev_add"
        package static let deleteCommand = "netdev_del"
        package static let typeArgument = "type"
    }

    /// An object, such as a memory back end.
    package enum Object: QMPAddable {
        package static let addCommand = "object-add"
        package static let deleteCommand = "object-del"
        package static let typeArgument = "qom-type"
    }

    /// An image that is open as a node of the block graph.
    package enum BlockNodeKind: QMPAddable {
        package static let addCommand = "blockdev-add"
        package static let deleteCommand = "blockdev-del"
        package static let typeArgument = "driver"
        package static let idArgument = "node-name"
    }

    /// `device_add`: plugs a device in; the guest may take a while to notice.
    package typealias DeviceAdd = Add<Device>
    /// `device_del`: asks the guest to let a device go; ``QMPEvent/Kind/deviceDeleted(id:path:)`` says that it did.
    package typealias DeviceDelete = Delete<Device>
    /// `netdev_add`: makes a network back end.
    package typealias NetdevAdd = Add<NetworkBackend>
    /// `netdev_del`: removes a network back end.
    package typealias NetdevDelete = Delete<NetworkBackend>
    /// `object-add`: makes an object.
    package typealias ObjectAdd = Add<Object>
    /// `object-del`: removes an object that nothing uses.
    package typealias ObjectDelete = Delete<Object>
    /// `blockdev-add`: opens an image as a node of the block graph.
    package typealias BlockdevAdd = Add<BlockNodeKind>
    /// `blockdev-del`: closes a node that nothing uses.
    package typealias BlockdevDelete = Delete<BlockNodeKind>
}

extension QMPCommands.Add where Kind == QMPCommands.Device {
    /// A device of a driver; on `bus`, or where QEMU finds room.
    package init(driver: String, id: String, bus: String? = nil, properties: [String: JSONValue] = [:]) {
        self.init(type: driver, id: id, properties: properties.setting("bus", bus.map(JSONValue.string)))
    }
}

extension QMPCommands.Add where Kind == QMPCommands.BlockNodeKind {
    /// A node of a driver, with the driver's other options.
    package init(driver: String, nodeName: String, options: [String: JSONValue] = [:]) {
        self.init(type: driver, id: nodeName, properties: options)
    }
}

extension QMPCommands.Delete where Kind == QMPCommands.BlockNodeKind {
    /// A node by its name.
    package init(nodeName: String) { self.init(id: nodeName) }
}
