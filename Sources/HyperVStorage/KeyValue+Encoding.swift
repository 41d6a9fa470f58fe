internal import RoostPrimitives

extension KeyValue {
    /// The type byte of an entry with this value.
    var type: UInt8 {
        switch self {
        case .node: KeyEntry.Kind.node
        case .int: KeyEntry.Kind.int
        case .uint: KeyEntry.Kind.uint
        case .double: KeyEntry.Kind.double
        case .string: KeyEntry.Kind.string
        case .array: KeyEntry.Kind.array
        case .bool: KeyEntry.Kind.bool
        }
    }

    /// How many bytes text or an array has when it is stored; nil for values of a fixed size.
    private var variableSize: Int? {
        switch self {
        case .string(let text): 2 * text.utf16.count
        case .array(let bytes): bytes.count
        default: nil
        }
    }

    /// Whether the value is too large for a key table.
    var needsFileObject: Bool { (variableSize ?? 0) >= KeyEntry.fileObjectThreshold }

    /// How many bytes of data its entry has: the value, or the pointer to a file object.
    var inlineSize: Int {
        if let variableSize { return variableSize >= KeyEntry.fileObjectThreshold ? 12 : 4 + variableSize }
        return switch self {
        case .bool: 4
        case .node: 12
        default: 8
        }
    }

    /// The bytes of text or of an array.
    var contents: [UInt8] {
        switch self {
        case .string(let text):
            var bytes: [UInt8] = []
            bytes.reserveCapacity(2 * text.utf16.count)
            for unit in text.utf16 {
                bytes.append(UInt8(truncatingIfNeeded: unit))
                bytes.append(UInt8(truncatingIfNeeded: unit >> 8))
            }
            return bytes
        case .array(let bytes): return bytes
        default: return []
        }
    }

    /// Writes the data of an entry that holds the value itself; a node's are the caller's.
    func writeInline(to writer: inout ByteWriter) {
        switch self {
        case .int(let value): writer.write(value)
        case .uint(let value): writer.write(value)
        case .double(let bitPattern): writer.write(bitPattern)
        case .bool(let value): writer.write(UInt32(value ? 1 : 0))
        case .string, .array:
            let bytes = contents
            writer.write(UInt32(clamping: bytes.count))
            writer.write(bytes)
        case .node: break
        }
    }
}
