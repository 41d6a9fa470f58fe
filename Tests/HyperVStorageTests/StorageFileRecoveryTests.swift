@testable import HyperVStorage
import Testing

@Suite struct StorageFileRecoveryTests {
    /// A file whose log holds a transaction: the key table gets `count` 5, and a second table appears.
    static func dirty(applied: Bool = false) -> GoldenFile {
        var file = GoldenFile.small(GoldenFile.sampleEntries)
        file.bytes += Array(repeating: 0, count: 0x5000)
        var changed = GoldenFile.small([
            GoldenFile.sampleEntries[0], GoldenFile.sampleEntries[1],
            .key(
                type: 3,
                parent: (1, 10),
                sequence: 4,
                name: "count",
                data: GoldenFile.number(5, 8),
                slack: Array(repeating: 0, count: 12)
            ),
        ])
        changed.keyTable(at: 0x3000, index: 1, sequence: 2, [])
        let table = GoldenFile.small([
            GoldenFile.sampleEntries[0], GoldenFile.sampleEntries[1],
            .key(
                type: 3,
                parent: (1, 10),
                sequence: 4,
                name: "count",
                data: GoldenFile.number(5, 8),
                slack: Array(repeating: 0, count: 12)
            ),
        ]).bytes[0x3000..<0x3200]
        file.keyTable(
            at: 0x8000,
            index: 2,
            [.key(type: 8, parent: (1, 10), sequence: 5, name: "new", data: GoldenFile.number(1, 4))]
        )
        let row = GoldenFile.objectRow(2, 0x8000, 0x1000)
        file.logEntry(log: 0x4000, index: 0, destination: 0x3000, payloadOffset: 0x1000, payload: Array(table))
        file.logEntry(log: 0x4000, index: 1, destination: 0x2008 + 18, payloadOffset: 0x1200, payload: row)
        file.logHeader(at: 0x4000, count: 2)
        return file
    }

    static var newTree: KeyNode {
        KeyNodeShape("configuration", children: [("name", .string("vm")), ("count", .int(5)), ("new", .bool(true))])
            .tree
    }

    @Test func committedTransactionIsCompletedBeforeTheObjectTableIsRead() throws {
        var bytes = Self.dirty().bytes
        let file = try StorageFile(parsing: bytes)
        #expect(file.tree == Self.newTree)
        #expect(file.recovery.log == .replayed(writes: 2))
        #expect(StorageFile.verify(bytes).map(\.severity) == [.notice])
        StorageAction.apply(file.recovery.actions, to: &bytes)
        let again = try StorageFile(parsing: bytes)
        #expect(again.recovery.isClean)
        #expect(again.tree == Self.newTree)
        #expect(StorageFile.verify(bytes).isEmpty)
    }

    @Test func recoverySyncsItsWritesBeforeItEmptiesTheLog() throws {
        let actions = try StorageFile(parsing: Self.dirty().bytes).recovery.actions
        let offsets = actions.map { action -> UInt64? in
            if case .write(let offset, _) = action { offset } else { nil }
        }
        #expect(offsets == [0x3000, 0x201A, nil, 0x4000, nil])
    }

    @Test(arguments: [0x4004, 0x4008, 0x400D, 0x4022, 0x4036, 0x403A, 0x403E, 0x4052, 0x5010, 0x5203])
    func transactionWithADamagedByteIsDiscarded(offset: Int) throws {
        var bytes = Self.dirty().bytes
        bytes[offset] ^= 0x10
        let file = try StorageFile(parsing: bytes)
        #expect(file.tree == GoldenFile.sampleTree.tree)
        guard case .discarded = file.recovery.log else {
            Issue.record("the log was not discarded: \(file.recovery.log)")
            return
        }
        #expect(StorageFile.verify(bytes).map(\.severity) == [.warning])
        StorageAction.apply(file.recovery.actions, to: &bytes)
        let again = try StorageFile(parsing: bytes)
        #expect(again.recovery.isClean)
        #expect(again.tree == GoldenFile.sampleTree.tree)
    }

    @Test func transactionOutsideItsBoundsIsDiscarded() throws {
        let payload: [UInt8] = [1, 2, 3, 4]
        for (destination, offset, count) in [
            (0x1FFE, 0x1000, 1), (0x4010, 0x1000, 1), (0x6FFF, 0x1000, 1), (0x1000_0000, 0x1000, 1),
            (0x3000, 0x0FFF, 1), (0x3000, 0x2FFE, 1), (0x3000, 0x1000, 146),
        ] {
            var file = GoldenFile.small(GoldenFile.sampleEntries)
            file.bytes += Array(repeating: 0, count: 0x2000)
            file.logEntry(log: 0x4000, index: 0, destination: destination, payloadOffset: offset, payload: payload)
            file.logHeader(at: 0x4000, count: count)
            let opened = try StorageFile(parsing: file.bytes)
            #expect(opened.tree == GoldenFile.sampleTree.tree)
            #expect(opened.recovery.log != .replayed(writes: 1))
            #expect(opened.recovery.log != .clean)
        }
    }

