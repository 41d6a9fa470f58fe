import DurableFiles
import HyperVStorage
import RoostPrimitives
import Synchronization
import Testing
import VMConfiguration

@testable import ConfigStore

/// A machine in a store whose reports are kept.
final class StoredFixture: Sendable {
    let folder = TemporaryFolder()
    let directory: StateDirectory
    let configuration: VirtualMachineConfiguration
    let path: String
    let reports = Mutex<[StorageReport]>([])
    var copy: String { directory.copy(of: path) }
    var id: GUID { configuration.id }

    init(_ version: ConfigurationVersion = .v8_0) throws {
        directory = try makeDirectory(folder)
        configuration = try VirtualMachineConfiguration.new(NewVirtualMachine(name: "web", version: version))
        path = directory.configuration(configuration.id, version.fileFormat)
        _ = try store.create(configuration)
    }

    var store: ConfigurationStore {
        ConfigurationStore(directory: directory, supportedVersions: [.v5_0, .v8_0]) { report in
            self.reports.withLock { $0.append(report) }
        }
    }

    func change(_ notes: String) throws {
        _ = try store.update(id: id, path: path) { $0.notes = notes }
    }

    func notes() throws -> String { try store.load(id: id, path: path).notes }

    /// The actions reported since the last call.
    func actions() -> [StorageReport.Action] {
        reports.withLock { reports in
            defer { reports = [] }
            return reports.map(\.action)
        }
    }

    func bytes(_ path: String) throws -> [UInt8] { try FileAccess.read(path) }

    /// Both files as they are now.
    func snapshot() throws -> (primary: [UInt8], copy: [UInt8]) { (try bytes(path), try bytes(copy)) }

    func garble(_ path: String, block: Int) throws {
        var bytes = try bytes(path)
        for index in block * 4096..<min(bytes.count, block * 4096 + 4096) {
            bytes[index] = UInt8(truncatingIfNeeded: index &* 7)
        }
        try FileAccess.write(bytes, to: path)
    }
}

/// The rows of the table in `docs/design/0004-second-copy.md`.
@Suite struct SecondCopyTests {
    @Test(arguments: [ConfigurationVersion.v8_0, .v5_0]) func bothAgreeAfterEveryChangeAndNothingIsReported(
        version: ConfigurationVersion
    ) throws {
        let machine = try StoredFixture(version)
        for round in 0..<5 {
            try machine.change("round \(round)")
            #expect(try machine.notes() == "round \(round)")
        }
        #expect(try machine.store.load(id: machine.id, path: machine.path).root["roost"]?["generation"] == nil)
        #expect(machine.actions().isEmpty)
    }

    @Test(arguments: [ConfigurationVersion.v8_0, .v5_0]) func damagedFileComesBackAndIsKept(
        version: ConfigurationVersion
    ) throws {
        let machine = try StoredFixture(version)
        try machine.change("precious")
        for round in 1...3 {
            try machine.garble(machine.path, block: version == .v5_0 ? 0 : round + 2)
            let damaged = try machine.bytes(machine.path)
            #expect(try machine.notes() == "precious")
            // What is kept already is kept once.
            let number = version == .v5_0 ? 1 : round
            #expect(machine.actions() == [.restored(keptAs: "\(machine.path).damaged-\(number)")])
            #expect(try machine.bytes("\(machine.path).damaged-\(number)") == damaged)
            #expect(try machine.notes() == "precious")
            #expect(machine.actions().isEmpty)
        }
        try machine.change("and again")
        #expect(try machine.notes() == "and again")
    }

    @Test func everyBlockOfTheFileIsNoticedAndNothingIsLost() throws {
        let machine = try StoredFixture()
        try machine.change(String(repeating: "long notes ", count: 600))
        try machine.change(String(repeating: "longer notes", count: 600))
        try machine.store.settle(path: machine.path)
        let good = try machine.snapshot()
        for block in 0..<(good.primary.count + 4095) / 4096 {
            for kind in 0..<2 {
                var bytes = good.primary
                let range = block * 4096..<min(bytes.count, block * 4096 + 4096)
                let before = Array(bytes[range])
                for index in range {
                    bytes[index] = kind == 0 ? 0 : bytes[index] ^ UInt8(truncatingIfNeeded: index | 1)
                }
                guard Array(bytes[range]) != before else { continue }
                try FileAccess.write(bytes, to: machine.path)
                try FileAccess.write(good.copy, to: machine.copy)
                #expect(try machine.notes().hasPrefix("longer"), "block \(block)")
                #expect(machine.actions().count == 1, "block \(block) kind \(kind)")
                #expect(try machine.notes().hasPrefix("longer"))
                #expect(machine.actions().isEmpty, "block \(block)")
            }
        }
    }

