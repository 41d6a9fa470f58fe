import HyperVStorage
public import RoostPrimitives

/// A UEFI variable as a version 5.0 configuration keeps it.
public struct UEFIVariable: Hashable, Sendable {
    /// The namespace.
    public var vendor: GUID
    /// The name within the namespace.
    public var name: String
    /// Where the variable lives and who may write it, as UEFI numbers it (section 8.2).
    public var attributes: UInt32
    /// The content.
    public var data: [UInt8]
    /// When it was written last, as the 16 bytes of an `EFI_TIME`: zeros unless the variable is authenticated; nil when
    /// the file does not say.
    public var timestamp: [UInt8]?

    /// A variable with a content.
    public init(
        vendor: GUID,
        name: String,
        attributes: UInt32,
        data: [UInt8],
        timestamp: [UInt8]? = nil
    ) {
        self.vendor = vendor
        self.name = name
        self.attributes = attributes
        self.data = data
        self.timestamp = timestamp
    }

    /// The namespace and the name, as the file numbers variables by them.
    var identifier: String { vendor.uppercased + name }

    /// The name of the variable's node.
    var nodeName: String { "_\(identifier)" }
}

extension VirtualMachineConfiguration {
    /// The UEFI variables in the order in which the firmware made them; empty for a binary version, which has a file
    /// for them.
    ///
    /// What stands among the variables and is none, and a second variable of a name, are left out.
    public var uefiVariables: [UEFIVariable] {
        let rows = (root.descendant(Self.nvramPath)?.children ?? []).compactMap { node in
            UEFIVariable(node).map { (index: node["index"]?.value.asInteger ?? .max, variable: $0) }
        }
        var seen: Set<String> = []
        return rows.enumerated()
            .sorted { ($0.element.index, $0.offset) < ($1.element.index, $1.offset) }
            .map(\.element.variable)
            .filter { seen.insert($0.identifier).inserted }
    }

    /// Replaces the UEFI variables of a version 5.0 virtual machine; their order is that of the list.
    ///
    /// - Parameter time: When they changed, which the file notes.
    /// - Throws: ``ConfigurationError`` with the code `invalidValue` for Generation 1 or a binary version, a name that
    ///   cannot stand in the file, a time stamp that has not 16 bytes, or two variables of a name; `outOfBounds` for
    ///   more than 1,024 variables or 64 KiB in one.
    public mutating func setUEFIVariables(
        _ variables: [UEFIVariable],
        at time: FileTime
    ) throws(ConfigurationError) {
        try check(variables)
        var nvram = root.descendant(Self.nvramPath) ?? KeyNode("nvram")
        nvram.value = .node
        let names = Set(variables.map(\.nodeName))
        nvram.children.removeAll { UEFIVariable($0) != nil && !names.contains($0.name) }
        for (index, variable) in variables.enumerated() { nvram.write(variable, index: index) }
        if let map = nvram.children.firstIndex(where: { $0.name == "map" }) {
            nvram.children[map].children.removeAll { row in
                Self.mapIndex(row.name).map { $0 >= variables.count } == true
            }
        }
        nvram.assign(.int(Int64(variables.count)), at: "map_max_index")
        nvram.assign(.array(SystemTime(time).bytes), at: "last_update_time")
        root.assign(.node, at: Self.nvramPath)
        root.update(at: Self.nvramPath) { $0 = nvram }
    }

    static let nvramPath = "\(KeyNode.deviceName(DeviceClass.firmware.id))/nvram"

    /// The number of a row `index7` of the map.
    static func mapIndex(_ name: String) -> Int? {
        let digits = name.dropFirst("index".count)
        return name.hasPrefix("index") && digits.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(digits) : nil
    }

    private func check(_ variables: [UEFIVariable]) throws(ConfigurationError) {
        guard generation == .two, version.fileFormat == .xml else {
            throw ConfigurationError(
                .invalidValue,
                "UEFI variables of \(name): only the file of a generation 2 virtual machine of version 5.0 holds them"
            )
        }
        guard variables.count <= Limits.uefiVariables else {
            throw ConfigurationError(
                .outOfBounds,
                "UEFI variables of \(name): \(variables.count) are more than \(Limits.uefiVariables)"
            )
        }
        var seen: Set<String> = []
        for variable in variables {
            func refuse(_ code: ConfigurationError.Code, _ reason: String) -> ConfigurationError {
                ConfigurationError(code, "UEFI variable \(variable.name) of \(name): \(reason)")
            }
            guard !variable.name.isEmpty, XMLCharacters.isName(variable.nodeName),
                variable.nodeName.utf8.count <= XMLLimits.nameBytes
            else { throw refuse(.invalidValue, "a version 5.0 file cannot hold this name") }
            guard variable.data.count <= Limits.uefiVariableBytes else {
                throw refuse(.outOfBounds, "\(variable.data.count) bytes are more than \(Limits.uefiVariableBytes)")
            }
            guard variable.timestamp.map({ $0.count == 16 }) != false else {
                throw refuse(.invalidValue, "its time stamp has not 16 bytes")
            }
            guard seen.insert(variable.identifier).inserted else {
                throw refuse(.invalidValue, "it is there twice")
            }
        }
    }
}

extension UEFIVariable {
    /// The variable that a node describes; nil for another node.
    init?(_ node: KeyNode) {
        let name = Array(node.name.utf8)
        guard node.value == .node, name.first == UInt8(ascii: "_"), name.count > 37,
            let vendor = GUID(String(decoding: name[1..<37], as: UTF8.self)),
            let attributes = node["attributes"]?.value.asInteger.flatMap(UInt32.init(exactly:)),
            let data = node["data"]?.value.asBytes
        else { return nil }
        self.init(
            vendor: vendor,
            name: String(decoding: name[37...], as: UTF8.self),
            attributes: attributes,
            data: data,
            timestamp: node["timestamp"]?.value.asBytes
        )
    }
}

extension KeyNode {
    /// Writes a variable's keys, in place where it is there already, and its row of the map.
    fileprivate mutating func write(_ variable: UEFIVariable, index: Int) {
        let path = variable.nodeName
        assign(.int(Int64(variable.attributes)), at: "\(path)/attributes")
        assign(.array(variable.data), at: "\(path)/data")
        assign(.int(Int64(index)), at: "\(path)/index")
        if let timestamp = variable.timestamp {
            assign(.array(timestamp), at: "\(path)/timestamp")
        } else {
            remove("\(path)/timestamp")
        }
        assign(.string(variable.identifier), at: "map/index\(index)")
    }
}
