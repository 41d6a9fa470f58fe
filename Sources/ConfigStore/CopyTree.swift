import HyperVStorage
import RoostPrimitives

/// The tree of keys in a second copy: each key before its children, lengths and counts as LEB128.
///
/// | field | |
/// |---|---|
/// | type | 1 byte: 3 int, 4 uint, 5 double, 6 string, 7 array, 8 bool, 9 node, as in a HyperVStorage file |
/// | flags | 1 byte |
/// | name | length, UTF-8 |
/// | value | 3, 4, 5: 8 bytes; 6: length, UTF-8; 7: length, bytes; 8: 1 byte; 9: the number of children |
enum CopyTree {
    /// How deep keys may be nested: as in a HyperVStorage file.
    static let deepest = 128

    /// Writes a key with everything below it.
    static func encode(_ node: KeyNode, to writer: inout BufferWriter) {
        withUnsafePointer(to: node) { encode($0, to: &writer) }
    }

    /// By address: handing a key of an array on would copy it, and count each of its parts.
    private static func encode(_ node: UnsafePointer<KeyNode>, to writer: inout BufferWriter) {
        writer.write(byte: type(of: node.pointee.value))
        writer.write(byte: node.pointee.flags)
        writer.write(text: node.pointee.name)
        switch node.pointee.value {
        case .int(let value): writer.write(value)
        case .uint(let value): writer.write(value)
        case .double(let bitPattern): writer.write(bitPattern)
        case .string(let text): writer.write(text: text)
        case .array(let contents):
            writer.write(leb128: contents.count)
            contents.withUnsafeBytes { writer.write(bytes: $0) }
        case .bool(let value): writer.write(byte: value ? 1 : 0)
        case .node:
            writer.write(leb128: node.pointee.children.count)
            node.pointee.children.withUnsafeBufferPointer { children in
                guard let first = children.baseAddress else { return }
                for index in children.indices { encode(first + index, to: &writer) }
            }
        }
    }

    /// How many bytes ``encode(_:to:)`` writes.
    static func encodedSize(of node: KeyNode) -> Int { withUnsafePointer(to: node) { encodedSize(of: $0) } }

    private static func encodedSize(of node: UnsafePointer<KeyNode>) -> Int {
        let value =
            switch node.pointee.value {
            case .int, .uint, .double: 8
            case .string(let text): size(of: text.utf8.count) + text.utf8.count
            case .array(let contents): size(of: contents.count) + contents.count
            case .bool: 1
            case .node:
                size(of: node.pointee.children.count)
                    + node.pointee.children.withUnsafeBufferPointer { children in
                        guard let first = children.baseAddress else { return 0 }
                        var sum = 0
                        for index in children.indices { sum += encodedSize(of: first + index) }
                        return sum
                    }
            }
        let name = node.pointee.name.utf8.count
        return 2 + size(of: name) + name + value
    }

    /// How many bytes a count takes.
    private static func size(of count: Int) -> Int { max(1, (Int.bitWidth - count.leadingZeroBitCount + 6) / 7) }

    private static func type(of value: KeyValue) -> UInt8 {
        switch value {
        case .int: 3
        case .uint: 4
        case .double: 5
        case .string: 6
        case .array: 7
        case .bool: 8
        case .node: 9
        }
    }

    /// Reads a key with everything below it; nil when the bytes are none.
    static func decode(_ reader: inout ByteReader) -> KeyNode? { decode(&reader, depth: 0) }

    private static func decode(_ reader: inout ByteReader, depth: Int) -> KeyNode? {
        guard depth <= deepest + 1, let type = try? reader.read(UInt8.self), let flags = try? reader.read(UInt8.self),
            let name = text(&reader)
        else { return nil }
        var children: [KeyNode] = []
        let value: KeyValue
        switch type {
        case 3:
            guard let number = try? reader.read(Int64.self) else { return nil }
            value = .int(number)
        case 4:
            guard let number = try? reader.read(UInt64.self) else { return nil }
            value = .uint(number)
        case 5:
            guard let number = try? reader.read(UInt64.self) else { return nil }
            value = .double(bitPattern: number)
        case 6:
            guard let text = text(&reader) else { return nil }
            value = .string(text)
        case 7:
            guard let count = count(&reader), let bytes = try? reader.read(count: count) else { return nil }
            value = .array(Array(bytes))
        case 8:
            guard let byte = try? reader.read(UInt8.self), byte <= 1 else { return nil }
            value = .bool(byte == 1)
        case 9:
            guard let count = count(&reader) else { return nil }
            value = .node
            // A key has at least three bytes, so a count that is too large ends with the bytes.
            for _ in 0..<count {
                guard let child = decode(&reader, depth: depth + 1) else { return nil }
                children.append(child)
            }
        default: return nil
        }
        return KeyNode(name, value, children: children, flags: flags)
    }

    private static func text(_ reader: inout ByteReader) -> String? {
        guard let count = count(&reader), let bytes = try? reader.read(count: count) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// A count of something that takes at least a byte each; nil when the bytes cannot hold so many.
    private static func count(_ reader: inout ByteReader) -> Int? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 63, by: 7) {
            guard let byte = try? reader.read(UInt8.self) else { return nil }
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 {
                guard let count = Int(exactly: value), count <= reader.remaining else { return nil }
                return count
            }
        }
        return nil
    }
}
