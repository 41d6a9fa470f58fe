import ArgumentParser
import HyperVStorage
import VMConfiguration

/// A key that two files do not share, or in which they differ.
struct KeyDifference: Encodable {
    var path: String
    var before: KeyNode?
    var after: KeyNode?

    private enum CodingKeys: CodingKey {
        case path, before, after
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(path, forKey: .path)
        try container.encodeIfPresent(before.map { KeyJSON(node: $0, isWhole: false) }, forKey: .before)
        try container.encodeIfPresent(after.map { KeyJSON(node: $0, isWhole: false) }, forKey: .after)
    }

    /// The differences between the trees of two files.
    static func between(_ first: KeyNode, _ second: KeyNode) -> [KeyDifference] {
        var (first, second) = (first, second)
        var prefix = ""
        // The rows of a manifest are told from a configuration's root on.
        let name = "configuration"
        if first.children.count == 1, second.children.count == 1, first.children[0].name == name,
            second.children[0].name == name
        {
            (first, second, prefix) = (first.children[0], second.children[0], "/\(name)")
        }
        return ConfigurationDifference.between(first, second).map {
            KeyDifference(path: prefix + $0.description, before: $0.before, after: $0.after)
        }
    }
}

struct FileDiff: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Show in which keys two files differ, whatever their forms.",
        discussion: help(
            """
            A line begins with - for a key that only the first file has, + for one that only the second has, ~ for \
            one with another type, value or flags. The order of keys with different names does not count. Files that \
            differ are no failure: with --output json, files with the same keys give an empty list.
            """,
            cmdlet: "Compare-VM",
            example: "roost file diff old.xml new.vmcx"
        )
    )

    @Argument(help: "The first file.", completion: .file())
    var first: String

    @Argument(help: "The second file.", completion: .file())
    var second: String

    @OptionGroup var global: GlobalOptions

    func run() throws {
        let differences = KeyDifference.between(try KeyFile(first).tree, try KeyFile(second).tree)
        try global.show(differences) { differences, _ in Render.differences(differences) }
    }
}
