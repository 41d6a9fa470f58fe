import ConfigStore
import QEMUDriver
import RoostPrimitives
import Testing
import VMConfiguration

@testable import HostEngine

/// Removal of checkpoints in trees of any shape, with real files and the real qemu-img.
@Suite struct CheckpointRemovalTests {
    private typealias Contents = CheckpointFixture.Contents

    @Test(arguments: [RoostSettings.DiskFormat.qcow2, .raw, .vhdx])
    func lastCheckpointLeavesTheDiskAloneUnderItsOwnName(format: RoostSettings.DiskFormat) async throws {
        let fixture = try await CheckpointFixture(format: format)
        let keeper = try fixture.keeper()
        try await fixture.write(1, region: 0)
        var made: [StoredCheckpoint] = []
        for byte in 2...4 {
            made.append(try await fixture.make("c\(byte)", keeper))
            try await fixture.write(byte, region: byte - 1)
        }
        #expect(try fixture.files().count == 4)
        for checkpoint in [made[1], made[0], made[2]] {
            try await keeper.remove([checkpoint.id], of: fixture.machine)
            try await keeper.mergeSpareDisks(of: fixture.machine, besides: { [] })
        }
        let (path, used) = try fixture.current()
        #expect(path == fixture.disk && used == format.rawValue)
        #expect(try fixture.files() == [String(path.dropFirst(fixture.directory.disks.count + 1))])
        try await fixture.expect([1, 2, 3, 4], [:], keeper, "\(format)")
        let configuration = try fixture.configuration()
        #expect(configuration.currentCheckpoint == nil && configuration.spareDisks.isEmpty)
        #expect(try FileAccess.names(in: fixture.directory.snapshots).isEmpty)
    }

    @Test(arguments: [11, 12, 13] as [UInt64])
    func treesOfAnyShapeKeepWhatTheyKept(seed: UInt64) async throws {
        let fixture = try await CheckpointFixture(format: seed == 12 ? .raw : .qcow2)
        let keeper = try fixture.keeper()
        var numbers = SeededNumbers(seed: seed)
        var machine: Contents = [0, 0, 0, 0]
        var kept: [GUID: Contents] = [:]
        var byte = 0
        for step in 0..<30 {
            byte = byte % 250 + 1
            let region = Int.random(in: 0..<4, using: &numbers)
            try await fixture.write(byte, region: region)
            machine[region] = byte
            let all = kept.keys.sorted()
            switch Int.random(in: 0..<10, using: &numbers) {
            case 0..<4 where kept.count < 6:
                let made = try await fixture.make("c\(step)", keeper)
                kept[made.id] = machine
            case 4..<7 where !all.isEmpty:
                let id = try #require(all.randomElement(using: &numbers))
                let checkpoint = try #require(keeper.shelf.checkpoints(of: fixture.id).first { $0.id == id })
                try await keeper.apply(checkpoint, to: fixture.machine, generationID: .random(), besides: [])
                try await keeper.mergeSpareDisks(of: fixture.machine, besides: { [] })
                machine = try #require(kept[id])
            case _ where !all.isEmpty:
                let id = try #require(all.randomElement(using: &numbers))
                var ids: Set<GUID> = [id]
                if Bool.random(using: &numbers) {
                    let tree = CheckpointTree(
                        keeper.shelf.checkpoints(of: fixture.id).map {
                            .init(id: $0.id, parent: $0.record.parent, created: $0.record.created)
                        }
                    )
                    ids = Set(tree.subtree(id))
                }
                try await keeper.remove(ids, of: fixture.machine)
                try await keeper.mergeSpareDisks(of: fixture.machine, besides: { [] })
                for id in ids { kept[id] = nil }
            default: continue
            }
            try await fixture.expect(machine, kept, keeper, "seed \(seed), step \(step)")
            // No file but those of the states, and one for each place where branches part.
            let count = try fixture.files().count
            #expect(count <= 2 * kept.count + 1 && count > kept.count, "seed \(seed), step \(step): \(count) files")
        }
        try await keeper.remove(Set(kept.keys), of: fixture.machine)
        try await keeper.mergeSpareDisks(of: fixture.machine, besides: { [] })
        try await fixture.expect(machine, [:], keeper, "seed \(seed), the end")
        #expect(try fixture.files().count == 1)
        #expect(try fixture.current().path == fixture.disk)
    }

