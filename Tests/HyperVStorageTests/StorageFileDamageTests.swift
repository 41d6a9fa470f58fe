import Testing

@testable import HyperVStorage

/// Damages files byte by byte: the tree is either right or refused.
@Suite struct StorageFileDamageTests {
    /// Every kind of structure in one file: two key tables, a chained object table, a file object, free entries.
    static let varied: GoldenFile = {
        var file = GoldenFile.small([
            .key(type: 9, parent: (0, 0), sequence: 1, name: "r", data: GoldenFile.node(next: 4)),
            .free(size: 40),
            .key(type: 3, parent: (1, 10), sequence: 1, name: "n", data: GoldenFile.number(5, 8)),
        ])
        file.bytes += Array(repeating: 0, count: 0x4000)
        file.objectTable(at: 0x2000, rows: [0: (2, 0x3000, 0x1000), 226: (1, 0x7000, 0x1000)])
        file.objectTable(at: 0x7000, rows: [3: (2, 0x8000, 0x1000), 4: (3, 0x9000, 0x1000)])
        file.keyTable(
            at: 0x8000,
            index: 2,
            [
                .key(type: 8, parent: (1, 10), sequence: 2, name: "far", data: GoldenFile.number(1, 4)),
                .key(
                    type: 7,
                    flags: 1,
                    parent: (1, 10),
                    sequence: 3,
                    name: "big",
                    data: GoldenFile.number(4000, 4) + GoldenFile.number(0x9000, 8)
                ),
            ]
        )
        return file
    }()

    /// The file's bytes that no checksum covers and no reader needs: any value there gives the same tree.
    private func isUnchecked(_ offset: Int) -> Bool { offset >= 0x9000 && offset < 0x9000 + 4000 }

    @Test(arguments: [0x01, 0x02, 0x80, 0xFF] as [UInt8]) func everyFlippedByteIsFoundOrDoesNotMatter(mask: UInt8)
        throws
    {
        let golden = Self.varied.bytes
        let tree = try StorageFile(parsing: golden).tree
        var bytes = golden
        for offset in golden.indices where !isUnchecked(offset) {
            // Long runs of filler behave alike: their edges are enough.
            let filler = offset % 0x1000 > 0x100 && offset % 0x1000 < 0xF80 && offset >= 0x3000
            if filler && offset % 61 != 0 { continue }
            bytes[offset] ^= mask
            if let file = try? StorageFile(parsing: bytes) { #expect(file.tree == tree, "byte \(offset)") }
            bytes[offset] = golden[offset]
        }
    }

    @Test func damageToWhatIsReadIsReportedWithItsPlace() {
        let golden = Self.varied.bytes
        for (offset, structure, place) in [
            (0x2000, StorageError.Structure.objectTable, 0x2000), (0x2004, .objectTable, 0x2000),
            (0x200D, .objectEntry, 0x2008), (0x2030, .objectEntry, 0x202C), (0x3004, .keyTable, 0x3000),
            (0x3010, .keyEntry, 0x300A), (0x7002, .objectTable, 0x7000), (0x8020, .keyEntry, 0x800A),
            (0x302D, .keyEntry, 0x302D), (0x3055, .keyEntry, 0x3055),
        ] {
            var bytes = golden
            bytes[offset] ^= 0x02
            let error = #expect(throws: StorageError.self) { try StorageFile(parsing: bytes) }
            #expect(error?.structure == structure && error?.offset == UInt64(place), "byte \(hexadecimal(offset))")
            #expect(
                StorageFile.verify(bytes).contains { $0.structure == structure && $0.offset == UInt64(place) },
                "byte \(hexadecimal(offset))"
            )
        }
    }

    /// Thousands of tables, each from its place to the end of a file of 32 MiB: together more than any machine has.
    @Test func tablesThatLieOverEachOtherAskForNoMoreRoomThanTheFileHas() throws {
        var file = GoldenFile.small([])
        let size = 32 << 20
        file.bytes += Array(repeating: 0, count: size - file.bytes.count)
        var (objects, next, index) = (0x2000, 0x7000, 0)
        let firstTable = 0x40_000
        while firstTable + 0x1000 * index < size - 0x1000 {
            var rows: [Int: (type: UInt8, offset: Int, size: Int)] = [:]
            for row in 0..<226 {
                let table = firstTable + 0x1000 * index
                guard table < size - 0x1000 else { break }
                rows[row] = (2, table, size - table)
                index += 1
                file.put(2, width: 2, at: table)
                file.put(UInt64(index), width: 2, at: table + 2)
                file.put(1, width: 2, at: table + 4)
                file.sign(table, 10, field: 6)
            }
            if firstTable + 0x1000 * index < size - 0x1000 { rows[226] = (1, next, 0x1000) }
            file.objectTable(at: objects, rows: rows)
            (objects, next) = (next, next + 0x1000)
        }
        #expect(index > 8000 && next <= firstTable)
        let error = #expect(throws: StorageError.self) { try StorageFile(parsing: file.bytes) }
        #expect(error?.structure == .keyEntry)
    }