    @Test func everyBlockOfTheCopyIsNoticedAndTheCopyIsWrittenAnew() throws {
        let machine = try StoredFixture()
        try machine.change("one")
        try machine.change("two")
        let good = try machine.snapshot()
        for block in 0..<good.copy.count / 4096 {
            try FileAccess.write(good.copy, to: machine.copy)
            try machine.garble(machine.copy, block: block)
            let reports = try machine.store.scrub(id: machine.id, path: machine.path)
            #expect(reports.map(\.action) == [.copyRefreshed], "block \(block)")
            #expect(machine.actions() == [.copyRefreshed], "block \(block)")
            #expect(try machine.store.scrub(id: machine.id, path: machine.path).isEmpty)
            #expect(machine.actions().isEmpty)
            #expect(ConfigurationCopy(try machine.bytes(machine.copy)).isComplete)
        }
    }

    @Test func countsFromWhichNobodyCouldCountOnAreDamage() {
        for (sequence, generation) in [(UInt64.max, 1), (1, UInt64.max)] {
            let header = CopySlotHeader(slotSize: 4096, sequence: sequence, generation: generation)
            #expect(CopySlotHeader(header.encoded()[...]) == nil)
        }
        #expect(CopySlotHeader(CopySlotHeader(slotSize: 4096, sequence: 1, generation: 1).encoded()[...]) != nil)
    }

    @Test func missingCopyIsMadeAnew() throws {
        let machine = try StoredFixture()
        try FileAccess.remove(machine.copy)
        #expect(try machine.notes() == "")
        #expect(machine.actions() == [.copyRefreshed])
        try FileAccess.remove(machine.copy)
        try machine.change("with no copy before")
        try machine.garble(machine.path, block: 3)
        #expect(try machine.notes() == "with no copy before")
    }

    @Test func cutBetweenTheTwoWritesIsCompletedInEitherOrder() throws {
        for version in [ConfigurationVersion.v8_0, .v5_0] {
            let machine = try StoredFixture(version)
            try machine.change("one")
            let before = try machine.snapshot()
            try machine.change("two")
            let after = try machine.snapshot()

            try FileAccess.write(before.primary, to: machine.path)
            #expect(try machine.notes() == "two")
            #expect(machine.actions() == [.completed])
            #expect(try machine.notes() == "two")

            try FileAccess.write(after.primary, to: machine.path)
            try FileAccess.write(before.copy, to: machine.copy)
            #expect(try machine.notes() == "two")
            #expect(machine.actions() == [.copyRefreshed])
            #expect(try machine.notes() == "two")
            #expect(machine.actions().isEmpty)
        }
    }

    @Test func olderFileInItsPlaceIsNeitherUsedNorReplaced() throws {
        let machine = try StoredFixture()
        try machine.change("old")
        let old = try machine.snapshot()
        for round in 0..<3 { try machine.change("new \(round)") }
        try FileAccess.write(old.primary, to: machine.path)
        let error = #expect(throws: StoreError.self) { try machine.notes() }
        #expect(error?.message.contains("is older than its second copy") == true)
        #expect(throws: StoreError.self) { try machine.change("no") }
        guard case .broken = machine.store.inspect(id: machine.id, path: machine.path) else {
            Issue.record("an older file was listed as readable")
            return
        }
        #expect(try machine.bytes(machine.path) == old.primary)
        #expect(machine.actions().isEmpty)
    }

    @Test func damagedFileWithAnOlderCopyIsBrokenWithBothReasons() throws {
        let machine = try StoredFixture()
        try machine.change("one")
        let old = try machine.snapshot()
        try machine.change("two")
        try FileAccess.write(old.copy, to: machine.copy)
        // A table without the generation is damaged: the generation can still be read.
        try machine.garble(machine.path, block: 3)
        #expect(StorageFile.salvage(try machine.bytes(machine.path)).generation == 3)
        let error = #expect(throws: StoreError.self) { try machine.notes() }
        #expect(error?.code == .corrupt)
        #expect(error?.cause?.contains("older than the file's 3") == true)
        #expect(error?.cause?.contains("0x3000") == true)
    }

