import DurableFiles
import HyperVStorage
import RoostPrimitives
import Testing
import VMConfiguration

@testable import ConfigStore

/// What an upgrade leaves behind.
@Suite struct SealedFileTests {
    private let folder = TemporaryFolder()
    private let directory: StateDirectory
    private let store: ConfigurationStore

    init() throws {
        directory = try makeDirectory(folder)
        store = ConfigurationStore(directory: directory, supportedVersions: ConfigurationVersion.known)
    }

    /// Makes and upgrades a machine; returns the bytes that were sealed.
    private func upgrade(_ id: GUID, notes: String, from: ConfigurationVersion) throws -> [UInt8] {
        var old = try VirtualMachineConfiguration.new(NewVirtualMachine(name: "web", version: from))
        (old.id, old.notes) = (id, notes)
        let path = try store.create(old)
        old = try store.load(id: id, path: path)
        let new = try store.replace(id: id, path: path, version: from, with: old.converted(to: .v8_0).configuration)
        #expect(try store.load(id: id, path: new).notes == notes)
        try store.remove(path: new)
        return try FileAccess.read(directory.sealed(id, from))
    }

    private func scrub(_ id: GUID) throws -> [StorageReport] {
        try store.sealed(id).flatMap { try store.scrubSealed($0) }
    }

    @Test(arguments: [ConfigurationVersion.v5_0, .v6_2])
    func upgradeOfARestoredMachineReplacesNothingThatWasSealed(from: ConfigurationVersion) throws {
        let id = GUID.random()
        let sealed = try ["first", "second", "third"].map { try upgrade(id, notes: $0, from: from) }
        let found = try store.sealed(id)
        #expect(found.map(\.version) == [from, from, from])
        #expect(try found.map { try FileAccess.read($0.path) } == sealed)
        // The same once more is no further state.
        let path = directory.sealed(id, from)
        #expect(found.map(\.path) == ["\(path)-1", "\(path)-2", path])

        try store.removeSealed(id)
        #expect(try FileAccess.names(in: directory.virtualMachines).isEmpty)
        #expect(try FileAccess.names(in: directory.copies).filter { $0.hasSuffix(".copy") }.isEmpty)
    }

    @Test(arguments: [ConfigurationVersion.v5_0, .v6_2])
    func damagedSealedFileComesBackAsItWasAndDamageOfBothIsSaid(version: ConfigurationVersion) throws {
        let id = GUID.random()
        let good = try upgrade(id, notes: "first", from: version)
        let path = directory.sealed(id, version)
        #expect(try scrub(id).isEmpty)
        // Bits that rot change no time.
        for start in stride(from: 0, to: good.count, by: 4096) {
            try damage(path, at: start)
            let reports = try scrub(id)
            guard case .restored(let kept)? = reports.first?.action, reports.count == 1 else {
                Issue.record("the damage at \(start) was not found: \(reports)")
                return
            }
            #expect(try FileAccess.read(path) == good && kept.map(exists) == true)
            #expect(permissions(path) == 0o400)
        }
        for file in [path, directory.copy(of: path)] {
            for offset in stride(from: 0, to: try FileAccess.read(file).count, by: 512) { try damage(file, at: offset) }
        }
        let error = #expect(throws: StoreError.self) { try scrub(id) }
        #expect(error?.code == .corrupt && error?.message.contains("before an upgrade") == true)
    }

