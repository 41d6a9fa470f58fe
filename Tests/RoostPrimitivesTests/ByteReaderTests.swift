import RoostPrimitives
import Testing

@Suite struct ByteReaderTests {
    @Test func integersAreLittleEndianAndSliceOffsetsCountFromZero() throws {
        let bytes: [UInt8] = [9, 9, 1, 2, 3, 4, 5, 6, 7, 8, 0xFE, 0xFF, 0xFD]
        var reader = ByteReader(bytes[2...])
        #expect(try reader.read(UInt64.self) == 0x0807_0605_0403_0201)
        #expect(reader.offset == 8)
        #expect(try reader.read(Int16.self) == -2)
        #expect(try reader.read(Int8.self) == -3)
        #expect(reader.remaining == 0)
    }

    @Test func readBehindTheEndThrowsAndMovesNothing() throws {
        var reader = ByteReader([1, 2, 3])
        try reader.skip(1)
        let expected = ByteReaderError(offset: 1, wanted: 4, available: 2)
        #expect(throws: expected) { try reader.read(UInt32.self) }
        #expect(throws: ByteReaderError(offset: 1, wanted: -1, available: 2)) { try reader.read(count: -1) }
        #expect(throws: ByteReaderError.self) { try reader.skip(.max) }
        #expect(expected.description == "4 bytes wanted at offset 1, 2 left")
        #expect(try reader.read(count: 2) == [2, 3])
    }

    @Test func seekStaysInsideTheBytes() throws {
        var reader = ByteReader([1, 2, 3])
        try reader.seek(to: 3)
        #expect(reader.remaining == 0)
        #expect(throws: ByteReaderError.self) { try reader.seek(to: 4) }
        #expect(throws: ByteReaderError.self) { try reader.seek(to: -1) }
        #expect(reader.offset == 3)
        try reader.seek(to: 0)
        #expect(try reader.read(UInt8.self) == 1)
    }

    @Test func writerAndReaderAgree() throws {
        var writer = ByteWriter(capacity: 32)
        writer.write(UInt16(0x0102))
        writer.write([7, 8])
        writer.write(Int32(-5))
        writer.pad(to: 12, with: 0xFD)
        writer.pad(to: 3)
        writer.overwrite(UInt16(0xBEEF), at: 2)
        #expect(writer.bytes == [2, 1, 0xEF, 0xBE, 0xFB, 0xFF, 0xFF, 0xFF, 0xFD, 0xFD, 0xFD, 0xFD])
        #expect(writer.count == 12)
        var reader = ByteReader(writer.bytes)
        try reader.skip(4)
        #expect(try reader.read(Int32.self) == -5)
    }
}