    @Test func damagedFileWithACopyThatMayHaveHadANewerStateIsBroken() throws {
        let machine = try StoredFixture()
        try machine.change("one")
        try machine.change("two")
        for block in [2, 3] { try machine.garble(machine.path, block: block) }
        let copy = ConfigurationCopy(try machine.bytes(machine.copy))
        let newest = try #require(copy.newest)
        try machine.garble(machine.copy, block: newest.index * copy.slotSize / 4096)
        let error = #expect(throws: StoreError.self) { try machine.notes() }
        #expect(error?.cause?.contains("may have had a newer one") == true)
        #expect(error?.cause?.contains("slot \(newest.index) at 0x") == true)
    }

    @Test func changeOfAnotherProgramIsAcceptedAndCopied() throws {
        for version in [ConfigurationVersion.v8_0, .v5_0] {
            let machine = try StoredFixture(version)
            try machine.change("mine")
            try machine.store.settle(path: machine.path)
            var bytes = try machine.bytes(machine.path)
            if version == .v5_0 {
                var root = try ConfigurationXML.parse(bytes).root
                root.set("properties/name", .string("renamed elsewhere"))
                bytes = try ConfigurationXML.serialize(root)
            } else {
                var file = try StorageFile(parsing: bytes)
                var tree = file.tree
                tree.set("configuration/properties/name", .string("renamed elsewhere"))
                StorageAction.apply(try file.commit(tree), to: &bytes)
                StorageAction.apply(file.settle(), to: &bytes)
            }
            try FileAccess.write(bytes, to: machine.path)
            #expect(try machine.store.load(id: machine.id, path: machine.path).name == "renamed elsewhere")
            #expect(machine.actions() == [.changeAccepted])
            try machine.garble(machine.path, block: version == .v5_0 ? 0 : 3)
            let again = try machine.store.load(id: machine.id, path: machine.path)
            #expect(again.name == "renamed elsewhere" && again.notes == "mine")
        }
    }

    @Test func missingFileIsListedAndNeverComesBackByItself() throws {
        let machine = try StoredFixture()
        try FileAccess.remove(machine.path)
        #expect(try machine.store.list().map(\.path) == [machine.path])
        guard case .broken(_, _, let reason) = machine.store.inspect(id: machine.id, path: machine.path) else {
            Issue.record("a missing file was listed as readable")
            return
        }
        #expect(reason.code == .notFound && reason.message.contains("second copy has generation 1"))
        #expect(!exists(machine.path))
        try machine.store.remove(path: machine.path)
        #expect(try machine.store.list().isEmpty)
    }

    @Test func removedMachineLeavesNothing() throws {
        let machine = try StoredFixture()
        try machine.change("gone")
        try machine.store.remove(path: machine.path)
        #expect(!exists(machine.path) && !exists(machine.copy))
        #expect(try machine.store.list().isEmpty)
    }

    @Test func brokenMachineIsSetAsideWithItsCopy() throws {
        let machine = try StoredFixture()
        try machine.store.setAside(path: machine.path, as: "\(machine.path).removed-1")
        #expect(try machine.store.list().isEmpty)
        #expect(exists("\(machine.path).removed-1"))
        #expect(try FileAccess.names(in: machine.directory.copies).filter { $0.hasSuffix(".kept") }.count == 1)
        #expect(try FileAccess.names(in: machine.directory.copies).allSatisfy { !$0.hasSuffix(".copy") })
    }

    @Test func valuesThatOutgrowTheCopyAreStoredAndItsPreviousStateStays() throws {
        let machine = try StoredFixture()
        for size in [10, 5000, 40000, 100, 200_000] {
            let before = try machine.snapshot()
            try machine.change(String(repeating: "é", count: size))
            let after = try machine.snapshot()
            try FileAccess.write(before.primary, to: machine.path)
            #expect(try machine.notes().count == size)
            #expect(machine.actions() == [.completed])
            try FileAccess.write(after.primary, to: machine.path)
            try FileAccess.write(after.copy, to: machine.copy)
        }
    }

