import HyperVStorage
import Testing
import VMConfiguration

/// Damaged files: an error or a tree that can be written again, and never a trap.
@Suite struct XMLDamageTests {
    private static let sound = utf16(ConfigurationXMLTests.golden)
    private static let soundUTF8 = Array(ConfigurationXMLTests.golden.utf8)

    /// Reads; what can be read is written and reads the same.
    private func exercise(_ bytes: [UInt8]) throws -> Bool {
        guard let document = try? ConfigurationXML.parse(bytes) else { return false }
        let written = try ConfigurationXML.serialize(document.root)
        let again = try ConfigurationXML.parse(written)
        #expect(try ConfigurationXML.serialize(again.root) == written)
        #expect(Set(again.root.flattened()) == Set(document.root.flattened()))
        return true
    }

    @Test(arguments: [sound, soundUTF8]) func noBeginningOfAFileIsTakenForAWholeOne(bytes: [UInt8]) throws {
        for count in 0..<bytes.count { #expect(try !exercise(Array(bytes.prefix(count))), "\(count) bytes") }
        #expect(try exercise(bytes))
    }

    @Test(arguments: [sound, soundUTF8]) func anyByteOfAFileMayBeAnyOther(bytes: [UInt8]) throws {
        var refused = 0
        for offset in bytes.indices {
            for change in [0x01, 0x02, 0x20, 0x80, 0xFF] as [UInt8] {
                var damaged = bytes
                damaged[offset] ^= change
                if try !exercise(damaged) { refused += 1 }
            }
        }
        #expect(refused > bytes.count)
    }

    @Test func piecesInAnotherOrderNeverTrap() throws {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<2000 {
            var damaged = Self.soundUTF8
            for _ in 0..<Int.random(in: 1..<5, using: &random) {
                let start = Int.random(in: 0..<damaged.count, using: &random)
                let end = min(damaged.count, start + Int.random(in: 0..<40, using: &random))
                let piece = damaged[start..<end]
                if Bool.random(using: &random) { damaged.removeSubrange(start..<end) }
                damaged.insert(contentsOf: piece, at: Int.random(in: 0...damaged.count, using: &random))
            }
            _ = try exercise(damaged)
        }
    }
}
