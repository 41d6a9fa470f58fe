@testable import RoostPrimitives
import Testing

@Suite struct CRC32Tests {
    @Test func knownValues() {
        #expect(CRC32.checksum(Array("123456789".utf8)) == 0xCBF4_3926)
        #expect(CRC32.checksum([UInt8](repeating: 0, count: 18)) == 0x671B_CF4D)
    }

    @Test func fieldOfTheChecksumCountsAsZero() {
        for count in Array(4...70) + [255, 256, 257, 300] {
            var bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ 7) }
            for field in Set([0, count / 2, count - 4]) where field <= count - 4 {
                let found = bytes.withUnsafeBytes { CRC32.checksum($0, zeroing: field) }
                let kept = bytes[field..<field + 4]
                for index in field..<field + 4 { bytes[index] = 0 }
                #expect(found == CRC32.checksum(bytes), "\(count) bytes, field at \(field)")
                bytes.replaceSubrange(field..<field + 4, with: kept)
            }
        }
    }

    /// Bit by bit, as the polynomial says.
    @Test func tablesAreRight() {
        for count in 0...40 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 97 &+ 11) }
            var state: UInt32 = 0xFFFF_FFFF
            for byte in bytes {
                state ^= UInt32(byte)
                for _ in 0..<8 { state = state & 1 == 1 ? 0xEDB8_8320 ^ state >> 1 : state >> 1 }
            }
            #expect(CRC32.checksum(bytes) == ~state, "\(count) bytes")
        }
    }

    /// The processor's way and the tables' way, for each length and beginning around those at which the way changes.
    @Test func bothWaysAgree() {
        var generator = SystemRandomNumberGenerator()
        let bytes = (0..<5000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        bytes.withUnsafeBytes { buffer in
            for start in 0..<17 {
                for count in Array(0...300) + [4095, 4096, 4097, 4900] {
                    let part = UnsafeRawBufferPointer(rebasing: buffer[start..<start + count])
                    var (one, other) = (CRC32(), CRC32())
                    one.update(Array(repeating: 0, count: start))
                    other.update(Array(repeating: 0, count: start))
                    one.update(buffer: part)
                    other.updateByTable(part)
                    #expect(one.value == other.value, "\(count) bytes from \(start)")
                }
            }
        }
    }
}
