extension QMPCommands {
    /// `qom-get`: reads a property of an object.
    package struct QOMGet: QMPCommand {
        package typealias Response = JSONValue
        package static let name = "qom-get"

        package var path: String
        package var property: String

        package init(path: String, property: String) {
            self.path = path
            self.property = property
        }

        package var arguments: [String: JSONValue] { ["path": .string(path), "property": .string(property)] }
    }

    /// `qom-set`: writes a property of an object.
    package struct QOMSet: QMPCommand {
        package typealias Response = Void
        package static let name = "qom-set"

        package var path: String
        package var property: String
        package var value: JSONValue

        package init(path: String, property: String, value: JSONValue) {
            self.path = path
            self.property = property
            self.value = value
        }

        package var arguments: [String: JSONValue] {
            ["path": .string(path), "property": .string(property), "value": value]
        }
    }

    /// `qom-list`: the properties of an object, its children among them.
    package struct QOMList: QMPCommand {
        package static let name = "qom-list"

        package var path: String

        package init(path: String) { self.path = path }

        package var arguments: [String: JSONValue] { ["path": .string(path)] }

        package static func response(from value: JSONValue) throws(QMPError) -> [ObjectProperty] {
            try ReplyReader(value, of: name).map(ObjectProperty.init)
        }
    }
}

/// A property of an object or of a type of device.
package struct ObjectProperty: Hashable, Sendable {
    package var name: String
    /// The type: `bool`, `child<container>`, `link<memory-backend>`.
    package var type: String
    /// What it is for, for people.
    package var description: String?
    package var defaultValue: JSONValue?

    init(_ reader: ReplyReader) throws(QMPError) {
        name = try reader.string("name")
        type = try reader.string("type")
        description = try reader.optionalString("description")
        defaultValue = try reader.optionalMember("default-value")?.json
    }
}
