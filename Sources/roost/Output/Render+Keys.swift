import HyperVStorage
import VMConfiguration

extension Render {
    /// How many bytes of an array are shown to people.
    private static let shownBytes = 16

    /// Keys as an indented tree, one a line, each with its type and value.
    static func keys(_ keys: [KeyNode], depth: Int = 0) -> String {
        keys.reduce(into: "") { text, key in append(key, depth, to: &text) }
    }

    private static func append(_ key: KeyNode, _ depth: Int, to text: inout String) {
        text += String(repeating: "  ", count: depth) + printable(key.name)
        let shown = value(key)
        text += shown.isEmpty ? "\n" : ": \(shown)\n"
        for child in key.children { append(child, depth + 1, to: &text) }
    }

    /// A key's type and value in a few words; nothing for a node without flags.
    static func value(_ key: KeyNode) -> String {
        let flags = key.flags == 0 ? "" : " (flags 0x\(hexadecimal(UInt64(key.flags), count: 2)))"
        let type = key.value.typeName
        let text =
            switch key.value {
            case .node: ""
            case .int(let value): "\(type) \(value)"
            case .uint(let value): "\(type) \(value)"
            case .double(let bitPattern): "\(type) \(Double(bitPattern: bitPattern))"
            case .string(let value): "\(type) \"\(printable(value))\""
            case .bool(let value): "\(type) \(value)"
            case .array(let bytes) where bytes.isEmpty: "\(type) of 0 bytes"
            case .array(let bytes):
                "\(type) of \(bytes.count) bytes \(hexadecimal(bytes.prefix(shownBytes)))"
                    + (bytes.count > shownBytes ? "…" : "")
            }
        return text.isEmpty ? String(flags.dropFirst()) : text + flags
    }

    /// Differences, one a line: `-` only the first has it, `+` only the second, `~` the value differs.
    static func differences(_ differences: [KeyDifference]) -> String {
        differences.reduce(into: "") { text, difference in
            let path = printable(difference.path)
            switch (difference.before, difference.after) {
            case (let before?, let after?): text += "~ \(path): \(described(before)) -> \(described(after))\n"
            case (let before?, nil): text += "- \(path): \(described(before))\n"
            case (nil, let after?): text += "+ \(path): \(described(after))\n"
            case (nil, nil): break
            }
        }
    }

    private static func described(_ key: KeyNode) -> String {
        key.value == .node ? (key.flags == 0 ? "node" : "node \(value(key))") : value(key)
    }
}