    /// Two branches, from which a part is removed; cut off at every transaction, before it and behind it.
    @Test(arguments: [[0], [1], [0, 1], [2], [0, 2]])
    func removalThatIsCutOffIsCompleted(removed: [Int]) async throws {
        var limit = 1
        while limit < 40 {
            var isComplete = false
            for cut in [CheckpointFixture.Cut.before(limit), .behind(limit)] {
                let fixture = try await CheckpointFixture()
                var made: [StoredCheckpoint] = []
                do {
                    let keeper = try fixture.keeper()
                    // c0 ← c1 on one branch, c0 ← c2 ← the machine on another.
                    try await fixture.write(1, region: 0)
                    made.append(try await fixture.make("c0", keeper))
                    try await fixture.write(2, region: 1)
                    made.append(try await fixture.make("c1", keeper))
                    try await keeper.apply(made[0], to: fixture.machine, generationID: .random(), besides: [])
                    try await fixture.write(3, region: 2)
                    made.append(try await fixture.make("c2", keeper))
                    try await fixture.write(4, region: 3)
                    let ids = Set(removed.map { made[$0].id })
                    fixture.cut(cut)
                    do {
                        try await keeper.remove(ids, of: fixture.machine)
                        try await keeper.mergeSpareDisks(of: fixture.machine, besides: { [] })
                        isComplete = true
                    } catch is CheckpointFixture.CutOff {}
                }
                fixture.cut(nil)
                let next = try fixture.keeper()
                try await next.settle(fixture.machine)
                let contents: [Contents] = [[1, 0, 0, 0], [1, 2, 0, 0], [1, 0, 3, 0]]
                let ids = Set(next.shelf.checkpoints(of: fixture.id).map(\.id))
                let isRemoved = !removed.contains { ids.contains(made[$0].id) }
                #expect(isRemoved || removed.allSatisfy { ids.contains(made[$0].id) }, "\(cut): half a removal")
                var kept: [GUID: Contents] = [:]
                for (number, checkpoint) in made.enumerated() where !(isRemoved && removed.contains(number)) {
                    kept[checkpoint.id] = contents[number]
                }
                try await fixture.expect([1, 0, 3, 4], kept, next, "\(cut) of \(removed), settled")
                // The next roostd merges what a note is about.
                let isNoted = try !BranchingNote.machines(in: fixture.directory).isEmpty
                let settled = try fixture.files()
                try await next.mergeSpareDisks(of: fixture.machine, besides: { [] })
                try await fixture.expect([1, 0, 3, 4], kept, next, "\(cut) of \(removed), merged")
                // The one place where branches part that no state begins with.
                let parts = isRemoved && removed.contains(0) && !removed.contains(1)
                let least = kept.count + 1 + (parts ? 1 : 0)
                let files = try fixture.files()
                #expect(files.count == least, "\(cut) of \(removed): \(files)")
                #expect(isNoted || files == settled, "\(cut) of \(removed): nobody would merge \(settled)")
                #expect(try BranchingNote.machines(in: fixture.directory).isEmpty)
            }
            if isComplete { break }
            limit += 1
        }
        // Otherwise nothing was cut off.
        #expect(limit > 2 && limit < 40)
    }

    @Test func filesThatOthersStandOnStay() async throws {
        let fixture = try await CheckpointFixture()
        let keeper = try fixture.keeper()
        try await fixture.write(1, region: 0)
        let first = try await fixture.make("c0", keeper)
        try await fixture.write(2, region: 1)
        // The disk is taken out; its file stands on the checkpoint's.
        let detached = try fixture.current().path
        _ = try fixture.store.update(id: fixture.id, path: fixture.path) {
            _ = try $0.removeDrive(at: DriveLocation(.scsi, 0, 0))
        }
        try await keeper.remove([first.id], of: fixture.machine)
        try await keeper.mergeSpareDisks(of: fixture.machine, besides: { [] })
        #expect(try fixture.files().count == 2)
        #expect(try await fixture.holds([1, 2, 0, 0], detached, "qcow2"))

        // Another machine's file is left alone too.
        let other = try await CheckpointFixture()
        let second = try other.keeper()
        let made = try await other.make("c0", second)
        try await other.write(2, region: 1)
        try await second.remove([made.id], of: other.machine)
        try await second.mergeSpareDisks(of: other.machine, besides: { [other.disk] })
        #expect(try other.files().count == 2)
        #expect(try other.current().path != other.disk)
    }

