import HyperVStorage
import RoostPrimitives

/// What a key tree must say to be a virtual machine's configuration.
struct ConfigurationIdentity {
    var name: String
    var id: GUID
    var generation: Generation
    var version: ConfigurationVersion

    /// Reads and checks the identity.
    init(root: KeyNode) throws(ConfigurationError) {
        guard root.name == "configuration" else {
            throw ConfigurationError(
                .notAConfiguration,
                "read virtual machine: the root key is \"\(root.name)\", expected \"configuration\""
            )
        }
        let properties = root["properties"] ?? KeyNode("properties")
        name = try Self.required("name", in: properties, \.asString)
        let idText = try Self.required("global_id", in: properties, \.asString)
        guard let id = GUID(idText), id != .zero else {
            throw ConfigurationError(
                .invalidValue,
                "read virtual machine \"\(name)\": properties/global_id is \"\(idText)\", which is not a GUID"
            )
        }
        self.id = id
        // Before the generation: a version that is not known may store it in another way.
        version = try Self.version(try Self.required("version", in: properties, \.asInteger), name: name)
        let subtype = try Self.required("subtype", in: properties, \.asInteger)
        guard let generation = Generation(subtype: subtype) else {
            throw ConfigurationError(
                .invalidValue,
                "read virtual machine \"\(name)\": properties/subtype is \(subtype); "
                    + "only 0 (generation 1) and 1 (generation 2) are virtual machines"
            )
        }
        self.generation = generation
    }

    private static func required<Value>(
        _ key: String,
        in properties: KeyNode,
        _ decode: (KeyValue) -> Value?
    ) throws(ConfigurationError) -> Value {
        guard let node = properties[key] else {
            throw ConfigurationError(.notAConfiguration, "read virtual machine: the key properties/\(key) is missing")
        }
        guard let value = decode(node.value) else {
            throw ConfigurationError(.invalidValue, "read virtual machine: the key properties/\(key) has a wrong type")
        }
        return value
    }

    private static func version(_ raw: Int64, name: String) throws(ConfigurationError) -> ConfigurationVersion {
        let version = UInt16(exactly: raw).map(ConfigurationVersion.init(rawValue:))
        if let version, version.isKnown { return version }
        let known = ConfigurationVersion.known.map(\.description).joined(separator: ", ")
        throw ConfigurationError(
            .unknownVersion,
            "read virtual machine \"\(name)\": configuration version \(version?.description ?? String(raw)) "
                + "is not known here; known are \(known)"
        )
    }
}