    @Test(arguments: [ConfigurationVersion.v5_0, .v6_2])
    func missingSealedFileComesBackAndItsNumberIsNotGivenAgain(version: ConfigurationVersion) throws {
        let id = GUID.random()
        let sealed = try ["first", "second", "third"].map { try upgrade(id, notes: $0, from: version) }
        let path = directory.sealed(id, version)
        for missing in [path, "\(path)-1", "\(path)-2"] {
            try FileAccess.remove(missing)
            #expect(try store.sealed(id).count == 3)
            guard case .restored(nil)? = try scrub(id).first?.action else {
                Issue.record("\(missing) did not come back")
                return
            }
        }
        #expect(try store.sealed(id).map { try FileAccess.read($0.path) } == sealed)
        // Without its copy it is gone for good; what comes next takes no number that another has.
        for file in ["\(path)-1", directory.copy(of: "\(path)-1")] { try FileAccess.remove(file) }
        let fourth = try upgrade(id, notes: "fourth", from: version)
        #expect(try store.sealed(id).map(\.path) == ["\(path)-2", "\(path)-3", path])
        #expect(try store.sealed(id).map { try FileAccess.read($0.path) } == [sealed[1], sealed[2], fourth])
    }

    @Test(arguments: [ConfigurationVersion.v5_0, .v6_2])
    func nextUpgradeMendsADamagedSealedFileBeforeItGetsItsNumber(version: ConfigurationVersion) throws {
        let id = GUID.random()
        let first = try upgrade(id, notes: "first", from: version)
        let path = directory.sealed(id, version)
        try damage(path, at: first.count / 2)
        _ = try upgrade(id, notes: "second", from: version)
        #expect(try FileAccess.read("\(path)-1") == first)
        // Each has a copy of its own.
        try damage("\(path)-1", at: first.count / 2)
        #expect(try scrub(id).count == 1)
        #expect(try FileAccess.read("\(path)-1") == first)
    }

    @Test func numberedFilesAreFoundWhateverElseIsGone() throws {
        let id = GUID.random()
        for notes in ["first", "second", "third"] { _ = try upgrade(id, notes: notes, from: .v6_2) }
        let path = directory.sealed(id, .v6_2)
        for name in [path, "\(path)-1"] { try store.removeKept(name) }
        // Not what Roost calls its files.
        for name in ["\(path)-02", "\(path)-0", "\(path)-x", "\(path)x"] { try FileAccess.write([1], to: name) }
        #expect(try store.sealed(id).map(\.path) == ["\(path)-2"])
        let other = GUID.random()
        _ = try upgrade(other, notes: "other", from: .v5_0)
        let all = try store.allSealed()
        #expect(all.mapValues { $0.map(\.path) } == [id: ["\(path)-2"], other: [directory.sealed(other, .v5_0)]])
        try store.removeSealed(id)
        #expect(!exists("\(path)-2") && !exists(directory.copy(of: "\(path)-2")))
    }

