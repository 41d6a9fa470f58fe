internal import RoostPrimitives

/// A key table's header, at the table's start; rows follow and fill the table to its end.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 2 | signature 0x0002 |
/// | 2 | 2 | index, from 1 |
/// | 4 | 2 | sequence, which grows with each write of the table |
/// | 6 | 4 | checksum of these 10 bytes |
struct KeyTable: Hashable {
    static let signature: UInt16 = 0x0002
    static let headerSize = 10

    var index: UInt16
    var sequence: UInt16
    /// Where in the file the table starts.
    var offset: Int
    /// The table's size, header included.
    var size: Int

    /// The header, checksum included.
    func encodedHeader() -> [UInt8] {
        var writer = ByteWriter(capacity: Self.headerSize)
        writer.write(Self.signature)
        writer.write(index)
        writer.write(sequence)
        writer.write(UInt32(0))
        seal(&writer, checksumAt: 6)
        return writer.bytes
    }
}

/// The place of a key entry: a table's position in ``Layout/tables`` and the offset inside that table.
struct EntryPlace: Hashable {
    var table: Int
    var offset: Int
}

/// A key entry as stored.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 1 | type |
/// | 1 | 1 | flags |
/// | 2 | 4 | size of the whole entry, slack included |
/// | 6 | 2 | the parent's table index; 0 below the virtual root |
/// | 8 | 4 | the parent's offset in its table |
/// | 12 | 4 | checksum of header, name and data, not of the slack |
/// | 16 | 4 | insertion sequence among the siblings |
/// | 20 | 1 | name length with its NUL |
struct KeyEntry: Hashable {
    static let headerSize = 21
    /// The longest name, without its NUL.
    static let longestName = 254
    /// A rest of a table up to this size belongs to the entry before it; a larger one is a free entry.
    static let absorbedRest = 32
    /// Values of this many bytes or more are stored outside the key table.
    static let fileObjectThreshold = 2048
    /// Spare bytes of a value: room for a pointer to a file object.
    static let spare = 12

    /// The types of entries.
    enum Kind {
        static let free: UInt8 = 1
        static let int: UInt8 = 3
        static let uint: UInt8 = 4
        static let double: UInt8 = 5
        static let string: UInt8 = 6
        static let array: UInt8 = 7
        static let bool: UInt8 = 8
        static let node: UInt8 = 9
    }

    /// Flag: the value stands in a file object.
    static let inFileObject: UInt8 = 0x01

    var type: UInt8
    var flags: UInt8
    var nameLength: UInt8
    var parentTable: UInt16
    /// The table's position in ``Layout/tables``.
    var table: Int32
    var offset: UInt32
    var size: UInt32
    var parentOffset: UInt32
    var sequence: UInt32
    /// Where the entry starts in the file.
    var fileOffset: Int

    var place: EntryPlace { EntryPlace(table: Int(table), offset: Int(offset)) }
    var isNode: Bool { type == Kind.node }
    var pointsToFileObject: Bool { flags & Self.inFileObject != 0 }
    var nameOffset: Int { fileOffset + Self.headerSize }
    var dataOffset: Int { nameOffset + Int(nameLength) }

    /// How many bytes of data count, or nil when the type is unknown or the entry too short for it.
    func dataSize(_ view: ImageView) -> Int? {
        let room = Int(size) - Self.headerSize - Int(nameLength)
        let count: Int
        if pointsToFileObject {
            guard type == Kind.string || type == Kind.array else { return nil }
            count = 12
        } else {
            switch type {
            case Kind.int, Kind.uint, Kind.double: count = 8
            case Kind.bool: count = 4
            case Kind.node: count = 12
            case Kind.string, Kind.array:
                guard room >= 4 else { return nil }
                count = 4 + Int(view.load(dataOffset, as: UInt32.self))
            default: return nil
            }
        }
        return count <= room ? count : nil
    }

    /// The name, without its NUL.
    func name(_ view: ImageView) -> String {
        String(decoding: view.slice(nameOffset, Int(nameLength) - 1), as: UTF8.self)
    }

    /// The area of the value's bytes: in the table, or in a file object.
    func valueBytes(_ view: ImageView) -> UnsafeRawBufferPointer {
        let count = Int(view.load(dataOffset, as: UInt32.self))
        guard pointsToFileObject else { return view.slice(dataOffset + 4, count) }
        let offset = clamped(view.load(dataOffset + 4, as: UInt64.self))
        // What is not at hand reads as empty; ``StorageFile/head(of:fileSize:)`` says where it stands.
        return view.holds(offset, count) ? view.slice(offset, count) : UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// The value; callers have checked the entry.
    func value(_ view: ImageView) -> KeyValue {
        switch type {
        case Kind.int: .int(view.load(dataOffset, as: Int64.self))
        case Kind.uint: .uint(view.load(dataOffset, as: UInt64.self))
        case Kind.double: .double(bitPattern: view.load(dataOffset, as: UInt64.self))
        case Kind.bool: .bool(view.load(dataOffset, as: UInt32.self) != 0)
        case Kind.string: .string(text(utf16LittleEndian: valueBytes(view)))
        case Kind.array: .array(Array(valueBytes(view)))
        default: .node
        }
    }

    /// What a new child of this node would get as insertion sequence.
    func nextSequence(_ view: ImageView) -> UInt32 { view.load(dataOffset + 8, as: UInt32.self) }

    /// The node's change tracking sequence.
    func changeTracking(_ view: ImageView) -> UInt64 { view.load(dataOffset, as: UInt64.self) }
}

/// An area of a key table without an entry.
struct FreeEntry: Hashable {
    var offset: Int
    var size: Int

    var end: Int { offset + size }

    /// The bytes of a free entry: nothing but its type and size, and a filler.
    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: size)
        writer.write(KeyEntry.Kind.free)
        writer.write(UInt8(0))
        writer.write(UInt32(clamping: size))
        writer.pad(to: 16)
        writer.write(UInt32(0xFDFD_FDFD))
        writer.write(UInt8(0))
        writer.pad(to: size, with: 0xFD)
        return writer.bytes
    }
}

/// Decodes UTF-16LE; trailing NULs and an odd last byte are dropped, unpaired surrogates become U+FFFD.
func text(utf16LittleEndian bytes: UnsafeRawBufferPointer) -> String {
    var count = bytes.count / 2
    while count > 0, bytes[2 * count - 1] == 0, bytes[2 * count - 2] == 0 { count -= 1 }
    var other: UInt8 = 0
    for index in 0..<count { other |= bytes[2 * index + 1] | bytes[2 * index] & 0x80 }
    if other == 0 {
        return String(unsafeUninitializedCapacity: count) { buffer in
            for index in 0..<count { buffer[index] = bytes[2 * index] }
            return count
        }
    }
    let units = (0..<count).map { (index: Int) -> UInt16 in
        UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self))
    }
    return String(decoding: units, as: UTF16.self)
}
