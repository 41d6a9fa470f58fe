import RoostPrimitives

/// Turns the portable pixmap that an older QEMU writes into PNG, without compression.
///
/// Source: PNG specification (third edition) sections 5 and 10, RFC 1950, RFC 1951 section 3.2.4.
package enum PNGImage {
    /// The first eight bytes of every PNG file.
    package static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
    /// The most pixels along an edge that are taken.
    private static let edgeLimit = 32768

    /// The picture as PNG: as it is when it is one, converted when it is a binary pixmap (`P6`) of depth 8.
    ///
    /// - Throws: `EngineError` `.corrupt` for anything else.
    package static func converted(_ bytes: [UInt8]) throws(EngineError) -> [UInt8] {
        if bytes.starts(with: signature) { return bytes }
        guard let (width, height, start) = header(bytes),
            bytes.count - start >= width * height * 3
        else { throw EngineError(.corrupt, "QEMU's picture of the screen is neither PNG nor a pixmap of depth 8") }
        var rows: [UInt8] = []
        rows.reserveCapacity(height * (width * 3 + 1))
        for row in 0..<height {
            // Each row begins with its filter: none.
            rows.append(0)
            rows += bytes[(start + row * width * 3)..<(start + (row + 1) * width * 3)]
        }
        var size = bigEndian(UInt32(width)) + bigEndian(UInt32(height))
        // Eight bits per sample, colour, and the only methods of compression, filtering and interlacing there are.
        size += [8, 2, 0, 0, 0]
        return signature + chunk("IHDR", size) + chunk("IDAT", stored(rows)) + chunk("IEND", [])
    }

    /// Width, height and where the pixels start; nil when the bytes are no `P6` of depth 8.
    private static func header(_ bytes: [UInt8]) -> (Int, Int, Int)? {
        guard bytes.starts(with: Array("P6".utf8)) else { return nil }
        var numbers: [Int] = []
        var index = 2
        while numbers.count < 3 {
            while index < bytes.count, bytes[index] == 10 || bytes[index] == 32 { index += 1 }
            var number = 0
            let first = index
            while index < bytes.count, (48...57).contains(bytes[index]), number <= edgeLimit {
                number = number * 10 + Int(bytes[index] - 48)
                index += 1
            }
            guard index > first, index < bytes.count else { return nil }
            numbers.append(number)
        }
        guard (1...edgeLimit).contains(numbers[0]), (1...edgeLimit).contains(numbers[1]), numbers[2] == 255 else {
            return nil
        }
        return (numbers[0], numbers[1], index + 1)
    }

    private static func chunk(_ type: String, _ data: [UInt8]) -> [UInt8] {
        let body = Array(type.utf8) + data
        return bigEndian(UInt32(data.count)) + body + bigEndian(CRC32.checksum(body))
    }

    /// A zlib stream of stored blocks, each at most 65,535 bytes.
    private static func stored(_ data: [UInt8]) -> [UInt8] {
        var result: [UInt8] = [0x78, 0x01]
        var start = 0
        repeat {
            let end = min(start + 65535, data.count)
            let count = UInt16(end - start)
            result.append(end == data.count ? 1 : 0)
            for value in [count, ~count] { result += [UInt8(value & 0xFF), UInt8(value >> 8)] }
            result += data[start..<end]
            start = end
        } while start < data.count
        return result + bigEndian(adler32(data))
    }

    private static func adler32(_ data: [UInt8]) -> UInt32 {
        var low: UInt32 = 1
        var high: UInt32 = 0
        for byte in data {
            low = (low + UInt32(byte)) % 65521
            high = (high + low) % 65521
        }
        return high << 16 | low
    }

    private static func bigEndian(_ value: UInt32) -> [UInt8] {
        [UInt8(value >> 24), UInt8(value >> 16 & 0xFF), UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)]
    }
}