    @Test func freeEntryThatGrewOverAKeyIsFound() throws {
        var bytes = Self.varied.bytes
        // The free entry of 40 bytes now also covers the 31 bytes of the key behind it.
        bytes[0x302D + 2] = 40 + 31
        let error = #expect(throws: StorageError.self) { try StorageFile(parsing: bytes) }
        #expect(error?.offset == 0x302D)
    }

    @Test func damagedFillerOfAFreeEntryDoesNotMatter() throws {
        var bytes = Self.varied.bytes
        bytes[0x302D + 30] = 0x33
        #expect(try StorageFile(parsing: bytes).tree["r"]?.children.count == 3)
        #expect(StorageFile.verify(bytes).map(\.severity) == [.notice])
    }

    @Test func everyTruncationIsFoundOrDoesNotMatter() throws {
        let golden = Self.varied.bytes
        let tree = try StorageFile(parsing: golden).tree
        for count in stride(from: 0, to: golden.count, by: 7) {
            let file = try? StorageFile(parsing: Array(golden[..<count]))
            #expect((file?.tree ?? tree) == tree, "\(count) bytes")
            // The last byte that is needed is that of the large value.
            #expect((file == nil) == (count < 0x9000 + 4000), "\(count) bytes")
            if file == nil { #expect(StorageFile.verify(Array(golden[..<count])).contains { $0.severity == .error }) }
        }
    }

    @Test func truncatedLogIsNoDamageWhileItIsEmpty() throws {
        let (file, bytes) = try StorageFile.create(tree: GoldenFile.sampleTree.tree)
        let log = Int(file.headers.current.logOffset)
        for count in [log + 34, log + 35, log + 0x1001, bytes.count - 1] {
            #expect(try StorageFile(parsing: Array(bytes[..<count])).tree == file.tree)
        }
        #expect(throws: StorageError.self) { try StorageFile(parsing: Array(bytes[..<(log + 33)])) }
    }

    @Test func noiseNeverStopsTheProgram() {
        var random = SeededGenerator(seed: 4)
        let golden = StorageFileRecoveryTests.dirty().bytes
        for _ in 0..<3000 {
            var bytes = golden
            for _ in 0..<Int.random(in: 1..<12, using: &random) {
                let area = [0, 0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x8000].randomElement(using: &random) ?? 0
                bytes[area + Int.random(in: 0..<160, using: &random)] = .random(in: 0...255, using: &random)
            }
            if let file = try? StorageFile(parsing: bytes) {
                #expect([GoldenFile.sampleTree.tree, StorageFileRecoveryTests.newTree].contains(file.tree))
            }
            _ = StorageFile.verify(bytes)
        }
    }

    @Test func signedNoiseNeverStopsTheProgram() throws {
        // Random fields under right checksums, so that nothing is turned away at the first check.
        var random = SeededGenerator(seed: 5)
        for _ in 0..<2000 {
            var file = Self.varied
            for _ in 0..<3 {
                switch Int.random(in: 0..<5, using: &random) {
                case 0:
                    file.bytes[8 + Int.random(in: 0..<38, using: &random)] = .random(in: 0...255, using: &random)
                    file.sign(0, 46, field: 4)
                case 1:
                    let row =
                        [0x2008, 0x2008 + 226 * 18, 0x7008 + 54, 0x7008 + 72].randomElement(using: &random) ?? 0x2008
                    file.bytes[row + ([0, 5, 6, 7, 12, 13, 14, 15, 16].randomElement(using: &random) ?? 0)] = .random(
                        in: 0...255,
                        using: &random
                    )
                    file.sign(row, 18, field: 1)
                case 2:
                    let (entry, used) =
                        [(0x300A, 35), (0x3055, 31), (0x800A, 29), (0x8027, 37)].randomElement(using: &random) ?? (0, 0)
                    file.bytes[entry + Int.random(in: 0..<used, using: &random)] = .random(in: 0...255, using: &random)
                    file.sign(entry, used, field: 12)
                case 3:
                    file.bytes[0x4008 + Int.random(in: 0..<26, using: &random)] = .random(in: 0...255, using: &random)
                    file.sign(0x4000, 34, field: 4)
                default:
                    file.bytes[0x3000 + Int.random(in: 2..<6, using: &random)] = .random(in: 0...255, using: &random)
                    file.sign(0x3000, 10, field: 6)
                }
            }
            _ = StorageFile.verify(file.bytes)
            guard var opened = try? StorageFile(parsing: file.bytes) else { continue }
            var tree = opened.tree
            tree.set("r/n", .int(77))
            tree.set("r/new", .array([UInt8](repeating: 1, count: 3000)))
            guard let actions = try? opened.commit(tree) else { continue }
            StorageAction.apply(actions, to: &file.bytes)
            #expect(try StorageFile(parsing: file.bytes).tree == tree)
        }
    }
}
