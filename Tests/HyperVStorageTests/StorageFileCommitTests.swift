import Testing

@testable import HyperVStorage

@Suite struct StorageFileCommitTests {
    /// Commits and checks that the bytes read back as the tree, before and after the log is emptied.
    private func commit(_ tree: KeyNode, _ file: inout StorageFile, _ bytes: inout [UInt8]) throws -> [StorageAction] {
        let actions = try file.commit(tree)
        StorageAction.apply(actions, to: &bytes)
        let unsettled = try StorageFile(parsing: bytes)
        #expect(unsettled.tree == tree)
        #expect(unsettled.tree == file.tree)
        #expect(unsettled.recovery.log != .clean || actions.isEmpty)
        if Bool.random() {
            StorageAction.apply(file.settle(), to: &bytes)
            #expect(file.isSettled)
            #expect(StorageFile.verify(bytes).isEmpty)
            #expect(try StorageFile(parsing: bytes).recovery.isClean)
        }
        #expect(StorageFile.verify(bytes).allSatisfy { $0.severity == .notice })
        return actions
    }

    @Test func createdFileReadsBack() throws {
        for seed in 0..<40 as Range<UInt64> {
            var maker = TreeMaker(seed: seed)
            let tree = maker.tree(keys: Int(seed) * 12)
            let (file, bytes) = try StorageFile.create(tree: tree)
            #expect(file.tree == tree)
            #expect(try StorageFile(parsing: bytes).tree == tree)
            #expect(StorageFile.verify(bytes).isEmpty)
        }
    }

    @Test func emptyTreeMakesAFileThatCanGrow() throws {
        var (file, bytes) = try StorageFile.create(tree: KeyNode(""))
        #expect(bytes.count == 0x7000)
        var tree = file.tree
        tree.set("configuration/properties/name", .string("vm"))
        _ = try commit(tree, &file, &bytes)
    }

    @Test func unchangedTreeGivesNoActions() throws {
        var maker = TreeMaker(seed: 9)
        let tree = maker.tree(keys: 300)
        var (file, _) = try StorageFile.create(tree: tree)
        #expect(try file.commit(file.tree).isEmpty)
        #expect(try file.commit(tree).isEmpty)
    }

    @Test func treeWithoutOriginsChangesOnlyWhatDiffers() throws {
        var maker = TreeMaker(seed: 3)
        var tree = maker.tree(keys: 300)
        tree.set("configuration/count", .int(4))
        var (file, bytes) = try StorageFile.create(tree: tree)
        let before = bytes
        tree.set("configuration/count", .int(5))
        _ = try commit(tree, &file, &bytes)
        StorageAction.apply(file.settle(), to: &bytes)
        let log = Int(file.headers.current.logOffset)
        let differing = bytes.indices.filter { bytes[$0] != before[$0] && $0 >= 0x2000 && $0 < log }
        #expect(differing.count <= 4 + 1 + 6)
    }

    @Test func valueThatFitsKeepsItsEntryAndItsOldTail() throws {
        var bytes = GoldenFile.small([
            .key(
                type: 6,
                flags: 4,
                parent: (0, 0),
                sequence: 3,
                name: "type",
                data: GoldenFile.text("NONE"),
                slack: [9, 8]
            )
        ]).bytes
        var file = try StorageFile(parsing: bytes)
        var tree = file.tree
        tree.set("type", .string("VHD"))
        _ = try commit(tree, &file, &bytes)
        let expected = GoldenFile.entry(
            .key(
                type: 6,
                flags: 4,
                parent: (0, 0),
                sequence: 3,
                name: "type",
                data: GoldenFile.text("VHD"),
                slack: [UInt8(ascii: "E"), 0, 9, 8]
            )
        )
        #expect(Array(bytes[0x300A..<0x300A + expected.count]) == expected)
        #expect(bytes[0x3004] == 2)
    }

    @Test func valueThatNoLongerFitsFreesItsEntry() throws {
        var bytes = GoldenFile.small(GoldenFile.sampleEntries).bytes
        var file = try StorageFile(parsing: bytes)
        var tree = file.tree
        tree.set("configuration/name", .string("a much longer name for this machine"))
        _ = try commit(tree, &file, &bytes)
        #expect(Array(bytes[0x3039..<0x3039 + 46]) == GoldenFile.entry(.free(size: 46)))
        #expect(bytes[0x3000..<0x4000].contains(7) == false)
    }

