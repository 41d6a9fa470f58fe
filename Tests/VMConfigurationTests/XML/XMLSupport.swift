import Foundation
import HyperVStorage
import VMConfiguration

/// A small generator with a seed, so that every failure can be repeated.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}

/// Random trees that a version 5.0 file can hold, with the children of every key in ordinal order.
struct XMLTreeMaker {
    var random: SeededGenerator

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    mutating func tree(keys: Int) -> KeyNode {
        var root = KeyNode("configuration")
        for _ in 0..<keys { insert(into: &root, depth: 0) }
        sort(&root)
        return root
    }

    private mutating func insert(into node: inout KeyNode, depth: Int) {
        let nodes = node.children.indices.filter { node.children[$0].value == .node }
        if depth < 6, let child = nodes.randomElement(using: &random), Int.random(in: 0..<3, using: &random) > 0 {
            return insert(into: &node.children[child], depth: depth + 1)
        }
        // Few names, so that siblings often share one; their order shows upper case before _ before lower case.
        let name = ["a", "drive0", "metric", "Zoo", "_x-1.2_", "Ünï"].randomElement(using: &random) ?? ""
        node.children.append(KeyNode(name, Bool.random(using: &random) ? .node : value()))
    }

    private mutating func value() -> KeyValue {
        switch Int.random(in: 0..<4, using: &random) {
        case 0: return .bool(.random(using: &random))
        case 1: return .int(.random(in: Int64.min...Int64.max, using: &random))
        case 2:
            return .array(
                (0..<Int.random(in: 0..<200, using: &random)).map { _ in .random(in: 0...255, using: &random) }
            )
        default:
            let characters: [Character] = [
                "a", "<", ">", "&", "\"", "'", "]", " ", "\n", "\r", "\r\n", "\t", "é", "e\u{301}", "😀", "\u{85}",
                "\u{2028}", "\u{7F}", "\u{FEFF}", "\u{FFFD}",
            ]
            let count = Int.random(in: 0..<12, using: &random)
            return .string(String((0..<count).compactMap { _ in characters.randomElement(using: &random) }))
        }
    }

    /// Insertion sort by the names' UTF-8, which keeps the order of equal names.
    private func sort(_ node: inout KeyNode) {
        var sorted: [KeyNode] = []
        for var child in node.children {
            sort(&child)
            var place = sorted.count
            while place > 0, Array(child.name.utf8).lexicographicallyPrecedes(Array(sorted[place - 1].name.utf8)) {
                place -= 1
            }
            sorted.insert(child, at: place)
        }
        node.children = sorted
    }
}

/// The bytes of a text as Hyper-V stores it.
func utf16(_ text: String, bigEndian: Bool = false, mark: Bool = true) -> [UInt8] {
    let units = (mark ? [0xFEFF] : []) + Array(text.utf16)
    return units.flatMap { unit in
        let bytes = [UInt8(truncatingIfNeeded: unit), UInt8(truncatingIfNeeded: unit >> 8)]
        return bigEndian ? bytes.reversed() : bytes
    }
}

/// A document of one line behind the declaration.
func document(_ body: String) -> [UInt8] { utf16("<?xml version=\"1.0\" encoding=\"UTF-16\"?>\n" + body) }

/// The error that reading a document gives.
func parseError(_ bytes: [UInt8]) -> ConfigurationError? {
    do throws(ConfigurationError) {
        _ = try ConfigurationXML.parse(bytes)
        return nil
    } catch {
        return error
    }
}
