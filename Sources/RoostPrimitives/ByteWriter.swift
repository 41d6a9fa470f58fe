/// Collects little-endian integers and byte runs into an array.
public struct ByteWriter: Sendable {
    /// What has been written.
    public private(set) var bytes: [UInt8] = []

    /// A writer with nothing written yet, with room for `capacity` bytes.
    public init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

    /// The number of bytes written.
    public var count: Int { bytes.count }

    /// Appends one integer.
    public mutating func write(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// Appends bytes.
    public mutating func write(_ values: some Sequence<UInt8>) { bytes.append(contentsOf: values) }

    /// Appends `value` until ``count`` is `count`; does nothing when it is that already, or more.
    public mutating func pad(to count: Int, with value: UInt8 = 0) {
        guard count > bytes.count else { return }
        bytes.append(contentsOf: repeatElement(value, count: count - bytes.count))
    }

    /// Writes an integer over bytes already written, as for a checksum.
    ///
    /// - Precondition: the integer's bytes lie inside what has been written.
    public mutating func overwrite(_ value: some FixedWidthInteger, at offset: Int) {
        withUnsafeBytes(of: value.littleEndian) { source in
            bytes.replaceSubrange(offset..<offset + source.count, with: source)
        }
    }
}
