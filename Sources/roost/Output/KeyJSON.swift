import HyperVStorage

/// A key as `--output json` has it.
///
/// An array is its bytes as hexadecimal digits. A double has its bits beside it, and no value when it is no number.
struct KeyJSON: Encodable {
    let node: KeyNode
    /// Whether the keys below are part of it.
    var isWhole = true

    private enum CodingKeys: CodingKey {
        case name, type, value, bits, flags, children
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(node.name, forKey: .name)
        try container.encode(node.value.typeName, forKey: .type)
        if node.flags != 0 { try container.encode(node.flags, forKey: .flags) }
        switch node.value {
        case .node:
            if isWhole { try container.encode(node.children.map { KeyJSON(node: $0) }, forKey: .children) }
        case .int(let value): try container.encode(value, forKey: .value)
        case .uint(let value): try container.encode(value, forKey: .value)
        case .double(let bitPattern):
            let value = Double(bitPattern: bitPattern)
            if value.isFinite { try container.encode(value, forKey: .value) }
            try container.encode("0x" + hexadecimal(bitPattern, count: 16), forKey: .bits)
        case .string(let value): try container.encode(value, forKey: .value)
        case .array(let bytes): try container.encode(hexadecimal(bytes[...]), forKey: .value)
        case .bool(let value): try container.encode(value, forKey: .value)
        }
    }
}

extension KeyValue {
    /// The type's name, as the text form has it; `node` for a key without a value.
    var typeName: String {
        switch self {
        case .node: "node"
        case .int: "int"
        case .uint: "uint"
        case .double: "double"
        case .string: "string"
        case .array: "array"
        case .bool: "bool"
        }
    }
}

/// A number as hexadecimal digits, with zeros in front.
func hexadecimal(_ value: UInt64, count: Int) -> String {
    let digits = String(value, radix: 16, uppercase: true)
    return String(repeating: "0", count: max(count - digits.utf8.count, 0)) + digits
}

/// Bytes as hexadecimal digits.
func hexadecimal(_ bytes: ArraySlice<UInt8>) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    let text = bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    return String(decoding: text, as: UTF8.self)
}
