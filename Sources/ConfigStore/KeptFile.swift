import RoostPrimitives

/// The second copy of a file that Roost keeps as it is: UEFI variables, a cloud-init seed.
///
/// Such a file has no checksums of its own, and its owner, QEMU, changes it while a guest runs. So the copy has the
/// checksum of each of its blocks and counts only while nobody but Roost writes it. The layout is in
/// `docs/formats/configuration-copy.md`.
struct KeptCopy: Hashable, Sendable {
    /// Whether the copy says how the file is.
    enum State: UInt32, Sendable {
        /// The file is as the copy says.
        case atRest = 0
        /// QEMU may have changed the file since.
        case inUse = 1
    }

    static let headerSize = 64
    static let blockSize = 4096
    /// The largest file that is kept, in bytes.
    static let largest = 16 << 20
    private static let signature: UInt64 = 0x7074_4B74_736F_6F52
    private static let version: UInt32 = 1

    var state: State
    /// The file's size in bytes.
    var size: Int
    /// When the file was last changed, in nanoseconds since 1970.
    var changed: Int64
    /// The CRC-32 of each 4 KiB block.
    var checksums: [UInt32]
    /// The file's bytes; nil when those in the copy are damaged.
    var contents: [UInt8]?

    /// A copy of a file at rest.
    init(of bytes: [UInt8], changed: Int64) {
        (state, size, self.changed) = (.atRest, bytes.count, changed)
        checksums = Self.checksums(of: bytes)
        contents = bytes
    }

    static func checksums(of bytes: [UInt8]) -> [UInt32] {
        stride(from: 0, to: bytes.count, by: blockSize).map { start in
            CRC32.checksum(bytes[start..<min(start + blockSize, bytes.count)])
        }
    }

    /// The header of a copy with this table and these contents.
    private func encodedHeader(table: UInt32, payload: (count: Int, checksum: UInt32)) -> [UInt8] {
        var writer = ByteWriter(capacity: Self.headerSize)
        writer.write(Self.signature)
        writer.write(UInt32(0))
        writer.write(Self.version)
        writer.write(state.rawValue)
        writer.write(table)
        writer.write(UInt64(size))
        writer.write(UInt64(bitPattern: changed))
        writer.write(UInt64(payload.count))
        writer.write(payload.checksum)
        writer.pad(to: Self.headerSize)
        writer.overwrite(CRC32.checksum(writer.bytes), at: 8)
        return writer.bytes
    }

    /// The copy's bytes; blocks of nothing but 0x00 or 0xFF take a byte each.
    func encoded() -> [UInt8] {
        let bytes = contents ?? []
        var table: [UInt8] = []
        for checksum in checksums {
            for shift in stride(from: UInt32(0), to: 32, by: 8) {
                table.append(UInt8(truncatingIfNeeded: checksum >> shift))
            }
        }
        var payload: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: Self.blockSize) {
            let block = bytes[start..<min(start + Self.blockSize, bytes.count)]
            if let first = block.first, first == 0 || first == 0xFF, block.allSatisfy({ $0 == first }) {
                payload.append(first & 1)
            } else {
                payload.append(2)
                payload += block
            }
        }
        let header = encodedHeader(table: CRC32.checksum(table), payload: (payload.count, CRC32.checksum(payload)))
        return header + table + payload
    }

    /// Reads a copy; nil when not even its table of checksums is whole.
    init?(_ bytes: [UInt8]) {
        guard let header = Self.header(bytes) else { return nil }
        (state, size, changed) = (header.state, header.size, header.changed)
        let blocks = (size + Self.blockSize - 1) / Self.blockSize
        let tableEnd = Self.headerSize + 4 * blocks
        guard tableEnd <= bytes.count, CRC32.checksum(bytes[Self.headerSize..<tableEnd]) == header.table else {
            return nil
        }
        checksums = bytes.withUnsafeBytes { buffer in
            (0..<blocks).map { (index: Int) -> UInt32 in
                let offset = Self.headerSize + 4 * index
                return UInt32(littleEndian: buffer.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
            }
        }
        let payload = bytes[tableEnd...]
        guard payload.count == header.payload.count, CRC32.checksum(payload) == header.payload.checksum else { return }
        contents = Self.contents(payload, size: size)
        if let found = contents, Self.checksums(of: found) != checksums { contents = nil }
    }

    private static func header(
        _ bytes: [UInt8]
    ) -> (state: State, table: UInt32, size: Int, changed: Int64, payload: (count: Int, checksum: UInt32))? {
        guard bytes.count >= headerSize else { return nil }
        let header = Array(bytes.prefix(headerSize))
        var blank = header
        blank.replaceSubrange(8..<12, with: [0, 0, 0, 0])
        var reader = ByteReader(header)
        guard (try? reader.read(UInt64.self)) == signature,
            (try? reader.read(UInt32.self)) == CRC32.checksum(blank),
            (try? reader.read(UInt32.self)) == version,
            let state = (try? reader.read(UInt32.self)).flatMap(State.init(rawValue:)),
            let table = try? reader.read(UInt32.self), let size = try? reader.read(UInt64.self),
            let changed = try? reader.read(UInt64.self), let count = try? reader.read(UInt64.self),
            let checksum = try? reader.read(UInt32.self), size <= UInt64(largest), count <= UInt64(2 * largest)
        else { return nil }
        return (state, table, Int(size), Int64(bitPattern: changed), (Int(count), checksum))
    }

    private static func contents(_ payload: ArraySlice<UInt8>, size: Int) -> [UInt8]? {
        var rest = payload
        var bytes: [UInt8] = []
        bytes.reserveCapacity(size)
        while bytes.count < size {
            let count = min(blockSize, size - bytes.count)
            guard let tag = rest.popFirst() else { return nil }
            switch tag {
            case 0, 1: bytes.append(contentsOf: repeatElement(tag == 0 ? 0 : 0xFF, count: count))
            case 2:
                guard rest.count >= count else { return nil }
                bytes += rest.prefix(count)
                rest = rest.dropFirst(count)
            default: return nil
            }
        }
        return rest.isEmpty ? bytes : nil
    }
}
