import HyperVStorage

/// The shape of configurations before version 5.0: Windows Server 2008 R2 and 2012.
///
/// Their trees are those of version 5.0 but for a few names; `docs/operating/importing.md` says how far this goes.
enum LegacyShape {
    /// The version of a tree that is older than 5.0; nil for any other.
    static func version(of root: KeyNode) -> ConfigurationVersion? {
        guard let raw = root.descendant("properties/version")?.value.asInteger, let number = UInt16(exactly: raw),
            number > 0, number < ConfigurationVersion.v5_0.rawValue
        else { return nil }
        return ConfigurationVersion(rawValue: number)
    }

    /// The tree in the shape of version 5.0, with every key that it had.
    static func modernized(_ root: KeyNode) -> KeyNode {
        var root = root
        root.assign(.int(Int64(ConfigurationVersion.v5_0.rawValue)), at: "properties/version")
        if root.descendant("properties/subtype") == nil { root.assign(.int(0), at: "properties/subtype") }
        for index in root.children.indices where isDevice(root.children[index].name) {
            guard root.children[index]["VDEVVersion"] == nil else { continue }
            root.children[index].update(at: "version") { $0.name = "VDEVVersion" }
        }
        return root
    }

    private static func isDevice(_ name: String) -> Bool { name.hasPrefix("_") && name.hasSuffix("_") }
}
