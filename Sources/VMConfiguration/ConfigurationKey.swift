import HyperVStorage

/// A key with its place below `/configuration`, its type, and what it means when it is absent.
struct ConfigurationKey<Value: Equatable & Sendable>: Sendable {
    /// The `/`-separated path below the node that the key is read from.
    var path: String
    /// What reading gives when the key is absent or holds a value of another type.
    var absent: Value
    /// The value in a stored one; nil when the stored one has another type or is out of range.
    var decode: @Sendable (KeyValue) -> Value?
    /// The stored value.
    var encode: @Sendable (Value) -> KeyValue
}

extension ConfigurationKey where Value == Bool {
    init(_ path: String, absent: Bool) {
        self.init(path: path, absent: absent, decode: \.asBool, encode: KeyValue.bool)
    }
}

extension ConfigurationKey where Value == Int {
    init(_ path: String, absent: Int) {
        self.init(path: path, absent: absent, decode: { $0.asInteger.flatMap(Int.init(exactly:)) }) { .int(Int64($0)) }
    }
}

extension ConfigurationKey where Value == UInt64 {
    init(_ path: String, absent: UInt64) {
        self.init(path: path, absent: absent, decode: { $0.asInteger.flatMap(UInt64.init(exactly:)) }) {
            .int(Int64(clamping: $0))
        }
    }
}

extension ConfigurationKey where Value == String {
    init(_ path: String, absent: String = "") {
        self.init(path: path, absent: absent, decode: \.asString, encode: KeyValue.string)
    }
}

extension ConfigurationKey where Value: RawRepresentable, Value.RawValue == Int {
    /// A choice stored as its number; another number counts as absent and stays until it is set.
    init(choice path: String, absent: Value) {
        self.init(
            path: path,
            absent: absent,
            decode: { $0.asInteger.flatMap(Int.init(exactly:)).flatMap(Value.init(rawValue:)) },
            encode: { .int(Int64($0.rawValue)) }
        )
    }
}

extension KeyValue {
    /// The number of an Int key, or of a UInt key that fits.
    var asInteger: Int64? {
        switch self {
        case .int(let value): value
        case .uint(let value): Int64(exactly: value)
        default: nil
        }
    }

    var asBool: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    var asString: String? {
        if case .string(let value) = self { value } else { nil }
    }

    var asBytes: [UInt8]? {
        if case .array(let value) = self { value } else { nil }
    }
}

extension KeyNode {
    /// The value of a key below this node.
    ///
    /// Setting the value that the key already has, or that it has by being absent, changes nothing; so a key appears
    /// in the file only once somebody wants another value than the default.
    subscript<Value>(_ key: ConfigurationKey<Value>) -> Value {
        get { stored(key) ?? key.absent }
        set {
            // As stored values: these compare text by its bytes, so that a path can change its Unicode form.
            let value = key.encode(newValue)
            if value != key.encode(self[key]) { assign(value, at: key.path) }
        }
    }

    /// The value of a key below this node; nil when it is absent or has another type.
    func stored<Value>(_ key: ConfigurationKey<Value>) -> Value? {
        descendant(key.path).flatMap { key.decode($0.value) }
    }

    /// Sets a text unless the key holds it, or removes the key's text when there is none.
    mutating func assign(text: String?, at path: String) {
        let stored = descendant(path)?.value
        if let text {
            if stored != .string(text) { assign(.string(text), at: path) }
        } else if stored?.asString != nil {
            remove(path)
        }
    }

    /// Sets the value of the first key at a path, in place or, when there is none, behind its parent's last child.
    ///
    /// Unlike ``KeyNode/set(_:_:)`` it leaves a well-formed tree whatever was there: a node that becomes a value
    /// loses its children, a value on the way becomes a node.
    mutating func assign(_ value: KeyValue, at path: String) {
        var path = path
        path.withUTF8 { assign(value, at: $0, from: 0) }
    }

    private mutating func assign(_ value: KeyValue, at path: UnsafeBufferPointer<UInt8>, from start: Int) {
        guard let name = Self.name(in: path, from: start) else {
            if value != .node { children = [] }
            self.value = value
            return
        }
        self.value = .node
        if let index = index(ofChild: path, name) {
            children[index].assign(value, at: path, from: name.upperBound)
        } else {
            var child = KeyNode(String(decoding: path[name], as: UTF8.self))
            child.assign(value, at: path, from: name.upperBound)
            children.append(child)
        }
    }
}
