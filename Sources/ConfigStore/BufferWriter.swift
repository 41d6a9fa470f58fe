/// Writes little-endian integers, counts and texts into a buffer of known size; what does not fit is counted only.
///
/// Each change of a machine writes all its keys: appending them to an array byte by byte took a tenth of its time.
struct BufferWriter {
    private let buffer: UnsafeMutableRawBufferPointer
    /// How many bytes there are, those that did not fit among them.
    private(set) var count = 0

    /// A writer into `buffer`, whose bytes need not have been initialized.
    init(_ buffer: UnsafeMutableRawBufferPointer) { self.buffer = buffer }

    /// Whether everything has found room.
    var fits: Bool { count <= buffer.count }

    /// What has been written from an offset on; nothing when something did not fit.
    func written(from start: Int) -> UnsafeRawBufferPointer {
        fits && start <= count
            ? UnsafeRawBufferPointer(rebasing: buffer[start..<count]) : UnsafeRawBufferPointer(start: nil, count: 0)
    }

    mutating func write(byte: UInt8) {
        if count < buffer.count { buffer.storeBytes(of: byte, toByteOffset: count, as: UInt8.self) }
        count += 1
    }

    mutating func write<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value) {
        let size = MemoryLayout<Value>.size
        if count + size <= buffer.count {
            buffer.storeBytes(of: value.littleEndian, toByteOffset: count, as: Value.self)
        }
        count += size
    }

    mutating func write(bytes: UnsafeRawBufferPointer) {
        if count + bytes.count <= buffer.count {
            UnsafeMutableRawBufferPointer(rebasing: buffer[count..<count + bytes.count]).copyMemory(from: bytes)
        }
        count += bytes.count
    }

    /// Writes zeros until ``count`` is `end`; nothing when it is that already, or more.
    mutating func pad(to end: Int) {
        guard end > count else { return }
        if end <= buffer.count {
            UnsafeMutableRawBufferPointer(rebasing: buffer[count..<end]).initializeMemory(as: UInt8.self, repeating: 0)
        }
        count = end
    }

    /// Writes a count as LEB128.
    mutating func write(leb128 value: Int) {
        var rest = UInt64(value)
        while rest >= 0x80 {
            write(byte: UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        write(byte: UInt8(truncatingIfNeeded: rest))
    }

    /// Writes a text's length in bytes as LEB128, and its UTF-8.
    mutating func write(text: String) {
        write(leb128: text.utf8.count)
        let isDone: Void? = text.utf8.withContiguousStorageIfAvailable { write(bytes: UnsafeRawBufferPointer($0)) }
        if isDone == nil { Array(text.utf8).withUnsafeBytes { write(bytes: $0) } }
    }
}
