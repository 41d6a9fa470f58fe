public import HyperVStorage
import RoostPrimitives

/// A key that two configurations do not share, or in which they differ.
public struct ConfigurationDifference: Hashable, Sendable {
    /// A part of a path.
    public struct Step: Hashable, Sendable {
        /// The key's name; a row of the manifest is called by its device's instance, since its number says nothing.
        public var name: String
        /// The number of the key among the siblings of its name, from 1.
        public var occurrence: Int
    }

    /// The way to the key, below the root.
    public var path: [Step]
    /// The key, without its children, in the first tree; nil when it is not there.
    public var before: KeyNode?
    /// The key, without its children, in the second tree; nil when it is not there.
    public var after: KeyNode?
}

extension ConfigurationDifference: CustomStringConvertible {
    /// The path: `/global_settings/metrics/devicetype[2]/guid`.
    public var description: String {
        path.map { "/" + $0.name + ($0.occurrence > 1 ? "[\($0.occurrence)]" : "") }.joined()
    }
}

extension ConfigurationDifference {
    /// All differences between two trees: keys with their values and flags, the order of siblings of one name.
    ///
    /// The order of siblings with different names means nothing and is not compared; rows of the manifest are compared
    /// by their devices. Keys of the first tree come in its order, then those that only the second has.
    public static func between(_ before: KeyNode, _ after: KeyNode) -> [ConfigurationDifference] {
        let (old, new) = (before.entries(), after.entries())
        let newByPath = Dictionary(new.map { ($0.identifier, $0.key) }) { first, _ in first }
        let oldPaths = Set(old.map(\.identifier))
        var differences: [ConfigurationDifference] = []
        for entry in old where newByPath[entry.identifier] != entry.key {
            differences.append(
                ConfigurationDifference(path: entry.path, before: entry.key, after: newByPath[entry.identifier])
            )
        }
        for entry in new where !oldPaths.contains(entry.identifier) {
            differences.append(ConfigurationDifference(path: entry.path, before: nil, after: entry.key))
        }
        return differences
    }
}

/// A key without its children, and where it is.
private struct Entry {
    var path: [ConfigurationDifference.Step]
    /// The path by its bytes: texts count as equal that are only canonically equivalent.
    var identifier: [UInt8]
    var key: KeyNode
}

extension KeyNode {
    /// All keys below this one, in order; first this one itself, with an empty path.
    fileprivate func entries() -> [Entry] {
        var entries: [Entry] = []
        collect(into: &entries, path: [], identifier: [])
        return entries
    }

    private func collect(
        into entries: inout [Entry],
        path: [ConfigurationDifference.Step],
        identifier: [UInt8]
    ) {
        let name = path.last?.name ?? name
        entries.append(Entry(path: path, identifier: identifier, key: KeyNode(name, value, flags: flags)))
        let isManifest = path.count == 1 && name == "manifest"
        var occurrences: [[UInt8]: Int] = [:]
        for child in children {
            let step = isManifest ? child.rowName ?? child.name : child.name
            let occurrence = occurrences[Array(step.utf8), default: 0] + 1
            occurrences[Array(step.utf8)] = occurrence
            child.collect(
                into: &entries,
                path: path + [ConfigurationDifference.Step(name: step, occurrence: occurrence)],
                // No name holds a slash or a zero.
                identifier: identifier + Array("/\(step)\0\(occurrence)".utf8)
            )
        }
    }

    /// What a row of the manifest is called: its device's instance, or that it has none; nil for another key.
    private var rowName: String? {
        guard name.hasPrefix("vdev") else { return nil }
        return GUID(self["instance"]?.value.asString ?? "").map { "vdev{\($0.uppercased)}" } ?? "vdev{}"
    }
}
