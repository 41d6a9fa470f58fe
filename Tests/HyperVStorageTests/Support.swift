import HyperVStorage

/// A tree of one node with leaves, as tests often need one.
struct KeyNodeShape {
    var tree: KeyNode

    init(_ name: String, children: [(String, KeyValue)]) {
        let node = KeyNode(name, children: children.map { KeyNode($0.0, $0.1) })
        tree = KeyNode("", children: [node])
    }
}

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

/// Random trees and random changes to them.
struct TreeMaker {
    var random: SeededGenerator

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    mutating func tree(keys: Int) -> KeyNode {
        var root = KeyNode("", children: [KeyNode("configuration")])
        for _ in 0..<keys { insert(into: &root.children[0], depth: 0) }
        return root
    }

    mutating func value() -> KeyValue {
        switch Int.random(in: 0..<20, using: &random) {
        case 0: .uint(.random(in: 0...UInt64.max, using: &random))
        case 1: .double(bitPattern: .random(in: 0...UInt64.max, using: &random))
        case 2...5: .bool(.random(using: &random))
        case 6...9: .int(.random(in: Int64.min...Int64.max, using: &random))
        case 10: .array((0..<Int.random(in: 0..<60, using: &random)).map { _ in .random(in: 0...255, using: &random) })
        case 11: .array(Array(repeating: 0xA5, count: .random(in: 1900..<9000, using: &random)))
        case 12: .string(String(repeating: "ø😀", count: .random(in: 0..<20, using: &random)))
        case 13: .string(String(repeating: "long ", count: .random(in: 150..<600, using: &random)))
        default: .string(String("C:\\Virtual Machines\\disk.vhdx".prefix(.random(in: 0..<30, using: &random))))
        }
    }

    mutating func insert(into node: inout KeyNode, depth: Int) {
        let nodes = node.children.indices.filter { node.children[$0].value == .node }
        if depth < 6, let child = nodes.randomElement(using: &random), Int.random(in: 0..<3, using: &random) > 0 {
            return insert(into: &node.children[child], depth: depth + 1)
        }
        // Few names, so that siblings often share one.
        let name = ["a", "drive0", "metric", "Ω", "a_rather_long_name_of_a_key"].randomElement(using: &random) ?? ""
        let isNode = Int.random(in: 0..<4, using: &random) == 0
        let position =
            Bool.random(using: &random) ? node.children.count : .random(in: 0...node.children.count, using: &random)
        node.children.insert(
            KeyNode(name, isNode ? .node : value(), flags: isNode ? 0 : .random(in: 0...1, using: &random) * 2),
            at: position
        )
    }

    /// One random change somewhere in the tree.
    mutating func change(_ node: inout KeyNode, depth: Int = 0) {
        guard !node.children.isEmpty else { return insert(into: &node, depth: depth) }
        let index = Int.random(in: 0..<node.children.count, using: &random)
        if node.children[index].value == .node, depth == 0 || Int.random(in: 0..<4, using: &random) > 0 {
            return change(&node.children[index], depth: depth + 1)
        }
        switch Int.random(in: 0..<9, using: &random) {
        case 0: node.children.remove(at: index)
        case 1: insert(into: &node, depth: depth)
        case 2: node.children.swapAt(index, .random(in: 0..<node.children.count, using: &random))
        case 3: node.children.append(node.children[index])
        case 4: node.children[index].name += "x"
        case 5: node.children[index].flags ^= 4
        case 6 where depth > 1:
            node.children.insert(KeyNode("moved", children: [node.children.remove(at: index)]), at: 0)
        default:
            if node.children[index].value != .node { node.children[index].value = value() }
        }
    }
}
