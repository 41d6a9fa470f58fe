import DurableFiles
import HyperVStorage
import Testing
import VMConfiguration

@testable import ConfigStore

@Suite struct FileExaminationTests {
    @Test func wholeFileWithItsCopyIsSound() throws {
        let machine = try StoredFixture()
        try machine.change("well")
        let found = try FileExamination(of: machine.path, copy: machine.copy)
        #expect(found.isSound && found.copyGeneration == 2)
        #expect((found.keyCount ?? 0) > 100)
        // A log in force is no damage.
        #expect(found.findings.allSatisfy { $0.severity == .notice && $0.structure.hasPrefix("replay log") })
    }

    @Test func everyBlockThatIsZeroIsNamed() throws {
        let machine = try StoredFixture()
        try machine.change(String(repeating: "long notes ", count: 600))
        try machine.change(String(repeating: "longer notes", count: 600))
        try machine.store.settle(path: machine.path)
        let good = try machine.bytes(machine.path)
        #expect(try FileExamination(of: machine.path, copy: machine.copy).findings.isEmpty)
        for block in 0..<(good.count + 4095) / 4096 {
            var bytes = good
            for index in block * 4096..<min(bytes.count, block * 4096 + 4096) { bytes[index] = 0 }
            guard bytes != good else { continue }
            try FileAccess.write(bytes, to: machine.path)
            let found = try FileExamination(of: machine.path, copy: machine.copy)
            #expect(!found.isSound)
            #expect(found.findings.contains { $0.offset.map { Int($0) / 4096 } == block }, "block \(block)")
        }
    }

    @Test func fileObjectWithoutACopyKeepsItsSecret() throws {
        let machine = try StoredFixture()
        try machine.change(String(repeating: "long notes ", count: 600))
        try machine.store.settle(path: machine.path)
        let storage = try StorageFile(parsing: machine.bytes(machine.path))
        let block = try #require(storage.blockUses().firstIndex(of: .fileObject))
        try machine.garble(machine.path, block: block)
        #expect(try FileExamination(of: machine.path, copy: nil).isSound)
        let found = try FileExamination(of: machine.path, copy: machine.copy)
        #expect(
            found.findings.map(\.structure)
                == ["block (file object)", "block (file object)"].prefix(found.findings.count).map { $0 }
        )
        #expect(found.findings.first?.offset == UInt64(block * 4096))
    }

    @Test func xmlIsExaminedByItsOwnRules() throws {
        let machine = try StoredFixture(.v5_0)
        try machine.change("well")
        #expect(try FileExamination(of: machine.path, copy: machine.copy).findings.isEmpty)
        try machine.garble(machine.path, block: 0)
        let found = try FileExamination(of: machine.path, copy: machine.copy)
        #expect(found.isXML && found.keyCount == nil)
        #expect(found.findings.map(\.structure) == ["XML", "block"])
    }

    @Test func olderFileAndOlderCopyAreTold() throws {
        let machine = try StoredFixture()
        try machine.change("old")
        let old = try machine.snapshot()
        for round in 0..<3 { try machine.change("new \(round)") }
        let new = try machine.snapshot()
        try FileAccess.write(old.primary, to: machine.path)
        let olderFile = try FileExamination(of: machine.path, copy: machine.copy)
        #expect(olderFile.findings.contains { $0.detail.contains("the file is older") } && !olderFile.isSound)
        try FileAccess.write(new.primary, to: machine.path)
        try FileAccess.write(old.copy, to: machine.copy)
        let olderCopy = try FileExamination(of: machine.path, copy: machine.copy)
        #expect(olderCopy.findings.contains { $0.detail == "it has generation 2, the file 5" } && !olderCopy.isSound)
    }

    @Test func changeOfAnotherProgramIsNoDamage() throws {
        let machine = try StoredFixture()
        try machine.store.settle(path: machine.path)
        var bytes = try machine.bytes(machine.path)
        var file = try StorageFile(parsing: bytes)
        var tree = file.tree
        tree.set("configuration/properties/notes", .string("by hand"))
        StorageAction.apply(try file.commit(tree), to: &bytes)
        try FileAccess.write(bytes, to: machine.path)
        let found = try FileExamination(of: machine.path, copy: machine.copy)
        #expect(found.isSound && found.findings.contains { $0.detail.contains("another program") })
    }

    @Test func damagedCopyAndMissingFileAreTold() throws {
        let machine = try StoredFixture()
        try machine.change("one")
        for slot in 0..<2 {
            try machine.garble(machine.copy, block: slot * (try machine.bytes(machine.copy)).count / 8192)
        }
        let found = try FileExamination(of: machine.path, copy: machine.copy)
        #expect(found.findings.filter { $0.structure == "second copy" }.count == 3)
        let error = #expect(throws: StoreError.self) { try FileExamination(of: machine.path + "x", copy: nil) }
        #expect(error?.code == .notFound)
        #expect(throws: StoreError.self) { try FileExamination(of: machine.path, copy: "/nonexistent") }
    }
}

