@testable import RoostPrimitives
import Testing

@Suite struct CRC32Tests {
    @Test func knownValues() {
        #expect(CRC32.checksum(Array("123456789".utf8)) == 0xCBF4_3926)
        #expect(CRC32.checksum([UInt8](repeating: 0, count: 18)) == 0x671B_CF4D)
    }

    @Test func zerosEqualZeroBytes() {
        var crc = CRC32()
        crc.update([1, 2, 3])
        crc.update(zeros: 4)
        #expect(crc.value == CRC32.checksum([1, 2, 3, 0, 0, 0, 0]))
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
                    one.update(zeros: start)
                    other.update(zeros: start)
                    one.update(buffer: part)
                    other.updateByTable(part)
                    #expect(one.value == other.value, "\(count) bytes from \(start)")
                }
            }
        }
    }
}
