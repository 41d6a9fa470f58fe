import HyperVStorage

/// Builds HyperVStorage files byte by byte, from the format page alone: nothing here shares code with the library.
struct GoldenFile {
    var bytes: [UInt8]

    /// A file of zeros.
    init(size: Int) { bytes = Array(repeating: 0, count: size) }

    /// One key entry of a table.
    enum Entry {
        case key(
            type: UInt8,
            flags: UInt8 = 0,
            parent: (UInt16, UInt32),
            sequence: UInt32,
            name: String,
            data: [UInt8],
            slack: [UInt8] = []
        )
        case free(size: Int)
    }

    /// Stores a little-endian number of `width` bytes.
    mutating func put(_ value: UInt64, width: Int, at offset: Int) {
        for index in 0..<width { bytes[offset + index] = UInt8((value >> UInt64(8 * index)) & 0xFF) }
    }

    /// Stores bytes.
    mutating func put(_ values: [UInt8], at offset: Int) {
        for (index, value) in values.enumerated() { bytes[offset + index] = value }
    }

    /// Computes the checksum of a structure with its own field as zero, and stores it there.
    mutating func sign(_ offset: Int, _ count: Int, field: Int) {
        put(0, width: 4, at: offset + field)
        put(UInt64(Self.crc(Array(bytes[offset..<offset + count]))), width: 4, at: offset + field)
    }

    mutating func fileHeader(copy: Int, sequence: UInt64, log: Int, logSize: Int, version: UInt64 = 0x0400) {
        let base = copy * 0x1000
        put(0x0128_2014, width: 4, at: base)
        put(sequence, width: 2, at: base + 8)
        put(version, width: 4, at: base + 10)
        put(0x1000, width: 4, at: base + 22)
        put(UInt64(log), width: 8, at: base + 26)
        put(UInt64(logSize), width: 8, at: base + 34)
        put(0x1000, width: 4, at: base + 42)
        sign(base, 46, field: 4)
    }

    mutating func objectTable(at offset: Int, rows: [Int: (type: UInt8, offset: Int, size: Int)]) {
        put(0x0111_0001, width: 4, at: offset)
        put(227, width: 4, at: offset + 4)
        for index in 0..<227 {
            let base = offset + 8 + 18 * index
            if let row = rows[index] { put(Self.objectRow(row.type, row.offset, row.size), at: base) }
            sign(base, 18, field: 1)
        }
    }

    /// The bytes of an object table's row.
    static func objectRow(_ type: UInt8, _ offset: Int, _ size: Int) -> [UInt8] {
        var row = GoldenFile(size: 18)
        row.put(UInt64(type), width: 1, at: 0)
        row.put(UInt64(offset), width: 8, at: 5)
        row.put(UInt64(size), width: 4, at: 13)
        row.put(type == 0 ? 0 : 1, width: 1, at: 17)
        row.sign(0, 18, field: 1)
        return row.bytes
    }

    /// Writes a key table; returns where each entry starts.
    @discardableResult
    mutating func keyTable(
        at offset: Int,
        size: Int = 0x1000,
        index: UInt64,
        sequence: UInt64 = 1,
        _ entries: [Entry]
    ) -> [Int] {
        put(2, width: 2, at: offset)
        put(index, width: 2, at: offset + 2)
        put(sequence, width: 2, at: offset + 4)
        sign(offset, 10, field: 6)
        var position = 10
        var starts: [Int] = []
        for entry in entries {
            starts.append(position)
            let raw = Self.entry(entry)
            put(raw, at: offset + position)
            position += raw.count
        }
        if position < size { put(Self.entry(.free(size: size - position)), at: offset + position) }
        return starts
    }