@Suite struct FileRepairByPathTests {
    @Test func fileIsMadeFromItsCopyAndTheCopyGoesOnServing() throws {
        let machine = try StoredFixture()
        try machine.change("precious")
        try machine.store.settle(path: machine.path)
        try machine.garble(machine.path, block: 3)
        let damaged = try machine.bytes(machine.path)
        let plan = try FileRepair(planning: machine.path, copy: machine.copy, files: FileAccess.system)
        #expect(plan.sources.first == .copy(generation: 2) && !plan.mayLoseChanges(.copy(generation: 2)))
        #expect(plan.mayLoseChanges(.copy(generation: 1)))
        let kept = try plan.carryOut(from: plan.sources[0], copy: machine.copy, files: FileAccess.system)
        #expect(try kept.file.map(machine.bytes) == damaged && kept.copy == nil)
        #expect(try machine.notes() == "precious")
        #expect(machine.actions().isEmpty)
        #expect(try FileExamination(of: machine.path, copy: machine.copy).isSound)
    }

    @Test func fileWithoutACopyGetsExactlyTheKeysThatCanBeRead() throws {
        let machine = try StoredFixture()
        try machine.change("one")
        try machine.store.settle(path: machine.path)
        try machine.garble(machine.path, block: 5)
        let path = "\(machine.folder.path)/alone.vmcx"
        let damaged = try machine.bytes(machine.path)
        try FileAccess.write(damaged, to: path)
        let plan = try FileRepair(planning: path, copy: nil, files: FileAccess.system)
        #expect(plan.sources.count == 1 && plan.mayLoseChanges(plan.sources[0]))
        #expect(
            try plan.carryOut(from: plan.sources[0], copy: nil, files: FileAccess.system).file == "\(path).damaged-1"
        )
        #expect(try machine.bytes("\(path).damaged-1") == damaged)
        #expect(try StorageFile(parsing: machine.bytes(path)).tree == StorageFile.salvage(damaged).tree)
        #expect(!exists("\(path).copy"))
    }

    @Test func copyWhoseStateIsGivenUpStaysToo() throws {
        let machine = try StoredFixture()
        try machine.change("old")
        let old = try machine.snapshot()
        for round in 0..<3 { try machine.change("new \(round)") }
        let copy = try machine.bytes(machine.copy)
        try FileAccess.write(old.primary, to: machine.path)
        let plan = try FileRepair(planning: machine.path, copy: machine.copy, files: FileAccess.system)
        #expect(plan.mayLoseChanges(.file(generation: 2)))
        let kept = try plan.carryOut(from: .file(generation: 2), copy: machine.copy, files: FileAccess.system)
        #expect(try kept.copy.map(machine.bytes) == copy)
        #expect(try machine.notes() == "old")
        #expect(machine.actions().isEmpty)
    }

    @Test func repairThatCannotBeWrittenLeavesEverything() throws {
        let machine = try StoredFixture(.v5_0)
        try machine.garble(machine.path, block: 0)
        // XML has no unsigned integers.
        let tree = KeyNode("", children: [KeyNode("configuration", children: [KeyNode("a", .uint(1))])])
        let content = CopyContent(
            sequence: 1,
            generation: 1,
            form: .xml,
            primarySize: 0,
            blockChecksums: [],
            tree: tree
        )
        let copy = try #require(ConfigurationCopy.file(content, previous: nil))
        try FileAccess.write(copy.bytes, to: machine.copy)
        let before = try machine.snapshot()
        let plan = try FileRepair(planning: machine.path, copy: machine.copy, files: FileAccess.system)
        #expect(throws: StoreError.self) {
            try plan.carryOut(from: .copy(generation: 1), copy: machine.copy, files: FileAccess.system)
        }
        #expect(try machine.snapshot() == before && !exists("\(machine.path).damaged-1"))
    }
}
