/// The value of a key in a HyperVStorage file.
///
/// Source: `docs/formats/hyper-v-storage.md`, key entries.
public enum KeyValue: Hashable, Sendable {
    /// Type 9: a key that only has children.
    case node
    /// Type 3: a signed 64-bit integer.
    case int(Int64)
    /// Type 4: an unsigned 64-bit integer.
    case uint(UInt64)
    /// Type 5: an IEEE 754 double, by its bit pattern so that every value compares and survives.
    case double(bitPattern: UInt64)
    /// Type 6: text, stored as UTF-16LE.
    case string(String)
    /// Type 7: raw bytes.
    case array([UInt8])
    /// Type 8: a Boolean, stored in four bytes.
    case bool(Bool)

    /// Compares text by its code units, not by canonical equivalence: paths that look alike are different files.
    public static func == (left: KeyValue, right: KeyValue) -> Bool {
        switch (left, right) {
        case (.node, .node): true
        case (.int(let left), .int(let right)): left == right
        case (.uint(let left), .uint(let right)): left == right
        case (.double(let left), .double(let right)): left == right
        case (.string(let left), .string(let right)): left.hasSameBytes(as: right)
        case (.array(let left), .array(let right)): left == right
        case (.bool(let left), .bool(let right)): left == right
        default: false
        }
    }

    /// Feeds what `==` compares.
    public func hash(into hasher: inout Hasher) {
        switch self {
        case .node: hasher.combine(9)
        case .int(let value): hasher.combine(value)
        case .uint(let value): hasher.combine(value)
        case .double(let bitPattern): hasher.combine(bitPattern)
        case .string(let text): text.hashBytes(into: &hasher)
        case .array(let bytes): hasher.combine(bytes)
        case .bool(let value): hasher.combine(value)
        }
    }
}

extension String {
    /// Whether two texts are the same UTF-8; `==` also takes canonically equivalent ones for equal.
    package func hasSameBytes(as other: some StringProtocol) -> Bool {
        // Byte by byte in memory: looking up keys by name does little else.
        let result = utf8.withContiguousStorageIfAvailable { left in
            other.utf8.withContiguousStorageIfAvailable { right in Self.areEqual(left, right) }
        }
        return (result ?? nil) ?? utf8.elementsEqual(other.utf8)
    }

    private static func areEqual(_ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> Bool {
        guard left.count == right.count else { return false }
        for index in left.indices where left[index] != right[index] { return false }
        return true
    }

    fileprivate func hashBytes(into hasher: inout Hasher) {
        for byte in utf8 { hasher.combine(byte) }
        hasher.combine(UInt8(0xFF))
    }
}

/// One key of the ordered tree: a name, a value and, for a node, its children in order.
///
/// Sibling names may repeat (arrays such as `devicetype`), so children are a list, never a dictionary.
public struct KeyNode: Hashable, Sendable {
    /// The name: 1 to 254 bytes of UTF-8, without `/` and without NUL.
    public var name: String
    /// The value; only a key with ``KeyValue/node`` has children.
    public var value: KeyValue
    /// The children in insertion order; empty for a leaf.
    public var children: [KeyNode]
    /// The entry's flag bits other than "value lives in a file object" (0x01), which the writer decides itself.
    public var flags: UInt8
    /// Which entry of a file this key was read from; nil for a key that is new.
    ///
    /// Ignored by `==` and `hash(into:)`.
    package var origin: KeyOrigin?

    /// A key with a value or, with ``KeyValue/node``, with children.
    public init(_ name: String, _ value: KeyValue = .node, children: [KeyNode] = [], flags: UInt8 = 0) {
        self.name = name
        self.value = value
        self.children = children
        self.flags = flags
    }

    /// Compares names, values, flags and children, not where in a file they are stored.
    public static func == (left: KeyNode, right: KeyNode) -> Bool {
        left.flags == right.flags && left.name.hasSameBytes(as: right.name) && left.value == right.value
            && left.children == right.children
    }

    /// Feeds what `==` compares.
    public func hash(into hasher: inout Hasher) {
        name.hashBytes(into: &hasher)
        hasher.combine(value)
        hasher.combine(flags)
        hasher.combine(children)
    }
}

extension KeyNode {
    /// The same keys, which stand in no file: for those of one file that are to be stored in another.
    package func withoutOrigins() -> KeyNode {
        var copy = self
        copy.origin = nil
        copy.children = children.map { $0.withoutOrigins() }
        return copy
    }
}

/// Identifies the stored entry that a ``KeyNode`` was read from, so that a rewrite changes only what changed.
package struct KeyOrigin: Hashable, Sendable {
    /// The key table's index, from 1.
    package var table: UInt16
    /// The entry's offset inside its table.
    package var offset: UInt32
    /// The entry's insertion sequence among its siblings.
    package var sequence: UInt32

    /// The entry at `offset` of table `table`.
    package init(table: UInt16, offset: UInt32, sequence: UInt32) {
        self.table = table
        self.offset = offset
        self.sequence = sequence
    }
}

extension KeyNode {
    /// The first child with a name.
    public subscript(_ name: String) -> KeyNode? {
        index(ofChild: name).map { children[$0] }
    }