    /// The bytes of a key entry.
    static func entry(_ entry: Entry) -> [UInt8] {
        switch entry {
        case .free(let size):
            var file = GoldenFile(size: size)
            file.put(Array(repeating: 0xFD, count: size), at: 0)
            file.put(Array(repeating: 0, count: 21), at: 0)
            file.put(1, width: 1, at: 0)
            file.put(UInt64(size), width: 4, at: 2)
            file.put(0xFDFD_FDFD, width: 4, at: 16)
            return file.bytes
        case .key(let type, let flags, let parent, let sequence, let name, let data, let slack):
            let nameBytes = Array(name.utf8) + [0]
            let used = 21 + nameBytes.count + data.count
            var file = GoldenFile(size: used + slack.count)
            file.put(UInt64(type), width: 1, at: 0)
            file.put(UInt64(flags), width: 1, at: 1)
            file.put(UInt64(used + slack.count), width: 4, at: 2)
            file.put(UInt64(parent.0), width: 2, at: 6)
            file.put(UInt64(parent.1), width: 4, at: 8)
            file.put(UInt64(sequence), width: 4, at: 16)
            file.put(UInt64(nameBytes.count), width: 1, at: 20)
            file.put(nameBytes, at: 21)
            file.put(data, at: 21 + nameBytes.count)
            file.sign(0, used, field: 12)
            file.put(slack, at: used)
            return file.bytes
        }
    }

    mutating func logHeader(at offset: Int, count: Int) {
        put(0x0111_0003, width: 4, at: offset)
        put(UInt64(count), width: 4, at: offset + 8)
        put(145, width: 4, at: offset + 13)
        sign(offset, 34, field: 4)
    }

    /// Writes an entry of a replay log and its payload.
    mutating func logEntry(log: Int, index: Int, destination: Int, payloadOffset: Int, payload: [UInt8]) {
        put(payload, at: log + payloadOffset)
        let base = log + 34 + 28 * index
        put(UInt64(destination), width: 8, at: base)
        put(UInt64(payload.count), width: 4, at: base + 8)
        put(UInt64(payloadOffset), width: 8, at: base + 12)
        put(UInt64(Self.crc(payload)), width: 4, at: base + 24)
        sign(base, 28, field: 20)
    }

    /// The data of a node.
    static func node(next: UInt64) -> [UInt8] { number(0, 8) + number(next, 4) }

    /// The data of text.
    static func text(_ value: String) -> [UInt8] {
        let units = value.utf16.flatMap { number(UInt64($0), 2) }
        return number(UInt64(units.count), 4) + units
    }

    /// A little-endian number.
    static func number(_ value: UInt64, _ width: Int) -> [UInt8] {
        (0..<width).map { UInt8((value >> UInt64(8 * $0)) & 0xFF) }
    }

    /// CRC-32, bit by bit.
    static func crc(_ bytes: [UInt8]) -> UInt32 {
        var value: UInt32 = 0xFFFF_FFFF
        for byte in bytes {
            value ^= UInt32(byte)
            for _ in 0..<8 { value = value & 1 == 1 ? (value >> 1) ^ 0xEDB8_8320 : value >> 1 }
        }
        return ~value
    }
}

extension GoldenFile {
    /// Headers, object table, one key table at 0x3000 with `entries`, and an empty log at 0x4000.
    static func small(_ entries: [Entry]) -> GoldenFile {
        var file = GoldenFile(size: 0x6000)
        file.fileHeader(copy: 0, sequence: 1, log: 0x4000, logSize: 0x3000)
        file.fileHeader(copy: 1, sequence: 0, log: 0x4000, logSize: 0x3000)
        file.objectTable(at: 0x2000, rows: [0: (2, 0x3000, 0x1000)])
        file.keyTable(at: 0x3000, index: 1, entries)
        file.logHeader(at: 0x4000, count: 0)
        return file
    }

    /// The entries of `configuration { name: "vm", count: 4 }`.
    static let sampleEntries: [Entry] = [
        .key(type: 9, parent: (0, 0), sequence: 1, name: "configuration", data: node(next: 6)),
        .key(
            type: 6,
            parent: (1, 10),
            sequence: 2,
            name: "name",
            data: text("vm"),
            slack: Array(repeating: 7, count: 12)
        ),
        .key(
            type: 3,
            parent: (1, 10),
            sequence: 4,
            name: "count",
            data: number(4, 8),
            slack: Array(repeating: 0, count: 12)
        ),
    ]

    /// The tree of ``sampleEntries``.
    static var sampleTree: KeyNodeShape {
        KeyNodeShape("configuration", children: [("name", .string("vm")), ("count", .int(4))])
    }
}
