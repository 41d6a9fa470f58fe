import DurableFiles
import HyperVStorage
import Testing

@testable import ConfigStore

@Suite struct FileRepairTests {
    @Test func planForSoundFilesNamesNothingToDo() throws {
        let machine = try StoredFixture()
        try machine.change("well")
        let plan = try machine.store.repairPlan(path: machine.path)
        #expect(plan.isSound && plan.sources == [.file(generation: 2)])
    }

    @Test func bothDamagedCanStillBeSalvagedInPart() throws {
        let machine = try StoredFixture()
        try machine.change("one")
        try machine.store.settle(path: machine.path)
        try machine.garble(machine.path, block: 5)
        for slot in 0..<2 {
            try machine.garble(machine.copy, block: slot * (try machine.bytes(machine.copy)).count / 8192)
        }
        let before = try machine.snapshot()
        #expect(throws: StoreError.self) { try machine.notes() }
        let plan = try machine.store.repairPlan(path: machine.path)
        guard case .salvage(let keys, _)? = plan.sources.first, plan.sources.count == 1 else {
            Issue.record("nothing can be salvaged: \(plan)")
            return
        }
        #expect(keys > 100 && plan.copyProblems.count == 2)
        #expect(plan.problems.contains { $0.contains("0x5000") })
        // A plan changes nothing.
        #expect(try machine.snapshot() == before)
        let kept = try machine.store.repair(plan, from: plan.sources[0])
        #expect(try kept.map(machine.bytes) == before.primary)
        #expect(
            try StorageFile(parsing: machine.bytes(machine.path)).tree.descendant("configuration/properties") != nil
        )
    }

    @Test func olderFileIsTakenOrReplacedAsTheOwnerSays() throws {
        for takesFile in [true, false] {
            let machine = try StoredFixture()
            try machine.change("old")
            let old = try machine.snapshot()
            for _ in 0..<3 { try machine.change("new"); try machine.change("newest") }
            try FileAccess.write(old.primary, to: machine.path)
            let plan = try machine.store.repairPlan(path: machine.path)
            #expect(plan.sources == [.copy(generation: 8), .copy(generation: 7), .file(generation: 2)])
            _ = try machine.store.repair(plan, from: takesFile ? plan.sources[2] : plan.sources[0])
            #expect(try machine.notes() == (takesFile ? "old" : "newest"))
            #expect(machine.actions().isEmpty)
        }
    }

    @Test func missingFileIsMadeAnewOnRequest() throws {
        let machine = try StoredFixture()
        try machine.change("back")
        try FileAccess.remove(machine.path)
        let plan = try machine.store.repairPlan(path: machine.path)
        #expect(try machine.store.repair(plan, from: try #require(plan.sources.first)) == nil)
        #expect(try machine.notes() == "back")
    }
}