    @Test func diskThatWasShrunkStaysSmallAndCancelledWorkLeavesNothing() async throws {
        let fixture = try await CheckpointFixture()
        let keeper = try fixture.keeper()
        try await fixture.write(1, region: 0)
        let made = try await fixture.make("c0", keeper)
        let top = try fixture.current().path
        try await keeper.images.resize(top, format: "qcow2", sizeBytes: 8 << 20, shrink: true)
        try await keeper.remove([made.id], of: fixture.machine)
        try await keeper.mergeSpareDisks(of: fixture.machine, besides: { [] })
        let (path, _) = try fixture.current()
        #expect(try await keeper.images.info(path, format: "qcow2").virtualSizeBytes == 8 << 20)
        #expect(try await fixture.holds([1, 0, 0, 0], path, "qcow2"))

        let before = try fixture.files()
        let work = Task { _ = try await fixture.make("c1", keeper) }
        work.cancel()
        _ = await work.result
        if keeper.shelf.checkpoints(of: fixture.id).isEmpty {
            #expect(try fixture.files() == before)
            #expect(keeper.shelf.armed(of: fixture.id).isEmpty)
            #expect(try FileAccess.names(in: fixture.directory.snapshots).isEmpty)
        }
    }

    @Test func checkpointOfAnOlderVersionIsAppliedInTheVersionThatTheMachineHas() async throws {
        let fixture = try await CheckpointFixture(version: .v5_0)
        let keeper = try fixture.keeper()
        try await fixture.write(1, region: 0)
        let made = try await fixture.make("of 5.0", keeper)
        #expect(made.version == .v5_0 && made.path.hasSuffix(".xml"))
        try await fixture.write(2, region: 0)
        try fixture.upgrade()
        try await keeper.apply(made, to: fixture.machine, generationID: .random(), besides: [])
        let configuration = try fixture.configuration()
        #expect(configuration.version == .v8_0 && configuration.checkpoint == nil)
        try await fixture.expect([1, 0, 0, 0], [made.id: [1, 0, 0, 0]], keeper, "upgraded")
        try await keeper.remove([made.id], of: fixture.machine)
        try await keeper.mergeSpareDisks(of: fixture.machine, besides: { [] })
        try await fixture.expect([1, 0, 0, 0], [:], keeper, "removed")
        #expect(try fixture.files().count == 1)
    }

    @Test func checkpointThatCannotBeReadKeepsEveryFile() async throws {
        let fixture = try await CheckpointFixture()
        let keeper = try fixture.keeper()
        var made: [StoredCheckpoint] = []
        for number in 0..<2 { made.append(try await fixture.make("c\(number)", keeper)) }
        let directory = fixture.directory.ofCheckpoints
        for file in [made[0].path, directory.copy(of: made[0].path)] {
            try FileAccess.write(Array(repeating: 7, count: 40_000), to: file)
        }
        let shelf = CheckpointShelf(CheckpointStore(beside: fixture.store))
        try shelf.read()
        #expect(Array(shelf.damaged.keys) == [made[0].id])
        let next = CheckpointKeeper(
            shelf: shelf,
            directory: fixture.directory,
            images: keeper.images,
            user: keeper.user
        )
        let before = try fixture.files()
        try await next.remove([made[1].id], of: fixture.machine)
        try await next.mergeSpareDisks(of: fixture.machine, besides: { [] })
        #expect(try fixture.files() == before)
        #expect(try fixture.configuration().spareDisks == made[1].record.disks.map(\.path))
    }
}

/// Numbers that are the same in each run.
private struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// SplitMix64.
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
