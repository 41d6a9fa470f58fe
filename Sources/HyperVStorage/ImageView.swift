internal import RoostPrimitives

/// A window on a file's bytes with checked little-endian loads.
///
/// Callers ask ``holds(_:_:)`` before they load: the loads themselves stop the program when they would leave the
/// window, so no input can reach memory outside it.
struct ImageView {
    /// The file's bytes; valid inside ``withView(_:_:)``.
    let bytes: UnsafeRawBufferPointer

    /// The number of bytes.
    var count: Int { bytes.count }

    /// Whether `count` bytes at `offset` lie in the file.
    func holds(_ offset: Int, _ count: Int) -> Bool {
        offset >= 0 && count >= 0 && count <= bytes.count && offset <= bytes.count - count
    }

    /// Loads an integer.
    func load<Value: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, as type: Value.Type) -> Value {
        precondition(holds(offset, MemoryLayout<Value>.size), "a load outside the file was not guarded")
        return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: type))
    }

    /// Loads a byte.
    func byte(_ offset: Int) -> UInt8 { load(offset, as: UInt8.self) }

    /// The bytes of a range, without a copy.
    func slice(_ offset: Int, _ count: Int) -> UnsafeRawBufferPointer {
        precondition(holds(offset, count), "a slice outside the file was not guarded")
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    }

    /// A copy of the bytes of a range.
    func copy(_ offset: Int, _ count: Int) -> [UInt8] { Array(slice(offset, count)) }

    /// The checksum of a range whose four bytes at `field` (counted from `offset`) count as zero.
    func checksum(_ offset: Int, _ count: Int, zeroing field: Int) -> UInt32 {
        CRC32.checksum(slice(offset, count), zeroing: field)
    }
}

/// Gives `body` a view of `image`.
func withView<Result>(
    _ image: [UInt8],
    _ body: (ImageView) throws(StorageError) -> Result
) throws(StorageError) -> Result {
    try image.withUnsafeBufferPointer { (buffer) throws(StorageError) -> Result in
        try body(ImageView(bytes: UnsafeRawBufferPointer(buffer)))
    }
}

/// Writes the checksum of a finished structure into its field.
func seal(_ writer: inout ByteWriter, checksumAt field: Int) {
    writer.overwrite(UInt32(0), at: field)
    writer.overwrite(CRC32.checksum(writer.bytes), at: field)
}

/// The file offset as an `Int`, or one behind every file when it does not fit.
func clamped(_ value: UInt64) -> Int { Int(exactly: value) ?? Int.max }

extension Int {
    /// The next multiple of `alignment`, which is a power of two; saturates.
    func roundedUp(to alignment: Int) -> Int {
        let (sum, overflow) = addingReportingOverflow(alignment - 1)
        return overflow ? Int.max & ~(alignment - 1) : sum & ~(alignment - 1)
    }
}
