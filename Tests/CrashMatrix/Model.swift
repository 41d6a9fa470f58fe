import HyperVStorage

/// A generator of random numbers with a seed, so that every finding can be repeated.
package struct MatrixRandom: Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed &* 0x2545_F491_4F6C_DD1D &+ 0x1234_5678_9ABC_DEF1 }

    package mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state &* 0x9E37_79B9_7F4A_7C15
    }

    package mutating func below(_ limit: Int) -> Int { Int(truncatingIfNeeded: next() >> 33) % max(limit, 1) }
}

/// A key as the test knows it: nothing here is shared with the code under test.
struct ModelKey: Equatable, Sendable {
    enum Value: Equatable, Sendable {
        case node
        case number(Int64)
        case text(String)
        case bytes([UInt8])
        case flag(Bool)
    }

    var name: String
    var value: Value = .node
    var children: [ModelKey] = []

    /// The same key for the code under test.
    var stored: KeyNode {
        let value: KeyValue =
            switch value {
            case .node: .node
            case .number(let number): .int(number)
            case .text(let text): .string(text)
            case .bytes(let bytes): .array(bytes)
            case .flag(let flag): .bool(flag)
            }
        return KeyNode(name, value, children: children.map(\.stored))
    }

    /// Whether a key that was read is this one.
    func matches(_ node: KeyNode) -> Bool {
        guard Array(node.name.utf8) == Array(name.utf8), node.children.count == children.count else { return false }
        switch (value, node.value) {
        case (.node, .node): break
        case (.number(let one), .int(let other)): if one != other { return false }
        case (.text(let one), .string(let other)): if Array(one.utf8) != Array(other.utf8) { return false }
        case (.bytes(let one), .array(let other)): if one != other { return false }
        case (.flag(let one), .bool(let other)): if one != other { return false }
        default: return false
        }
        return zip(children, node.children).allSatisfy { $0.matches($1) }
    }

    /// The key with its children in the order of their names, as an XML file has them.
    var sorted: ModelKey {
        var copy = self
        let ordered = children.enumerated().sorted { one, other in
            let (left, right) = (Array(one.element.name.utf8), Array(other.element.name.utf8))
            return left == right ? one.offset < other.offset : left.lexicographicallyPrecedes(right)
        }
        copy.children = ordered.map(\.element.sorted)
        return copy
    }
}

/// Makes trees and changes them.
struct ModelMaker {
    var random: MatrixRandom
    /// How large values and how many keys a change may bring.
    var scale = 1

    mutating func leaf() -> ModelKey.Value {
        switch random.below(12) {
        case 0...3: .number(Int64(bitPattern: random.next()))
        case 4: .flag(random.below(2) == 0)
        case 5: .bytes((0..<random.below(40)).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        case 6: .text(String(repeating: "ä€", count: random.below(30)))
        default: .text("C:\\Virtual Machines\\\(random.below(1000))")
        }
    }

    mutating func large() -> ModelKey.Value {
        let seed = UInt8(truncatingIfNeeded: random.next())
        let count = 2048 + random.below(6000 * scale)
        return random.below(3) == 0
            ? .text(String(repeating: "long \(seed) ", count: count / 12))
            : .bytes((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 13) ^ seed })
    }

    mutating func name() -> String { ["alpha", "beta", "gamma", "drive0", "drive1", "metric"][random.below(6)] }

    mutating func tree(keys: Int) -> ModelKey {
        var root = ModelKey(name: "matrix")
        for _ in 0..<keys { insert(into: &root, depth: 0) }
        return root
    }

    mutating func insert(into node: inout ModelKey, depth: Int) {
        let nodes = node.children.indices.filter { node.children[$0].value == .node }
        if depth < 4, !nodes.isEmpty, random.below(3) > 0 {
            return insert(into: &node.children[nodes[random.below(nodes.count)]], depth: depth + 1)
        }
        let isNode = random.below(5) == 0
        let key = ModelKey(name: name(), value: isNode ? .node : leaf())
        node.children.insert(key, at: random.below(node.children.count + 1))
    }

    /// The kinds of changes, by name, as the table of results has them.
    enum Change: String, CaseIterable {
        case small = "a small value"
        case longer = "a value that outgrows its place"
        case large = "a value outside the tables"
        case many = "many keys, new tables"
        case delete = "keys deleted"
        case mixed = "several at once"
    }

    mutating func apply(_ change: Change, to root: inout ModelKey) {
        switch change {
        case .small: edit(&root) { maker, key in key.value = .number(Int64(bitPattern: maker.random.next())) }
        case .longer:
            edit(&root) { maker, key in
                key.value = .text(String(repeating: "grown ", count: 4 + maker.random.below(40)))
            }
        case .large: edit(&root) { maker, key in key.value = maker.large() }
        case .many: for _ in 0..<(30 + random.below(90)) * scale { insert(into: &root, depth: 0) }
        case .delete: for _ in 0..<1 + random.below(12) { delete(&root) }
        case .mixed:
            for _ in 0..<2 + random.below(4) {
                apply([Change.small, .longer, .large, .delete][random.below(4)], to: &root)
            }
        }
    }

    private mutating func edit(_ node: inout ModelKey, _ body: (inout ModelMaker, inout ModelKey) -> Void) {
        guard !node.children.isEmpty else { return insert(into: &node, depth: 0) }
        let index = random.below(node.children.count)
        if node.children[index].value == .node { return edit(&node.children[index], body) }
        body(&self, &node.children[index])
    }

    private mutating func delete(_ node: inout ModelKey) {
        guard !node.children.isEmpty else { return }
        let index = random.below(node.children.count)
        if node.children[index].value == .node, !node.children[index].children.isEmpty, random.below(4) > 0 {
            return delete(&node.children[index])
        }
        node.children.remove(at: index)
    }
}