    @Test(arguments: [0, 1]) func damagedHeaderCopyIsWrittenAnew(copy: Int) throws {
        var bytes = GoldenFile.small(GoldenFile.sampleEntries).bytes
        for offset in copy * 0x1000..<copy * 0x1000 + 0x1000 { bytes[offset] = 0xEE }
        let file = try StorageFile(parsing: bytes)
        #expect(file.tree == GoldenFile.sampleTree.tree)
        #expect(file.recovery.header?.copy == copy)
        StorageAction.apply(file.recovery.actions, to: &bytes)
        let again = try StorageFile(parsing: bytes)
        #expect(again.recovery.isClean)
        for offset in (1 - copy) * 0x1000..<(1 - copy) * 0x1000 + 0x1000 { bytes[offset] = 0xEE }
        #expect(try StorageFile(parsing: bytes).tree == GoldenFile.sampleTree.tree)
    }

    @Test func commitAfterRecoveryStartsWithTheRecovery() throws {
        var bytes = Self.dirty().bytes
        var file = try StorageFile(parsing: bytes)
        var tree = file.tree
        tree.set("configuration/count", .int(6))
        StorageAction.apply(try file.commit(tree), to: &bytes)
        #expect(try StorageFile(parsing: bytes).tree == tree)
        StorageAction.apply(file.settle(), to: &bytes)
        let again = try StorageFile(parsing: bytes)
        #expect(again.recovery.isClean)
        #expect(again.tree == tree)
    }

    @Test func smallChangeOfASettledFileTakesOneSyncAndOfAnUnsettledOneTwo() throws {
        var (file, bytes) = try StorageFile.create(tree: GoldenFile.sampleTree.tree)
        var syncs: [Int] = []
        for count in [10, 11, 12] {
            if count == 12 { StorageAction.apply(file.settle(), to: &bytes) }
            var tree = file.tree
            tree.set("configuration/count", .int(Int64(count)))
            let actions = try file.commit(tree)
            syncs.append(actions.count { $0 == .sync })
            StorageAction.apply(actions, to: &bytes)
            // What follows the last sync is only where the log's writes belong.
            file = try StorageFile(parsing: bytes)
            #expect(file.tree == tree)
        }
        #expect(syncs == [1, 2, 1])
    }

    @Test func headerBesideEntriesOfAnotherTransactionIsFound() throws {
        var (file, bytes) = try StorageFile.create(tree: GoldenFile.sampleTree.tree)
        let log = Int(file.headers.current.logOffset)
        var images: [[UInt8]] = []
        for count in [10, 11] {
            var tree = file.tree
            tree.set("configuration/count", .int(Int64(count)))
            StorageAction.apply(try file.commit(tree), to: &bytes)
            images.append(bytes)
        }
        // The first header with the second entries, and the other way round.
        for (one, other) in [(0, 1), (1, 0)] {
            var mixed = images[one]
            mixed.replaceSubrange(log + 34..<log + 0x1000, with: images[other][log + 34..<log + 0x1000])
            let found = try StorageFile(parsing: mixed)
            guard case .discarded = found.recovery.log else {
                Issue.record("a mixed log was not discarded: \(found.recovery.log)")
                return
            }
            #expect(found.tree.descendant("configuration/count")?.value == .int(one == 0 ? 10 : 11))
        }
    }

    @Test func settledFileHasNoTraceOfTheSealAndTookOneSync() throws {
        var (file, bytes) = try StorageFile.create(tree: GoldenFile.sampleTree.tree)
        var tree = file.tree
        tree.set("configuration/count", .int(10))
        StorageAction.apply(try file.commit(tree), to: &bytes)
        let log = Int(file.headers.current.logOffset)
        #expect(bytes[log + 18] != 0)
        let actions = file.settle()
        #expect(actions.count == 2 && actions.first == .sync)
        StorageAction.apply(actions, to: &bytes)
        #expect(bytes[log + 17..<log + 34].allSatisfy { $0 == 0 })
        #expect(file.settle().isEmpty)
        #expect(try StorageFile(parsing: bytes).recovery.isClean)
    }
}
