import RoostPrimitives
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
}