    @Test func unpairedSurrogatesSurviveChangesBesideThem() throws {
        let odd = GoldenFile.number(4, 4) + [0x00, 0xD8, 0x41, 0x00]
        var bytes = GoldenFile.small([
            .key(type: 6, parent: (0, 0), sequence: 1, name: "odd", data: odd),
            .key(type: 3, parent: (0, 0), sequence: 2, name: "n", data: GoldenFile.number(1, 8)),
        ]).bytes
        let entry = Array(bytes[0x300A..<0x300A + 33])
        var file = try StorageFile(parsing: bytes)
        var tree = file.tree
        tree.set("n", .int(2))
        _ = try commit(tree, &file, &bytes)
        #expect(Array(bytes[0x300A..<0x300A + 33]) == entry)
    }

    @Test func nodeThatMovesInItsTableTakesItsChildrenAlong() throws {
        var bytes = GoldenFile.small(GoldenFile.sampleEntries).bytes
        var file = try StorageFile(parsing: bytes)
        var tree = file.tree
        tree.children[0].name = "configuration_with_a_longer_name"
        _ = try commit(tree, &file, &bytes)
        tree.children = [KeyNode("outer", children: [tree.children[0], tree.children[0]])]
        _ = try commit(tree, &file, &bytes)
    }

    @Test func originsOfAnotherFileDoNoHarm() throws {
        var maker = TreeMaker(seed: 77)
        var (file, bytes) = try StorageFile.create(tree: maker.tree(keys: 120))
        let (other, _) = try StorageFile.create(tree: maker.tree(keys: 150))
        _ = try commit(other.tree, &file, &bytes)
    }

    @Test func unknownObjectsAndUnusualBitsSurvive() throws {
        var golden = GoldenFile.small(GoldenFile.sampleEntries)
        golden.bytes += Array(repeating: 0x5A, count: 0x3000)
        golden.objectTable(at: 0x2000, rows: [0: (2, 0x3000, 0x1000), 1: (7, 0x7000, 0x1000)])
        var bytes = golden.bytes
        var file = try StorageFile(parsing: bytes)
        var tree = file.tree
        for index in 0..<40 { tree.set("configuration/big\(index)", .array(Array(repeating: 1, count: 5000))) }
        StorageAction.apply(try file.commit(tree), to: &bytes)
        #expect(bytes[0x7000..<0x8000].allSatisfy { $0 == 0x5A })
        #expect(Array(bytes[0x201A..<0x202C]) == GoldenFile.objectRow(7, 0x7000, 0x1000))
        #expect(try StorageFile(parsing: bytes).tree == tree)
    }

    @Test func overlappingAreasAreNeverWrittenTo() throws {
        var golden = GoldenFile.small(GoldenFile.sampleEntries)
        golden.objectTable(at: 0x2000, rows: [0: (2, 0x3000, 0x1000), 1: (3, 0x5000, 0x1000)])
        var file = try StorageFile(parsing: golden.bytes)
        var tree = file.tree
        tree.set("configuration/count", .int(9))
        let error = #expect(throws: StorageError.self) { try file.commit(tree) }
        #expect(error?.code == .corrupt)
        #expect(file.tree == GoldenFile.sampleTree.tree)
    }

