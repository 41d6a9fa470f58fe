/// A read outside the bytes that a ``ByteReader`` holds.
public struct ByteReaderError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Where the read began, counted from the start of the reader's bytes.
    public var offset: Int
    /// How many bytes were asked for.
    public var wanted: Int
    /// How many bytes there were from ``offset`` on.
    public var available: Int

    /// An error about a read of `wanted` bytes at `offset`, where `available` were left.
    public init(offset: Int, wanted: Int, available: Int) {
        self.offset = offset
        self.wanted = wanted
        self.available = available
    }

    /// The error's text, as in `4 bytes wanted at offset 10, 2 left`.
    public var description: String { "\(wanted) bytes wanted at offset \(offset), \(available) left" }
}

/// Reads little-endian integers and byte runs from an array, front to back, never outside it.
///
/// Offsets count from the first byte of the reader, also when it reads a slice.
public struct ByteReader: Sendable {
    @usableFromInline let bytes: ArraySlice<UInt8>
    /// The offset of the next byte to read; at most ``count``.
    public private(set) var offset = 0

    /// A reader at the start of `bytes`.
    public init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

    /// A reader at the start of a slice.
    public init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

    /// The number of bytes in all.
    public var count: Int { bytes.count }

    /// The number of bytes from ``offset`` on.
    public var remaining: Int { bytes.count - offset }

    /// Reads one integer.
    ///
    /// - Throws: ``ByteReaderError`` when fewer bytes are left; the reader stays where it was.
    @inlinable
    public mutating func read<Value: FixedWidthInteger & BitwiseCopyable>(
        _ type: Value.Type = Value.self
    ) throws(ByteReaderError) -> Value {
        let start = try advance(Value.bitWidth / 8)
        return bytes.withUnsafeBytes {
            Value(littleEndian: $0.loadUnaligned(fromByteOffset: start - bytes.startIndex, as: Value.self))
        }
    }

    /// Reads `count` bytes without a copy.
    ///
    /// - Throws: ``ByteReaderError`` when fewer bytes are left or `count` is negative; the reader stays where it was.
    public mutating func read(count: Int) throws(ByteReaderError) -> ArraySlice<UInt8> {
        let start = try advance(count)
        return bytes[start..<start + count]
    }

    /// Passes over `count` bytes.
    ///
    /// - Throws: ``ByteReaderError`` when fewer bytes are left or `count` is negative; the reader stays where it was.
    public mutating func skip(_ count: Int) throws(ByteReaderError) { _ = try advance(count) }

    /// Moves to an offset.
    ///
    /// - Throws: ``ByteReaderError`` when it is negative or behind the last byte; the reader stays where it was.
    public mutating func seek(to offset: Int) throws(ByteReaderError) {
        guard offset >= 0, offset <= bytes.count else {
            throw ByteReaderError(offset: offset, wanted: 0, available: 0)
        }
        self.offset = offset
    }

    /// Takes `count` bytes and returns the slice's index of the first.
    @usableFromInline
    mutating func advance(_ count: Int) throws(ByteReaderError) -> Int {
        guard count >= 0, count <= remaining else {
            throw ByteReaderError(offset: offset, wanted: count, available: remaining)
        }
        let start = bytes.startIndex + offset
        offset += count
        return start
    }
}
