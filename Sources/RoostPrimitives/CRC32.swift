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

    /// The checksum of a buffer whose four bytes at `field`, where its checksum stands, count as zero.
    public static func checksum(_ buffer: UnsafeRawBufferPointer, zeroing field: Int) -> UInt32 {
        precondition(field >= 0 && field <= buffer.count - 4, "the field lies outside the buffer")
        guard let start = buffer.baseAddress else { return CRC32().value }
        return ~roost_crc32_zeroing(CRC32().state, start, buffer.count, field)
    }

    /// Adds bytes to the checksum.
    public mutating func update(_ bytes: some Sequence<UInt8>) {
        let contiguous: Void? = bytes.withContiguousStorageIfAvailable { update(buffer: UnsafeRawBufferPointer($0)) }
        if contiguous == nil {
            Array(bytes).withUnsafeBytes { update(buffer: $0) }
        }
    }

    /// Adds the bytes of a buffer to the checksum: by the processor's own multiplication where it has one.
    public mutating func update(buffer: UnsafeRawBufferPointer) {
        guard let start = buffer.baseAddress else { return }
        state = roost_crc32(state, start, buffer.count)
    }

    /// The same by tables.
    mutating func updateByTable(_ buffer: UnsafeRawBufferPointer) {
        guard let start = buffer.baseAddress else { return }
        state = roost_crc32_by_table(state, start, buffer.count)
    }
}
