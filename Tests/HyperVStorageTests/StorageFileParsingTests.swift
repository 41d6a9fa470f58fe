import HyperVStorage
import Testing

@Suite struct StorageFileParsingTests {
    @Test func smallFileGivesItsTree() throws {
        let file = try StorageFile(parsing: GoldenFile.small(GoldenFile.sampleEntries).bytes)
        #expect(file.tree == GoldenFile.sampleTree.tree)
        #expect(file.recovery.isClean)
        #expect(StorageFile.verify(GoldenFile.small(GoldenFile.sampleEntries).bytes).isEmpty)
    }

    @Test func everyTypeOfValueIsRead() throws {
        let file = GoldenFile.small([
            .key(type: 9, parent: (0, 0), sequence: 1, name: "r", data: GoldenFile.node(next: 9)),
            .key(
                type: 3,
                parent: (1, 10),
                sequence: 1,
                name: "int",
                data: GoldenFile.number(UInt64(bitPattern: -7), 8)
            ),
            .key(type: 4, parent: (1, 10), sequence: 2, name: "uint", data: GoldenFile.number(.max, 8)),
            .key(type: 5, parent: (1, 10), sequence: 3, name: "double", data: GoldenFile.number((1.5).bitPattern, 8)),
            .key(type: 6, flags: 2, parent: (1, 10), sequence: 4, name: "text", data: GoldenFile.text("Grüße 😀\0\0")),
            .key(type: 7, parent: (1, 10), sequence: 5, name: "array", data: GoldenFile.number(3, 4) + [1, 2, 3]),
            .key(type: 8, parent: (1, 10), sequence: 6, name: "bool", data: GoldenFile.number(1, 4)),
            .key(type: 9, flags: 4, parent: (1, 10), sequence: 8, name: "empty", data: GoldenFile.node(next: 0)),
        ])
        let root = try #require(try StorageFile(parsing: file.bytes).tree["r"])
        #expect(
            root.children == [
                KeyNode("int", .int(-7)), KeyNode("uint", .uint(.max)),
                KeyNode("double", .double(bitPattern: (1.5).bitPattern)),
                KeyNode("text", .string("Grüße 😀"), flags: 2), KeyNode("array", .array([1, 2, 3])),
                KeyNode("bool", .bool(true)), KeyNode("empty", flags: 4),
            ]
        )
    }

    @Test func childrenMayStandBeforeTheirParentAndInAnotherTable() throws {
        var file = GoldenFile.small([
            .key(type: 3, parent: (2, 10), sequence: 1, name: "early", data: GoldenFile.number(1, 8)),
            .key(type: 3, parent: (1, 200), sequence: 1, name: "before", data: GoldenFile.number(2, 8)),
            .free(size: 200 - 10 - 35 - 36),
            .key(type: 9, parent: (2, 10), sequence: 2, name: "later", data: GoldenFile.node(next: 2)),
        ])
        file.bytes += Array(repeating: 0, count: 0x2000)
        file.objectTable(at: 0x2000, rows: [0: (2, 0x3000, 0x1000), 5: (2, 0x7000, 0x1000)])
        let starts = file.keyTable(
            at: 0x7000,
            index: 2,
            [.key(type: 9, parent: (0, 0), sequence: 1, name: "top", data: GoldenFile.node(next: 3))]
        )
        #expect(starts == [10])
        let tree = try StorageFile(parsing: file.bytes).tree
        #expect(
            tree
                == KeyNode(
                    "",
                    children: [
                        KeyNode(
                            "top",
                            children: [
                                KeyNode("early", .int(1)), KeyNode("later", children: [KeyNode("before", .int(2))]),
                            ]
                        )
                    ]
                )
        )
    }

    @Test func siblingsOfOneNameStayApartAndInOrder() throws {
        let file = GoldenFile.small([
            .key(type: 9, parent: (0, 0), sequence: 1, name: "r", data: GoldenFile.node(next: 10)),
            .key(type: 3, parent: (1, 10), sequence: 9, name: "metric", data: GoldenFile.number(3, 8)),
            .free(size: 21),
            .key(type: 3, parent: (1, 10), sequence: 2, name: "metric", data: GoldenFile.number(1, 8)),
            .key(type: 3, parent: (1, 10), sequence: 5, name: "metric", data: GoldenFile.number(2, 8)),
        ])
        let children = try StorageFile(parsing: file.bytes).tree["r"]?.children
        #expect(children == [1, 2, 3].map { KeyNode("metric", .int($0)) })
    }

    @Test func chainedObjectTablesAreFollowedAndMayNotLoop() throws {
        var file = GoldenFile.small([
            .key(type: 9, parent: (0, 0), sequence: 1, name: "r", data: GoldenFile.node(next: 2))
        ])
        file.bytes += Array(repeating: 0, count: 0x4000)
        file.objectTable(at: 0x2000, rows: [0: (2, 0x3000, 0x1000), 226: (1, 0x7000, 0x1000)])
        file.objectTable(at: 0x7000, rows: [3: (2, 0x8000, 0x1000)])
        file.keyTable(
            at: 0x8000,
            index: 2,
            [.key(type: 8, parent: (1, 10), sequence: 1, name: "far", data: GoldenFile.number(0, 4))]
        )
        #expect(try StorageFile(parsing: file.bytes).tree.descendant("r/far")?.value == .bool(false))

        file.objectTable(at: 0x7000, rows: [3: (2, 0x8000, 0x1000), 226: (1, 0x2000, 0x1000)])
        #expect(throws: StorageError.self) { try StorageFile(parsing: file.bytes) }
        #expect(StorageFile.verify(file.bytes).contains { $0.structure == .objectTable && $0.offset == 0x2000 })
    }

    @Test func fileObjectsAreReadAndTheirBoundsChecked() throws {
        let text = String(repeating: "0123456789", count: 200)
        func build(length: Int, offset: Int, row: Int) -> GoldenFile {
            var file = GoldenFile.small([
                .key(
                    type: 6,
                    flags: 1,
                    parent: (0, 0),
                    sequence: 1,
                    name: "notes",
                    data: GoldenFile.number(UInt64(length), 4) + GoldenFile.number(UInt64(offset), 8)
                )
            ])
            file.bytes += Array(repeating: 0, count: 0x2000)
            file.objectTable(at: 0x2000, rows: [0: (2, 0x3000, 0x1000), 1: (3, row, 0x1000)])
            file.put(Array(GoldenFile.text(text).dropFirst(4)), at: 0x7000)
            return file
        }
        let good = build(length: 4000, offset: 0x7000, row: 0x7000)
        #expect(try StorageFile(parsing: good.bytes).tree["notes"]?.value == .string(text))
        for bad in [
            build(length: 4097, offset: 0x7000, row: 0x7000), build(length: 4000, offset: 0x6000, row: 0x7000),
            build(length: 4000, offset: 0x9000, row: 0x9000), build(length: 4000, offset: Int.max, row: Int.max),
        ] {
            let error = #expect(throws: StorageError.self) { try StorageFile(parsing: bad.bytes) }
            #expect(error?.structure == .fileObject)
        }
    }

    @Test func ofTwoTablesWithOneIndexTheHigherSequenceCounts() throws {
        for (sequence, expected) in [(2, Int64(2)), (0, 1), (0xFFFF, 1)] as [(UInt64, Int64)] {
            var file = GoldenFile.small([
                .key(type: 3, parent: (0, 0), sequence: 1, name: "n", data: GoldenFile.number(1, 8))
            ])
            file.bytes += Array(repeating: 0, count: 0x2000)
            file.objectTable(at: 0x2000, rows: [0: (2, 0x3000, 0x1000), 1: (2, 0x7000, 0x1000)])
            file.keyTable(
                at: 0x7000,
                index: 1,
                sequence: sequence,
                [.key(type: 3, parent: (0, 0), sequence: 1, name: "n", data: GoldenFile.number(2, 8))]
            )
            #expect(try StorageFile(parsing: file.bytes).tree["n"]?.value == .int(expected))
        }
    }

    @Test func theNewerHeaderCountsAcrossTheWrap() throws {
        for (first, second, log) in [(0, 0xFFFF, 0x4000), (0xFFFF, 0, 0x5000), (7, 6, 0x4000), (6, 7, 0x5000)] {
            var file = GoldenFile.small(GoldenFile.sampleEntries)
            file.fileHeader(copy: 0, sequence: UInt64(first), log: 0x4000, logSize: 0x2000)
            file.fileHeader(copy: 1, sequence: UInt64(second), log: 0x5000, logSize: 0x2000)
            file.logHeader(at: log, count: 0)
            file.put(0, width: 4, at: log == 0x4000 ? 0x5000 : 0x4000)
            let opened = try StorageFile(parsing: file.bytes)
            #expect(opened.recovery.log == .clean)
            #expect(opened.recovery.header?.copy == (log == 0x4000 ? 1 : 0))
        }
    }

    @Test func equalSequencesAreAcceptedOnlyInIdenticalCopies() throws {
        var file = GoldenFile.small(GoldenFile.sampleEntries)
        file.fileHeader(copy: 1, sequence: 1, log: 0x4000, logSize: 0x3000)
        #expect(try StorageFile(parsing: file.bytes).tree == GoldenFile.sampleTree.tree)
        file.fileHeader(copy: 1, sequence: 1, log: 0x4000, logSize: 0x2000)
        #expect(throws: StorageError.self) { try StorageFile(parsing: file.bytes) }
    }

    @Test(arguments: [0, 45, 0x0FFF, 0x1000]) func foreignAndShortFilesAreRefused(count: Int) {
        let error = #expect(throws: StorageError.self) {
            try StorageFile(parsing: Array(repeating: 0x20, count: count))
        }
        #expect(error?.code == (count < 46 ? .truncated : .foreign))
    }

    @Test func anotherFormatVersionIsNamed() {
        var file = GoldenFile.small(GoldenFile.sampleEntries)
        file.fileHeader(copy: 0, sequence: 1, log: 0x4000, logSize: 0x3000, version: 0x0301)
        file.fileHeader(copy: 1, sequence: 0, log: 0x4000, logSize: 0x3000, version: 0x0301)
        let error = #expect(throws: StorageError.self) { try StorageFile(parsing: file.bytes) }
        #expect(error?.code == .unsupported)
        #expect(error?.message == "file header at 0x0: format version 0x301, expected 0x400")
    }

    @Test func cyclesOrphansAndUnknownTypesAreErrors() {
        let cycle = GoldenFile.small([
            .key(type: 9, parent: (1, 44), sequence: 1, name: "a", data: GoldenFile.node(next: 2)),
            .key(type: 9, parent: (1, 10), sequence: 1, name: "b", data: GoldenFile.node(next: 2)),
        ])
        let fixed = GoldenFile.small([
            .key(type: 9, parent: (1, 45), sequence: 1, name: "a", data: GoldenFile.node(next: 2)),
            .key(type: 9, parent: (1, 10), sequence: 1, name: "b", data: GoldenFile.node(next: 2)),
        ])
        let underLeaf = GoldenFile.small([
            .key(type: 3, parent: (0, 0), sequence: 1, name: "a", data: GoldenFile.number(0, 8)),
            .key(type: 3, parent: (1, 10), sequence: 1, name: "b", data: GoldenFile.number(0, 8)),
        ])
        let unknown = GoldenFile.small([.key(type: 2, parent: (0, 0), sequence: 1, name: "a", data: [0, 0, 0, 0])])
        for (file, structure) in [
            (cycle, StorageError.Structure.keyEntry), (fixed, .tree), (underLeaf, .keyEntry), (unknown, .keyEntry),
        ] {
            let error = #expect(throws: StorageError.self) { try StorageFile(parsing: file.bytes) }
            #expect(error?.structure == structure)
            #expect(StorageFile.verify(file.bytes).contains { $0.severity == .error })
        }
    }

    @Test func canonicallyEquivalentTextIsNotTheSame() {
        #expect(KeyValue.string("e\u{301}") != .string("\u{E9}"))
        #expect(KeyNode("e\u{301}") != KeyNode("\u{E9}"))
        #expect(KeyNode("", children: [KeyNode("e\u{301}", .int(1))])["\u{E9}"] == nil)
    }
}
