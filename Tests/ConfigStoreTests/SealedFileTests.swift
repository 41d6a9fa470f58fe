import DurableFiles
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