    @Test(arguments: [3, 4, 7] as [UInt8]) func rowsOfFarAreasNeverMakeAGiantOfTheFile(type: UInt8) throws {
        for offset in [0x7FFF_F000, 1 << 40, (Int.max / 2) & ~0xFFF] {
            var golden = GoldenFile.small(GoldenFile.sampleEntries)
            golden.objectTable(at: 0x2000, rows: [0: (2, 0x3000, 0x1000), 1: (type, offset, 0x1000)])
            var file = try StorageFile(parsing: golden.bytes)
            var tree = file.tree
            for index in 0..<200 { tree.set("configuration/k\(index)", .int(1)) }
            let actions = try? file.commit(tree)
            // A far free area is no obstacle; one that something uses stops the change.
            #expect((actions == nil) == (type != 4))
            for case .write(let offset, let bytes) in actions ?? [] { #expect(Int(offset) + bytes.count < 0x40000) }
        }
    }

    @Test func manyLargeValuesChainObjectTablesAndTheirSpaceIsUsedAgain() throws {
        var tree = KeyNode("", children: [KeyNode("r")])
        for index in 0..<500 {
            tree.children[0].children.append(KeyNode("v\(index)", .array([UInt8](repeating: 3, count: 2048))))
        }
        var (file, bytes) = try StorageFile.create(tree: tree)
        #expect(bytes.count > 500 * 0x1000)
        tree.children[0].children.removeAll { $0.name.utf8.count == 4 }
        _ = try commit(tree, &file, &bytes)
        let size = bytes.count
        for round in 0..<3 {
            for index in 0..<390 {
                tree.children[0].children.append(
                    KeyNode("w\(index)", .array([UInt8](repeating: 4, count: 2049 + round)))
                )
            }
            _ = try commit(tree, &file, &bytes)
            tree.children[0].children.removeLast(390)
            _ = try commit(tree, &file, &bytes)
        }
        #expect(bytes.count <= size + 0x40000)
    }

    @Test func objectTableIsChainedWhenAFileGrows() throws {
        var (file, bytes) = try StorageFile.create(tree: KeyNode("", children: [KeyNode("r")]))
        for round in 0..<4 {
            var tree = file.tree
            for index in 0..<130 { tree.set("r/\(round)_\(index)", .array([UInt8](repeating: 3, count: 3000))) }
            _ = try commit(tree, &file, &bytes)
        }
        #expect(bytes[0x2008 + 226 * 18] == 1)
    }

    @Test func changeOfMoreTablesThanTheLogHoldsMovesTheLogFirst() throws {
        var tree = KeyNode("", children: [KeyNode("r")])
        for index in 0..<4000 {
            tree.children[0].children.append(KeyNode("key\(index)", .string(String(repeating: "x", count: 60))))
        }
        var (file, bytes) = try StorageFile.create(tree: tree)
        #expect(file.headers.current.logHeaderSize > 0x1000)
        for index in tree.children[0].children.indices {
            tree.children[0].children[index].value = .string(String(repeating: "y", count: 60))
        }
        _ = try commit(tree, &file, &bytes)
        let log = file.headers.current.logOffset
        for index in tree.children[0].children.indices { tree.children[0].children[index].flags = 2 }
        for index in 0..<4000 {
            tree.children[0].children.append(KeyNode("more\(index)", .string(String(repeating: "z", count: 200))))
        }
        _ = try commit(tree, &file, &bytes)
        for index in tree.children[0].children.indices { tree.children[0].children[index].value = .int(Int64(index)) }
        _ = try commit(tree, &file, &bytes)
        #expect(file.headers.current.logOffset > log)
    }

    @Test(arguments: ["", "a/b", "a\0b", String(repeating: "é", count: 128)]) func namesTheFormatCannotHoldAreRefused(
        name: String
    ) throws {
        var (file, _) = try StorageFile.create(tree: GoldenFile.sampleTree.tree)
        var tree = file.tree
        tree.children[0].children.append(KeyNode(name, .int(1)))
        let error = #expect(throws: StorageError.self) { try file.commit(tree) }
        #expect(error?.code == .invalidTree)
        #expect(file.tree == GoldenFile.sampleTree.tree)
    }

    @Test func longestNameIsStored() throws {
        let tree = KeyNode("", children: [KeyNode(String(repeating: "n", count: 254), .int(1))])
        #expect(try StorageFile(parsing: StorageFile.create(tree: tree).bytes).tree == tree)
    }

    @Test func leavesWithChildrenAndBottomlessTreesAreRefused() throws {
        let leaf = KeyNode("", children: [KeyNode("a", .int(1), children: [KeyNode("b")])])
        #expect(throws: StorageError.self) { try StorageFile.create(tree: leaf) }
        var deep = KeyNode("leaf")
        for _ in 0..<200 { deep = KeyNode("n", children: [deep]) }
        #expect(throws: StorageError.self) { try StorageFile.create(tree: KeyNode("", children: [deep])) }
    }

    @Test func longWalksOfRandomChangesAlwaysReadBack() throws {
        for seed in 0..<12 as Range<UInt64> {
            var maker = TreeMaker(seed: 1000 + seed)
            var tree = maker.tree(keys: 40)
            var (file, bytes) = try StorageFile.create(tree: tree)
            for _ in 0..<60 {
                tree = Bool.random(using: &maker.random) ? file.tree : tree
                for _ in 0..<Int.random(in: 1..<8, using: &maker.random) { maker.change(&tree) }
                _ = try commit(tree, &file, &bytes)
            }
        }
    }

    @Test func sequencesKeepWhatTheyCan() {
        func sequences(_ stored: [UInt32?], _ next: UInt32) -> [UInt32]? {
            Change.sequences(stored, next: next) { _ in false }
        }
        #expect(sequences([2, 4, 6, nil], 7) == [2, 4, 6, 8])
        #expect(sequences([2, nil, 4], 5) == [2, 3, 4])
        #expect(sequences([2, nil, 3, 9], 10) == [2, 4, 6, 9])
        #expect(sequences([nil, 1], 2) == [3, 5])
        #expect(sequences([6, 2, 4], 7) == [1, 2, 4])
        #expect(sequences([5, 5], 6) == [2, 5])
        #expect(sequences([nil], .max) == nil)
    }
}
