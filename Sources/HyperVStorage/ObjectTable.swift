internal import RoostPrimitives

/// One row of an object table: which area of the file is used for what.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 1 | type |
/// | 1 | 4 | checksum of these 18 bytes |
/// | 5 | 8 | file offset |
/// | 13 | 4 | size |
/// | 17 | 1 | flags |
struct ObjectEntry: Hashable {
    static let size = 18

    /// The types with a known meaning; any other is kept and its area left alone.
    enum Kind {
        static let empty: UInt8 = 0
        static let objectTable: UInt8 = 1
        static let keyTable: UInt8 = 2
        static let fileObject: UInt8 = 3
        static let free: UInt8 = 4
    }

    /// An unused row.
    static let empty = ObjectEntry(type: Kind.empty, offset: 0, size: 0, flags: 0)

    var type: UInt8
    var offset: UInt64
    var size: UInt32
    /// 1 for all but unused rows; readers do not depend on it.
    var flags: UInt8 = 1

    /// A row for an area.
    init(_ type: UInt8, _ area: Range<Int>) {
        self.init(type: type, offset: UInt64(area.lowerBound), size: UInt32(clamping: area.count), flags: 1)
    }

    init(type: UInt8, offset: UInt64, size: UInt32, flags: UInt8) {
        (self.type, self.offset, self.size, self.flags) = (type, offset, size, flags)
    }

    /// The area of the file; empty at the end of the address space when the offset makes no sense.
    var area: Range<Int> {
        let start = clamped(offset)
        let (end, overflow) = start.addingReportingOverflow(Int(size))
        return start..<(overflow ? start : end)
    }

    /// The 18 bytes, checksum included.
    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: Self.size)
        writer.write(type)
        writer.write(UInt32(0))
        writer.write(offset)
        writer.write(size)
        writer.write(flags)
        seal(&writer, checksumAt: 1)
        return writer.bytes
    }
}

/// An object table: an eight-byte header, then rows; the last row is kept for a further table.
struct ObjectTable: Hashable {
    static let signature: UInt32 = 0x0111_0001
    static let headerSize = 8
    static let firstOffset = 0x2000

    /// Where in the file it stands.
    var offset: Int
    var entries: [ObjectEntry]

    /// How many rows a table of `size` bytes has.
    static func capacity(size: Int) -> Int { (size - headerSize) / ObjectEntry.size }

    /// The bytes it takes: its rows fill it but for less than a row, and its size is a multiple of 4 KiB.
    var size: Int { (Self.headerSize + entries.count * ObjectEntry.size).roundedUp(to: 0x1000) }

    /// An empty table.
    init(offset: Int, size: Int) {
        self.offset = offset
        entries = Array(repeating: .empty, count: Self.capacity(size: size))
    }

    /// The whole table.
    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: size)
        writer.write(Self.signature)
        writer.write(UInt32(entries.count))
        for entry in entries { writer.write(entry.encoded()) }
        writer.pad(to: size)
        return writer.bytes
    }

    /// Reads a table; nil when it is damaged and errors are collected.
    ///
    /// `limit` is the size that the row pointing to it gives; nil for the first table.
    init?(_ view: ImageView, at offset: Int, limit: Int?, _ diagnosis: inout Diagnosis) throws(StorageError) {
        self.offset = offset
        entries = []
        func failure(_ code: StorageError.Code, _ detail: String) -> StorageError {
            StorageError(code, .objectTable, at: offset, detail)
        }
        guard view.holds(offset, Self.headerSize) else {
            try diagnosis.fail(failure(.truncated, "the file ends at \(view.count)"))
            return nil
        }
        let signature = view.load(offset, as: UInt32.self)
        guard signature == Self.signature else {
            try diagnosis.fail(
                failure(.corrupt, "signature \(hexadecimal(signature)), expected \(hexadecimal(Self.signature))")
            )
            return nil
        }
        // No checksum covers the count, but rows fill a table: any other count is a damaged one.
        let count = Int(view.load(offset + 4, as: UInt32.self))
        let used = Self.headerSize + count * ObjectEntry.size
        let size = limit ?? used.roundedUp(to: 0x1000)
        guard count > 1, used <= size, size - used < ObjectEntry.size else {
            try diagnosis.fail(failure(.corrupt, "\(count) rows do not fill a table of \(size) bytes"))
            return nil
        }
        guard view.holds(offset, used) else {
            try diagnosis.fail(failure(.truncated, "\(count) rows, and the file ends at \(view.count)"))
            return nil
        }
        entries.reserveCapacity(count)
        for index in 0..<count {
            entries.append(try Self.entry(view, at: offset + Self.headerSize + index * ObjectEntry.size, &diagnosis))
        }
    }

    /// The first 17 bytes of an unused row, as two overlapping words: its type and checksum, and zeros.
    private static let emptyWord: UInt64 = 0x0000_0067_1BCF_4D00

    /// Reads one row; a damaged one is taken as unused when errors are collected.
    private static func entry(
        _ view: ImageView,
        at offset: Int,
        _ diagnosis: inout Diagnosis
    ) throws(StorageError) -> ObjectEntry {
        if view.load(offset, as: UInt64.self) == emptyWord, view.load(offset + 8, as: UInt64.self) == 0,
            view.load(offset + 16, as: UInt16.self) == 0
        {
            return .empty
        }
        let stored = view.load(offset + 1, as: UInt32.self)
        let computed = view.checksum(offset, ObjectEntry.size, zeroing: 1)
        guard stored == computed else {
            try diagnosis.fail(
                StorageError(
                    .corrupt,
                    .objectEntry,
                    at: offset,
                    "checksum \(hexadecimal(stored)), expected \(hexadecimal(computed))"
                )
            )
            return .empty
        }
        return ObjectEntry(
            type: view.byte(offset),
            offset: view.load(offset + 5, as: UInt64.self),
            size: view.load(offset + 13, as: UInt32.self),
            flags: view.byte(offset + 17)
        )
    }

    /// Reads the first table and all that are chained to it, each once.
    static func chain(_ view: ImageView, _ diagnosis: inout Diagnosis) throws(StorageError) -> [ObjectTable] {
        var tables: [ObjectTable] = []
        var seen: Set<Int> = []
        var queue: [(offset: Int, limit: Int?)] = [(firstOffset, nil)]
        var position = 0
        while position < queue.count {
            let (offset, limit) = queue[position]
            position += 1
            guard seen.insert(offset).inserted else {
                try diagnosis.fail(
                    StorageError(.corrupt, .objectTable, at: offset, "the chain of object tables leads back to it")
                )
                continue
            }
            guard let table = try ObjectTable(view, at: offset, limit: limit, &diagnosis) else { continue }
            tables.append(table)
            for entry in table.entries where entry.type == ObjectEntry.Kind.objectTable {
                queue.append((clamped(entry.offset), Int(entry.size)))
            }
        }
        return tables
    }
}