    /// Calls `body` with each child of the first child with a name; none of them is copied.
    package func forEachChild(of name: String, _ body: (KeyNode) -> Void) {
        guard let index = index(ofChild: name) else { return }
        children.withUnsafeBufferPointer { children in
            children[index].children.withUnsafeBufferPointer { keys in for key in keys.indices { body(keys[key]) } }
        }
    }

    /// The text of the first child with a name; empty when there is none, or when it is no text.
    package func text(of name: String) -> String {
        guard let index = index(ofChild: name), case .string(let text) = children[index].value else { return "" }
        return text
    }

    /// The index of the first child with a name; looks at the names in place, without copying a key.
    private func index(ofChild name: String) -> Int? {
        var name = name
        return name.withUTF8 { name in
            children.withUnsafeBufferPointer { Self.index(in: $0, name) }
        }
    }

    private static func index(
        in children: UnsafeBufferPointer<KeyNode>,
        _ name: UnsafeBufferPointer<UInt8>
    ) -> Int? {
        for index in children.indices where children[index].isCalled(name) { return index }
        return nil
    }

    private func isCalled(_ wanted: UnsafeBufferPointer<UInt8>) -> Bool {
        name.utf8.count == wanted.count
            && name.utf8.withContiguousStorageIfAvailable { bytes in
                for index in bytes.indices where bytes[index] != wanted[index] { return false }
                return true
            } ?? name.utf8.elementsEqual(wanted)
    }

    /// The first key at a path of names below this one, as in `["settings", "processors", "count"]`.
    public func descendant(_ path: some Sequence<String>) -> KeyNode? {
        var current = self
        for name in path {
            guard let next = current[name] else { return nil }
            current = next
        }
        return current
    }

    /// The first key at a `/`-separated path below this one.
    public func descendant(_ path: String) -> KeyNode? {
        var path = path
        return path.withUTF8 { path in
            guard let start = Self.nextName(path, from: 0) else { return self }
            return children.withUnsafeBufferPointer { Self.find(path, from: start, in: $0) }
        }
    }

    /// Where the next name of a path begins; nil at its end.
    private static func nextName(_ path: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
        path[start...].firstIndex { $0 != UInt8(ascii: "/") }
    }

    /// Walks down in place: only the key that is found is copied.
    private static func find(
        _ path: UnsafeBufferPointer<UInt8>,
        from start: Int,
        in children: UnsafeBufferPointer<KeyNode>
    ) -> KeyNode? {
        let end = path[start...].firstIndex(of: UInt8(ascii: "/")) ?? path.count
        guard let index = index(in: children, UnsafeBufferPointer(rebasing: path[start..<end])) else { return nil }
        guard let next = nextName(path, from: end) else { return children[index] }
        return children[index].children.withUnsafeBufferPointer { find(path, from: next, in: $0) }
    }

    /// Sets the value of the first key at a `/`-separated path below this one, making it and the nodes above it as
    /// needed, each at the end of its parent's children.
    public mutating func set(_ path: String, _ value: KeyValue) {
        var path = path
        path.withUTF8 { set($0, from: 0, value) }
    }

    /// Removes the first key at a `/`-separated path below this one; returns what was removed.
    @discardableResult
    public mutating func remove(_ path: String) -> KeyNode? {
        var path = path
        return path.withUTF8 { remove($0, from: 0) }
    }

    private mutating func set(_ path: UnsafeBufferPointer<UInt8>, from start: Int, _ value: KeyValue) {
        guard let name = Self.name(in: path, from: start) else {
            self.value = value
            return
        }
        if let index = index(ofChild: path, name) {
            children[index].set(path, from: name.upperBound, value)
        } else {
            var child = KeyNode(String(decoding: path[name], as: UTF8.self))
            child.set(path, from: name.upperBound, value)
            children.append(child)
        }
    }

    private mutating func remove(_ path: UnsafeBufferPointer<UInt8>, from start: Int) -> KeyNode? {
        guard let name = Self.name(in: path, from: start), let index = index(ofChild: path, name) else { return nil }
        if Self.name(in: path, from: name.upperBound) == nil { return children.remove(at: index) }
        return children[index].remove(path, from: name.upperBound)
    }

    /// Where the next name of a `/`-separated path stands; nil at its end.
    package static func name(in path: UnsafeBufferPointer<UInt8>, from start: Int) -> Range<Int>? {
        guard let start = nextName(path, from: start) else { return nil }
        return start..<(path[start...].firstIndex(of: UInt8(ascii: "/")) ?? path.count)
    }

    /// The index of the first child with a name that stands in a path.
    package func index(ofChild path: UnsafeBufferPointer<UInt8>, _ name: Range<Int>) -> Int? {
        children.withUnsafeBufferPointer { Self.index(in: $0, UnsafeBufferPointer(rebasing: path[name])) }
    }
}
