internal import CRoostBytes

/// The CRC-32 of IEEE 802.3 and zlib: reflected polynomial 0xEDB88320, initial value and final xor 0xFFFFFFFF.
///
/// HyperVStorage files use it; VHDX files use CRC-32C, which is another polynomial.
public struct CRC32: Sendable {
    private var state: UInt32 = 0xFFFF_FFFF

    /// A checksum over no bytes yet.
    public init() {}

    /// The checksum of the bytes so far.
    public var value: UInt32 { ~state }

    /// The checksum of `bytes`.
    public static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var crc = CRC32()
        crc.update(bytes)
        return crc.value
    }

    /// Adds bytes to the checksum.
    public mutating func update(_ bytes: some Sequence<UInt8>) {
        let contiguous: Void? = bytes.withContiguousStorageIfAvailable { update(buffer: UnsafeRawBufferPointer($0)) }
        if contiguous == nil {
            Array(bytes).withUnsafeBytes { update(buffer: $0) }
        }
    }

    /// Adds `count` zero bytes to the checksum, for a checksum field that counts as zero.
    public mutating func update(zeros count: Int) {
        for _ in 0..<count { step(0) }
    }

    /// Adds the bytes of a buffer to the checksum: by the processor's own multiplication where it has one.
    public mutating func update(buffer: UnsafeRawBufferPointer) {
        var rest = buffer[...]
        if Self.canFold, buffer.count >= Self.foldsFrom, let start = buffer.baseAddress {
            let count = buffer.count & ~15
            state = roost_crc32_fold(state, start, count)
            rest = buffer[count...]
        }
        updateByTable(UnsafeRawBufferPointer(rebasing: rest))
    }

    /// Whether the processor can, and from which size on it is faster.
    private static let canFold = roost_crc32_can_fold() != 0
    private static let foldsFrom = 64

    /// The same by tables, eight bytes at a time.
    mutating func updateByTable(_ buffer: UnsafeRawBufferPointer) {
        Self.tables.withUnsafeBufferPointer { table in
            var crc = state
            var offset = 0
            while offset + 8 <= buffer.count {
                let one = UInt32(littleEndian: buffer.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) ^ crc
                let two = UInt32(littleEndian: buffer.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self))
                crc = table[1792 + Int(one & 0xFF)] ^ table[1536 + Int(one >> 8 & 0xFF)]
                crc ^= table[1280 + Int(one >> 16 & 0xFF)] ^ table[1024 + Int(one >> 24)]
                crc ^= table[768 + Int(two & 0xFF)] ^ table[512 + Int(two >> 8 & 0xFF)]
                crc ^= table[256 + Int(two >> 16 & 0xFF)] ^ table[Int(two >> 24)]
                offset += 8
            }
            while offset < buffer.count {
                crc = table[Int((crc ^ UInt32(buffer[offset])) & 0xFF)] ^ crc >> 8
                offset += 1
            }
            state = crc
        }
    }

    private mutating func step(_ byte: UInt8) {
        state = Self.tables[Int((state ^ UInt32(byte)) & 0xFF)] ^ state >> 8
    }

    /// Eight tables of 256 words: table `k` advances a byte through `k` further zero bytes.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for index in 0..<256 {
            var word = UInt32(index)
            for _ in 0..<8 { word = word & 1 == 1 ? 0xEDB8_8320 ^ word >> 1 : word >> 1 }
            tables[index] = word
        }
        for level in 1..<8 {
            for index in 0..<256 {
                let word = tables[(level - 1) * 256 + index]
                tables[level * 256 + index] = tables[Int(word & 0xFF)] ^ word >> 8
            }
        }
        return tables
    }()
}
