import Foundation
import RoostPrimitives
import Testing

@Suite struct GUIDTests {
    private let text = "AC6B8DC1-3257-4A70-B1B2-A9C9215659AD"

    @Test func textIsReadInEitherCaseAndWithBraces() throws {
        let guid = try #require(GUID(text))
        #expect(GUID(text.lowercased()) == guid)
        #expect(GUID("{\(text)}") == guid)
        #expect(guid.uppercased == text)
        #expect(guid.description == text)
        #expect(guid.lowercased == text.lowercased())
    }

    @Test(arguments: [
        "", "AC6B8DC1", "AC6B8DC1-3257-4A70-B1B2-A9C9215659A", "AC6B8DC1-3257-4A70-B1B2-A9C9215659AG",
        "AC6B8DC1-3257-4A70-B1B2A-9C9215659AD", "{AC6B8DC1-3257-4A70-B1B2-A9C9215659AD",
        "AC6B8DC1-3257-4A70-B1B2-A9C9215659AD}", "+C6B8DC1-3257-4A70-B1B2-A9C9215659AD",
    ]) func anyOtherTextIsRefused(text: String) {
        #expect(GUID(text) == nil)
    }

    @Test func windowsByteOrderSwapsTheFirstThreeGroups() throws {
        let guid = try #require(GUID(text))
        #expect(guid.bytes.prefix(8) == [0xAC, 0x6B, 0x8D, 0xC1, 0x32, 0x57, 0x4A, 0x70])
        #expect(guid.littleEndianBytes.prefix(8) == [0xC1, 0x8D, 0x6B, 0xAC, 0x57, 0x32, 0x70, 0x4A])
        #expect(guid.littleEndianBytes.suffix(8) == guid.bytes.suffix(8))
        #expect(GUID(bytes: guid.bytes) == guid)
        #expect(GUID(littleEndianBytes: guid.littleEndianBytes) == guid)
        #expect(GUID(bytes: guid.bytes.dropLast()) == nil)
        #expect(GUID(littleEndianBytes: guid.bytes + [0]) == nil)
    }

    @Test func randomOnesAreVersionFourAndDiffer() {
        let guids = (0..<100).map { _ in GUID.random() }
        #expect(Set(guids).count == 100)
        for guid in guids {
            #expect(guid.bytes[6] >> 4 == 4)
            #expect(guid.bytes[8] >> 6 == 2)
        }
    }

    @Test func orderIsThatOfTheText() {
        let guids = (0..<50).map { _ in GUID.random() }
        #expect(guids.sorted().map(\.uppercased) == guids.map(\.uppercased).sorted())
    }

    @Test func codingUsesTheText() throws {
        let guid = try #require(GUID(text))
        let data = try JSONEncoder().encode([guid])
        #expect(String(decoding: data, as: UTF8.self) == "[\"\(text)\"]")
        #expect(try JSONDecoder().decode([GUID].self, from: data) == [guid])
        #expect(throws: DecodingError.self) { try JSONDecoder().decode([GUID].self, from: Data("[\"x\"]".utf8)) }
    }
}
