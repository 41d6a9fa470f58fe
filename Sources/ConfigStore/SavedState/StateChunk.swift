internal import CLZ4
import RoostPrimitives

/// A piece of a machine's saved state, compressed where that helps, with checksums.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | signature "RSCk" |
/// | 4 | 4 | number, from 0 |
/// | 8 | 8 | stamp: the same in all chunks of one file, and in its head |
/// | 16 | 4 | size of the contents |
/// | 20 | 4 | size as stored; the same for contents that are not compressed, else they are one LZ4 block |
/// | 24 | 4 | CRC-32 of the stored bytes |
/// | 28 | 4 | CRC-32 of these 28 bytes |
///
/// The stored bytes follow. Source: `docs/formats/saved-state.md`.
package struct StateChunk: Hashable, Sendable {
    package static let headerSize = 32
    /// The most bytes of contents.
    package static let largest = 1 << 20
    private static let signature: UInt32 = 0x6B43_5352

    package var number: UInt32
    package var stamp: UInt64
    package var size: Int
    package var storedSize: Int
    package var checksum: UInt32

    /// The bytes of a chunk with these contents, of 1 to ``largest`` bytes.
    ///
    /// - Parameter haste: 0 for LZ4's usual search for what repeats; each step more looks at half as many places.
    package static func encode(_ contents: [UInt8], number: UInt32, stamp: UInt64, haste: Int = 0) -> [UInt8] {
        contents.withUnsafeBytes { encode($0, number, stamp, haste) }
    }

    private static func encode(
        _ contents: UnsafeRawBufferPointer,
        _ number: UInt32,
        _ stamp: UInt64,
        _ haste: Int
    ) -> [UInt8] {
        let room = contents.count
        let bytes = [UInt8](unsafeUninitializedCapacity: headerSize + room) { buffer, count in
            let body = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[headerSize...])
            // What does not become half as large stays as it is: whoever waits for a start pays for it.
            let stored = LZ4_compress_fast(
                contents.baseAddress,
                body.baseAddress,
                Int32(clamping: contents.count),
                Int32(clamping: room - max(room / 2, 1)),
                1 << Int32(clamping: haste)
            )
            var size = Int(stored)
            if stored <= 0 {
                body.copyMemory(from: contents)
                size = contents.count
            }
            var writer = ByteWriter(capacity: headerSize)
            writer.write(signature)
            writer.write(number)
            writer.write(stamp)
            writer.write(UInt32(clamping: contents.count))
            writer.write(UInt32(clamping: size))
            var checksum = CRC32()
            checksum.update(buffer: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(body)[..<size]))
            writer.write(checksum.value)
            writer.write(CRC32.checksum(writer.bytes))
            for (index, byte) in writer.bytes.enumerated() { buffer[index] = byte }
            count = headerSize + size
        }
        return bytes
    }

    /// Reads a chunk's header; nil when it is damaged.
    package init?(_ bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        guard bytes.count == Self.headerSize, (try? reader.read(UInt32.self)) == Self.signature,
            let number = try? reader.read(UInt32.self), let stamp = try? reader.read(UInt64.self),
            let size = try? reader.read(UInt32.self), let storedSize = try? reader.read(UInt32.self),
            let checksum = try? reader.read(UInt32.self),
            (try? reader.read(UInt32.self)) == CRC32.checksum(bytes[..<(Self.headerSize - 4)]),
            size > 0, size <= UInt32(Self.largest), storedSize > 0, storedSize <= size
        else { return nil }
        (self.number, self.stamp, self.checksum) = (number, stamp, checksum)
        (self.size, self.storedSize) = (Int(size), Int(storedSize))
    }

    /// The contents of the stored bytes; nil when they are damaged.
    package func contents(_ stored: [UInt8]) -> [UInt8]? {
        guard stored.count == storedSize, CRC32.checksum(stored) == checksum else { return nil }
        if storedSize == size { return stored }
        var done: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            stored.withUnsafeBytes { source in
                done = LZ4_decompress_safe(
                    source.baseAddress,
                    buffer.baseAddress,
                    Int32(clamping: storedSize),
                    Int32(clamping: size)
                )
            }
            count = max(0, Int(done))
        }
        return bytes.count == size ? bytes : nil
    }
}