    @Test func damageOfAValueOutsideTheTablesIsFound() throws {
        let machine = try StoredFixture()
        try machine.change(String(repeating: "x", count: 30000))
        try machine.store.settle(path: machine.path)
        var bytes = try machine.bytes(machine.path)
        let start = try #require(
            bytes.indices.first { bytes[$0...].starts(with: [0x78, 0, 0x78, 0, 0x78, 0, 0x78, 0]) }
        )
        bytes[start + 9000] ^= 1
        try FileAccess.write(bytes, to: machine.path)
        #expect(try StorageFile(parsing: bytes).tree != KeyNode(""))
        #expect(try machine.notes() == String(repeating: "x", count: 30000))
        #expect(machine.actions() == [.restored(keptAs: "\(machine.path).damaged-1")])
    }

    /// Behind a power cut only some of what the log carries is in its place, and then the log goes bad: what is left may
    /// make sense, but it is no state that there has ever been.
    @Test func fileBetweenTwoStatesWhoseLogIsDamagedIsNotTaken() throws {
        let long = String(repeating: "another ", count: 10)
        var mixtures = 0
        for (before, after) in [("a", long), (long, "a")] {
            let machine = try StoredFixture()
            let store = machine.store
            let rename = { (name: String) in
                _ = try store.update(id: machine.id, path: machine.path) { $0.name = name }
            }
            try rename(before)
            try store.settle(path: machine.path)
            let old = try machine.bytes(machine.path)
            try rename(after)
            let (new, copy) = try machine.snapshot()
            let log = Int((0..<8).reduce(UInt64(0)) { $0 | UInt64(new[26 + $1]) << (8 * UInt64($1)) })
            #expect(new[log] == 3 && new[log + 1] == 0)
            let sectors = stride(from: 0, to: new.count, by: 512).filter {
                $0 < old.count && new[$0..<$0 + 512] != old[$0..<$0 + 512] && !(log..<log + 0x8000 ~= $0)
            }
            for arrived in 0..<1 << min(sectors.count, 6) {
                var mixed = new
                for (index, sector) in sectors.enumerated() where arrived >> index & 1 == 0 {
                    mixed.replaceSubrange(sector..<sector + 512, with: old[sector..<sector + 512])
                }
                for index in log + 4096..<log + 8192 { mixed[index] = UInt8(truncatingIfNeeded: index &* 91 ^ 0x5C) }
                try FileAccess.write(mixed, to: machine.path)
                try FileAccess.write(copy, to: machine.copy)
                mixtures += 1
                guard case .readable(let summary, _) = machine.store.inspect(id: machine.id, path: machine.path) else {
                    Issue.record("mixture \(arrived) of \(sectors.count) sectors is broken")
                    continue
                }
                #expect(summary.name == after, "mixture \(arrived) of \(sectors.count) sectors")
                #expect(!machine.actions().isEmpty)
            }
        }
        #expect(mixtures > 8)
    }

    @Test func listingLooksAtValuesOutsideTheTables() throws {
        let machine = try StoredFixture()
        _ = try machine.store.update(id: machine.id, path: machine.path) {
            $0.root.children.append(KeyNode("large", .array([UInt8](repeating: 0xC3, count: 5000))))
        }
        try machine.store.settle(path: machine.path)
        let bytes = try machine.bytes(machine.path)
        let run = [UInt8](repeating: 0xC3, count: 64)
        let block = try #require(bytes.indices.first { bytes[$0...].starts(with: run) }) / 4096
        try machine.garble(machine.path, block: block)
        _ = machine.store.inspect(id: machine.id, path: machine.path)
        #expect(machine.actions().count == 1)
        let found = try machine.store.load(id: machine.id, path: machine.path)
        #expect(found.root["large"]?.value == .array([UInt8](repeating: 0xC3, count: 5000)))
        #expect(machine.actions().isEmpty)
    }

    /// What is refused for want of space has not happened, whatever was to be written where.
    @Test func changeThatAFullDiskRefusesIsNotThereLater() throws {
        let machine = try StoredFixture()
        try machine.change("one")
        let full = ConfigurationStore(directory: machine.directory, supportedVersions: [.v8_0], files: FullDisk())
        let update = { (notes: String) in
            _ = try full.update(id: machine.id, path: machine.path) { $0.notes = notes }
        }
        try update("two")
        // The copy's slots have no room for this, and there is none for another copy.
        for count in [9000, 20_000] {
            #expect(throws: StoreError.self) { try update(String(repeating: "y", count: count)) }
        }
        #expect(try machine.notes() == "two")
        try machine.change("three")
        #expect(try machine.notes() == "three")
    }

    @Test func damagedXMLThatStillMakesSenseComesBackAndWhatAnotherProgramChangedCounts() throws {
        let machine = try StoredFixture(.v5_0)
        try machine.change("precious 1234")
        let good = try machine.bytes(machine.path)
        func offset(_ text: String) throws -> Int {
            let wanted = text.utf16.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
            return try #require(good.indices.first { good[$0...].starts(with: wanted) })
        }
        // One bit of a digit: the notes', then the generation's, which makes the file look newer or older than its copy.
        let places = [
            try offset("1234") + 6,
            try offset("<generation type=\"integer\">") + 2 * "<generation type=\"integer\">".count,
        ]
        for (number, place) in places.enumerated() {
            for mask: UInt8 in [1, 2] {
                try damage(machine.path, at: place, flipping: mask)
                let plan = try machine.store.repairPlan(path: machine.path)
                #expect(!plan.isSound && plan.sources.first != plan.sources.last, "\(plan)")
                if case .copy? = plan.sources.first {} else { Issue.record("\(plan)") }
                let examined = try FileExamination(of: machine.path, copy: machine.copy)
                #expect(
                    examined.findings.contains { $0.offset == UInt64(place / 4096 * 4096) && $0.severity == .error }
                )
                #expect(try machine.notes() == "precious 1234", "\(number)")
                #expect(machine.actions().contains { if case .restored = $0 { true } else { false } })
                #expect(try machine.bytes(machine.path) == good)
                #expect(try machine.notes() == "precious 1234")
                #expect(machine.actions().isEmpty)
            }
        }
        // What lists the machines sees it as well, before a digit of an identifier makes it another one.
        try damage(machine.path, at: places[0], flipping: 1)
        if case .broken = machine.store.inspect(id: machine.id, path: machine.path) { Issue.record("it is broken") }
        #expect(machine.actions().count == 1)
        #expect(try machine.bytes(machine.path) == good)
        // Written anew as it was, with another time: that is noted, and damage is found as before.
        try FileAccess.write(good, to: machine.path)
        #expect(try machine.notes() == "precious 1234")
        #expect(machine.actions().isEmpty)
        try damage(machine.path, at: places[0], flipping: 1)
        #expect(try machine.notes() == "precious 1234")
        #expect(machine.actions().count == 1)
        // Written by somebody: it has another time.
        var edited = good
        edited[places[0]] ^= 1
        try FileAccess.write(edited, to: machine.path)
        #expect(try FileExamination(of: machine.path, copy: machine.copy).isSound)
        #expect(try machine.notes() == "precious 1235")
        #expect(machine.actions() == [.changeAccepted])
        try machine.change("and on")
        #expect(try machine.notes() == "and on")
    }

    @Test func cutWhileAnotherProgramsChangeIsAcceptedIsCompleted() throws {
        let machine = try StoredFixture()
        try machine.change("own")
        try machine.store.settle(path: machine.path)
        var bytes = try machine.bytes(machine.path)
        var file = try StorageFile(parsing: bytes)
        var tree = file.tree
        tree.set("configuration/properties/notes", .string("foreign"))
        StorageAction.apply(try file.commit(tree) + file.settle(), to: &bytes)
        try FileAccess.write(bytes, to: machine.path)
        #expect(try machine.notes() == "foreign")
        #expect(machine.actions() == [.changeAccepted])
        // As if the power had gone between the copy and the file.
        try FileAccess.write(bytes, to: machine.path)
        #expect(try machine.notes() == "foreign")
        #expect(machine.actions() == [.completed])
        #expect(try machine.notes() == "foreign")
        #expect(machine.actions().isEmpty)
    }

    @Test func fileOfAnotherMachineOrOfAnUnknownVersionIsNotTouchedNorItsCopy() throws {
        let machine = try StoredFixture()
        try machine.change("precious")
        try machine.store.settle(path: machine.path)
        let other = try StoredFixture()
        try other.change("another one's")
        try other.store.settle(path: other.path)
        try FileAccess.write(try other.bytes(other.path), to: machine.path)
        let before = try machine.snapshot()
        let looks: [() throws -> Void] = [
            { _ = try machine.notes() }, { _ = try machine.store.scrub(id: machine.id, path: machine.path) },
            { try machine.change("x") },
        ]
        for look in looks {
            let error = #expect(throws: StoreError.self) { try look() }
            #expect(error?.code == .corrupt && error?.message.contains("another virtual machine") == true)
        }
        if case .broken = machine.store.inspect(id: machine.id, path: machine.path) {
        } else {
            Issue.record("it is readable")
        }
        let now = try machine.snapshot()
        #expect(now.primary == before.primary && now.copy == before.copy)
        // The copy has what was there, and repairing takes it.
        let plan = try machine.store.repairPlan(path: machine.path)
        #expect(!plan.isSound && plan.problems.contains { $0.contains("another virtual machine") })
        let source = try #require(plan.sources.first)
        _ = try machine.store.repair(plan, from: source)
        #expect(try machine.notes() == "precious")

        // A host of a lower level: the copy that is missing is not made either.
        let newer = try VirtualMachineConfiguration.new(NewVirtualMachine(name: "new", version: .v9_0))
        let host = ConfigurationStore(directory: machine.directory, supportedVersions: [.v8_0, .v9_0])
        let path = try host.create(newer)
        try FileAccess.remove(machine.directory.copy(of: path))
        let error = #expect(throws: StoreError.self) { try machine.store.load(id: newer.id, path: path) }
        #expect(error?.code == .unsupported)
        #expect(!exists(machine.directory.copy(of: path)))
        #expect(try host.load(id: newer.id, path: path).name == "new")
        #expect(exists(machine.directory.copy(of: path)))
    }

    @Test func changedValueIsStoredInTheTreeThatWasGivenWithoutACopy() throws {
        let configuration = try StoredFixture().configuration
        // The generation alone in its node, and beside a key of the machine's.
        for hasSettings in [false, true] {
            var configuration = configuration
            configuration.roost.cpuModel = hasSettings ? "max" : nil
            let first = KeyNode("", children: [configuration.root.withoutOrigins()]).with(generation: 1)
            var file = try StorageFile.create(tree: first).file
            configuration.root = try #require(file.tree.withoutGeneration()["configuration"])
            configuration.memory.startup += 2
            var tree = file.tree
            tree.children[0] = configuration.root.takingGeneration(of: file.tree.children[0])
            #expect(tree.withoutGeneration()["configuration"] == configuration.root)
            tree = tree.with(generation: 2)
            #expect(!(try file.commit(tree)).isEmpty)
            #expect(file.tree.sharesChildren(with: tree))
        }
        // What the change itself says of a generation counts.
        var own = configuration.root
        own.set("roost/generation", .int(7))
        #expect(own.takingGeneration(of: KeyNode("", children: [own]).with(generation: 1).children[0]) == own)
    }

    @Test func sizeOfTheKeysInACopyIsKnownBeforehand() throws {
        let machine = try StoredFixture()
        var tree = KeyNode("", children: [machine.configuration.root])
        let texts = ["", "é", String(repeating: "x", count: 127), String(repeating: "x", count: 128)]
        for text in texts + [String(repeating: "x", count: 20_000)] {
            tree.children.append(KeyNode("text" + text.prefix(200), .string(text)))
            tree.children.append(KeyNode("bytes", .array(Array(text.utf8))))
        }
        tree.children.append(KeyNode("double", .double(bitPattern: 5)))
        tree.children.append(KeyNode("many", children: (0..<200).map { KeyNode("\($0)", .bool($0 % 2 == 0)) }))
        let size = CopyTree.encodedSize(of: tree)
        for room in [size + 100, size, size - 1, size / 2, 0] {
            var bytes = [UInt8](repeating: 0xEE, count: room + 16)
            let (count, fits) = bytes.withUnsafeMutableBytes { buffer in
                var writer = BufferWriter(UnsafeMutableRawBufferPointer(rebasing: buffer[..<room]))
                CopyTree.encode(tree, to: &writer)
                return (writer.count, writer.fits)
            }
            #expect(count == size)
            #expect(fits == (room >= size))
            #expect(bytes[room...].allSatisfy { $0 == 0xEE })
            guard fits else { continue }
            var reader = ByteReader(bytes[..<size])
            #expect(CopyTree.decode(&reader) == tree)
        }
    }

    @Test func machineWhoseCopyCannotBeWrittenIsReadAndNotChanged() throws {
        let machine = try StoredFixture()
        try machine.change("one")
        try FileAccess.remove(machine.copy)
        try FileAccess.makeFolder("\(machine.copy)/in the way", mode: 0o700)
        #expect(try machine.notes() == "one")
        #expect(machine.actions() == [.failed])
        #expect(throws: StoreError.self) { try machine.change("two") }
    }
}
