import HyperVStorage
import Testing

/// Cuts the power in the middle of commits: any subset of the unsynced sectors may have reached the disk.
@Suite struct StorageFileCrashTests {
    /// A disk in 512-byte sectors that remembers what has been synced.
    struct Disk {
        var durable: [UInt8]
        var pending: [(offset: Int, bytes: [UInt8])] = []

        mutating func perform(_ action: StorageAction) {
            switch action {
            case .write(let offset, let bytes):
                var start = 0
                while start < bytes.count {
                    let end = min(bytes.count, start + 512 - (Int(offset) + start) % 512)
                    pending.append((Int(offset) + start, Array(bytes[start..<end])))
                    start = end
                }
            case .sync:
                for write in pending { Self.write(write.offset, write.bytes, &durable) }
                pending = []
            }
        }

        /// The bytes after a power cut; a lost sector may also be torn.
        func crashed(using random: inout SeededGenerator) -> [UInt8] {
            var image = durable
            let likelihood = [0.1, 0.5, 0.9].randomElement(using: &random) ?? 0.5
            for write in pending.shuffled(using: &random) where Double.random(in: 0..<1, using: &random) < likelihood {
                let torn = Int.random(in: 0..<8, using: &random) == 0
                let count = torn ? Int.random(in: 0...write.bytes.count, using: &random) : write.bytes.count
                Self.write(write.offset, Array(write.bytes[..<count]), &image)
            }
            return image
        }

        private static func write(_ offset: Int, _ bytes: [UInt8], _ image: inout [UInt8]) {
            if offset + bytes.count > image.count {
                image += Array(repeating: 0, count: offset + bytes.count - image.count)
            }
            image.replaceSubrange(offset..<offset + bytes.count, with: bytes)
        }
    }

    /// Opens what a crash left, crashes again during recovery, and checks the tree each time.
    private func check(_ image: [UInt8], _ trees: [KeyNode], _ random: inout SeededGenerator) throws {
        let file = try StorageFile(parsing: image)
        #expect(trees.contains(file.tree))
        var disk = Disk(durable: image)
        let cut = Int.random(in: 0...file.recovery.actions.count, using: &random)
        for action in file.recovery.actions[..<cut] { disk.perform(action) }
        let again = try StorageFile(parsing: disk.crashed(using: &random))
        #expect(again.tree == file.tree)
    }

    private func run(
        _ actions: [StorageAction],
        _ disk: inout Disk,
        _ old: KeyNode,
        _ new: KeyNode,
        _ random: inout SeededGenerator
    ) throws {
        var committed = false
        for action in actions {
            for _ in 0..<3 {
                try check(disk.crashed(using: &random), committed ? [new] : [old, new], &random)
            }
            disk.perform(action)
            if action == .sync, !committed {
                committed = try StorageFile(parsing: disk.durable).tree == new && old != new
            }
        }
        #expect(try StorageFile(parsing: disk.durable).tree == new)
    }

    @Test(arguments: 0..<8 as Range<UInt64>) func everyCutLeavesTheOldOrTheNewTree(seed: UInt64) throws {
        var maker = TreeMaker(seed: 5000 + seed)
        let (created, bytes) = try StorageFile.create(tree: maker.tree(keys: 30))
        var file = created
        var disk = Disk(durable: bytes)
        for _ in 0..<14 {
            let old = file.tree
            var tree = old
            for _ in 0..<Int.random(in: 1..<12, using: &maker.random) { maker.change(&tree) }
            if Int.random(in: 0..<4, using: &maker.random) == 0 {
                for _ in 0..<80 { maker.insert(into: &tree.children[0], depth: 0) }
            }
            try run(try file.commit(tree), &disk, old, tree, &maker.random)
            if Int.random(in: 0..<3, using: &maker.random) == 0 {
                try run(file.settle(), &disk, tree, tree, &maker.random)
            }
        }
    }

    @Test func nothingTheOldStateUsesIsWrittenBeforeTheCommitPoint() throws {
        var maker = TreeMaker(seed: 60)
        var (file, bytes) = try StorageFile.create(tree: maker.tree(keys: 60))
        for _ in 0..<40 {
            var tree = file.tree
            for _ in 0..<6 { maker.change(&tree) }
            let old = file.tree
            let actions = try file.commit(tree)
            // Before the log's header counts entries, even complete loss of order must not show.
            var image = bytes
            for action in actions {
                guard case .write = action else { continue }
                StorageAction.apply([action], to: &image)
                let found = try StorageFile(parsing: image)
                #expect(found.tree == old || found.tree == tree)
                if found.tree == tree { break }
            }
            StorageAction.apply(actions, to: &bytes)
        }
    }
}
