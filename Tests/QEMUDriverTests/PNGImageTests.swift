import QEMUDriver
import RoostPrimitives
import Testing

@Suite struct PNGImageTests {
    private let pixmap = Array("P6\n2 1\n255\n".utf8) + [255, 0, 0, 0, 0, 255]

    @Test func pixmapBecomesTheBytesThatTheSpecificationAsksFor() throws {
        // One stored block: filter byte and six samples; Adler-32 by hand: low 0x1FF, high 0x700.
        let deflated: [UInt8] =
            [0x78, 0x01, 0x01, 0x07, 0x00, 0xF8, 0xFF, 0, 255, 0, 0, 0, 0, 255] + [0x07, 0x00, 0x01, 0xFF]
        let header: [UInt8] = [0, 0, 0, 2, 0, 0, 0, 1, 8, 2, 0, 0, 0]
        func chunk(_ type: String, _ data: [UInt8]) -> [UInt8] {
            let body = Array(type.utf8) + data
            let crc = CRC32.checksum(body)
            return [0, 0, 0, UInt8(data.count)] + body + (0..<4).map { UInt8(crc >> UInt32(24 - 8 * $0) & 0xFF) }
        }
        let expected = PNGImage.signature + chunk("IHDR", header) + chunk("IDAT", deflated) + chunk("IEND", [])
        #expect(try PNGImage.converted(pixmap) == expected)
    }

    @Test func pngStaysAsItIs() throws {
        let png = PNGImage.signature + [1, 2, 3]
        #expect(try PNGImage.converted(png) == png)
    }

    @Test func everyTruncationIsRefused() {
        for count in 0..<pixmap.count {
            #expect(throws: EngineError.self) { try PNGImage.converted(Array(pixmap.prefix(count))) }
        }
    }

    @Test(arguments: ["P5\n2 1\n255\n", "P6\n0 1\n255\n", "P6\n2 1\n65535\n", "P6\n99999999999999999999 1\n255\n"])
    func otherPixmapsAreRefused(header: String) {
        #expect(throws: EngineError.self) {
            try PNGImage.converted(Array(header.utf8) + [UInt8](repeating: 0, count: 64))
        }
    }
}