    @Test func sealingStopsWhenADamagedFileCannotBeMendedForWantOfRoom() throws {
        let id = GUID.random()
        let first = try upgrade(id, notes: "first", from: .v6_2)
        let path = directory.sealed(id, .v6_2)
        try damage(path, at: first.count / 2)
        var old = try VirtualMachineConfiguration.new(NewVirtualMachine(name: "web", version: .v6_2))
        (old.id, old.notes) = (id, "second")
        let file = try store.create(old)
        let configuration = try store.load(id: id, path: file)
        let new = try configuration.converted(to: .v8_0).configuration
        try store.settle(path: file)
        // There is no room when the file is made anew, and there would be for the new one.
        let full = ConfigurationStore(
            directory: directory,
            supportedVersions: ConfigurationVersion.known,
            files: FullDisk(failures: 1)
        )
        let error = #expect(throws: StoreError.self) {
            try full.replace(id: id, path: file, version: .v6_2, with: new)
        }
        #expect(error?.code == .noSpace)
        #expect(try store.load(id: id, path: file) == configuration)
        #expect(try store.sealed(id).map(\.path) == [path])
        _ = try full.replace(id: id, path: file, version: .v6_2, with: new)
        #expect(try FileAccess.read("\(path)-1") == first)
        #expect(try scrub(id).isEmpty)
    }

    /// Another program has written nonsense over it, or it was put back damaged: its copy is not told so.
    @Test(arguments: [ConfigurationVersion.v5_0, .v6_2]) func nonsenseThatWasWrittenOverASealedFileIsNotTakenForAChange(
        version: ConfigurationVersion
    ) throws {
        let id = GUID.random()
        let first = try upgrade(id, notes: "first", from: version)
        let path = directory.sealed(id, version)
        try FileAccess.write([1, 2, 3], to: path)
        let reports = try scrub(id)
        #expect(reports.count == 1)
        #expect(try FileAccess.read(path) == first)
        try FileAccess.write([1, 2, 3], to: path)
        let second = try upgrade(id, notes: "second", from: version)
        #expect(try store.sealed(id).map { try FileAccess.read($0.path) } == [first, second])
    }

    /// Text has no checksum: only the copy knows that a letter is another one.
    @Test func changedLetterIsNotTakenForWholeWhenTheCopyIsDamagedToo() throws {
        let id = GUID.random()
        let first = try upgrade(id, notes: "first", from: .v5_0)
        let path = directory.sealed(id, .v5_0)
        let copy = directory.copy(of: path)
        let letter = try #require(
            first.indices.first { first[$0...].starts(with: Array("first".utf16).flatMap { [UInt8($0), 0] }) }
        )
        try damage(path, at: letter)
        try damage(copy, at: try FileAccess.read(copy).count - 100)
        let (changed, damaged) = (try FileAccess.read(path), try FileAccess.read(copy))
        #expect(throws: (any Error).self) { try scrub(id) }
        let second = try upgrade(id, notes: "second", from: .v5_0)
        let items = try store.sealed(id)
        #expect(try items.map { try FileAccess.read($0.path) } == [changed, second])
        // What the copy still has is not lost.
        #expect(try FileAccess.read(directory.copy(of: items[0].path)) == damaged)
        let error = #expect(throws: StoreError.self) { try store.scrubSealed(items[0]) }
        #expect(error?.code == .corrupt)
        #expect(try store.scrubSealed(items[1]).isEmpty)
        // Nor by the next one, which gets a number of its own.
        _ = try upgrade(id, notes: "third", from: .v5_0)
        #expect(try store.sealed(id).count == 3)
        #expect(try FileAccess.read(directory.copy(of: items[0].path)) == damaged)
    }

    @Test func fileTooLargeForACopyDoesNotKeepThatOfTheOneBefore() throws {
        let id = GUID.random()
        _ = try upgrade(id, notes: "small", from: .v6_2)
        var old = try VirtualMachineConfiguration.new(NewVirtualMachine(name: "web", version: .v6_2))
        old.id = id
        old.root.children.append(KeyNode("blob", .array(Array(repeating: 7, count: 17 << 20))))
        let path = try store.create(old)
        let new = try store.load(id: id, path: path).converted(to: .v8_0).configuration
        _ = try store.replace(id: id, path: path, version: .v6_2, with: new)
        let sealed = directory.sealed(id, .v6_2)
        #expect(!exists(directory.copy(of: sealed)) && exists(directory.copy(of: "\(sealed)-1")))
        #expect(try scrub(id).isEmpty)
        #expect(try FileAccess.read(sealed).count > 17 << 20)
    }

    @Test func whatIsDamagedInBothPlacesIsKeptByTheNextUpgradeAndNotTakenForWhole() throws {
        let id = GUID.random()
        let first = try upgrade(id, notes: "first", from: .v6_2)
        let path = directory.sealed(id, .v6_2)
        for file in [path, directory.copy(of: path)] {
            for offset in stride(from: 0, to: try FileAccess.read(file).count, by: 512) { try damage(file, at: offset) }
        }
        let damaged = try FileAccess.read(path)
        let second = try upgrade(id, notes: "second", from: .v6_2)
        #expect(damaged != first)
        #expect(try store.sealed(id).map { try FileAccess.read($0.path) } == [damaged, second])
        let items = try store.sealed(id)
        let error = #expect(throws: StoreError.self) { try store.scrubSealed(items[0]) }
        #expect(error?.code == .corrupt)
        #expect(try store.scrubSealed(items[1]).isEmpty)
    }
}
