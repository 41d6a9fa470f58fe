import RoostPrimitives
import Testing

@testable import UEFIVariables

@Suite struct SignatureListTests {
    /// Two lists built by hand: two digests of 4 bytes with a header of 2, and one certificate of 3 bytes.
    private let bytes: [UInt8] =
        [0x26, 0x16, 0xC4, 0xC1, 0x4C, 0x50, 0x92, 0x40, 0xAC, 0xA9, 0x41, 0xF9, 0x36, 0x93, 0x43, 0x28]
        + Fixture.little(70, 4) + Fixture.little(2, 4) + Fixture.little(20, 4) + [0xAB, 0xCD]
        + Fixture.globalVariable + [1, 2, 3, 4] + Fixture.globalVariable + [5, 6, 7, 8]
        + [0xA1, 0x59, 0xC0, 0xA5, 0xE4, 0x94, 0xA7, 0x4A, 0x87, 0xB5, 0xAB, 0x15, 0x5C, 0x2B, 0xF0, 0x72]
        + Fixture.little(47, 4) + Fixture.little(0, 4) + Fixture.little(19, 4) + Fixture.globalVariable + [9, 9, 9]

    @Test func listsBuiltByHandAreReadAndWritten() throws {
        let lists = try SignatureList.parse(bytes)
        #expect(lists.map(\.type) == [.sha256Digest, .x509Certificate])
        #expect(lists.map(\.header) == [[0xAB, 0xCD], []])
        #expect(lists.flatMap(\.signatures).map(\.data) == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 9, 9]])
        #expect(lists.flatMap(\.signatures).allSatisfy { $0.owner == .globalVariable })
        #expect(try SignatureList.serialize(lists) == bytes)
    }

    @Test func noBytesAreNoLists() throws {
        #expect(try SignatureList.parse([]).isEmpty)
    }

    @Test func everyTruncationButTheOneBetweenListsIsRefused() {
        for length in 1..<bytes.count where length != 70 {
            #expect(code { _ = try SignatureList.parse(Array(bytes.prefix(length))) } == .corrupt)
        }
    }

    @Test func everyFlippedByteIsReadAndWrittenUnchangedOrRefused() throws {
        for index in bytes.indices {
            var damaged = bytes
            damaged[index] ^= 0xFF
            guard let lists = try? SignatureList.parse(damaged) else { continue }
            #expect(!(16..<28).contains(index))
            #expect(try SignatureList.serialize(lists) == damaged)
        }
    }

    @Test func signaturesOfSeveralSizesCannotShareAList() {
        let signatures = [[1], [1, 2]].map { SignatureList.Signature(owner: .zero, data: $0) }
        let list = SignatureList(type: .x509Certificate, signatures: signatures)
        #expect(code { _ = try SignatureList.serialize([list]) } == .invalidArgument)
    }
}
