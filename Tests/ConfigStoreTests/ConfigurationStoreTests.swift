import ConfigStore
import HyperVStorage
import RoostPrimitives
import Testing
import VMConfiguration

@Suite struct ConfigurationStoreTests {
    private let folder = TemporaryFolder()
    private let directory: StateDirectory
    private let store: ConfigurationStore

    init() throws {
        directory = try makeDirectory(folder)
        store = ConfigurationStore(directory: directory, supportedVersions: [.v8_0])
    }

    private func make(_ name: String = "web") throws -> (configuration: VirtualMachineConfiguration, path: String) {
        let configuration = try VirtualMachineConfiguration.new(NewVirtualMachine(name: name, version: .v8_0))
        return (configuration, try store.create(configuration))
    }

    private func reason(_ id: GUID, _ path: String) -> StoreError? {
        if case .broken(_, _, let reason) = store.inspect(id: id, path: path) { reason } else { nil }
    }

    @Test func createdConfigurationIsListedAndReadAsItWas() throws {
        let (configuration, path) = try make()
        #expect(path == "\(directory.virtualMachines)/\(configuration.id.uppercased).vmcx")
        #expect(try store.list().map(\.path) == [path])
        #expect(try store.load(id: configuration.id, path: path).root == configuration.root)
        #expect(throws: StoreError.self) { try store.create(configuration) }
        #expect(try FileAccess.names(in: directory.virtualMachines).count == 1)
    }

    @Test func updateIsReadBackAndOneThatThrowsOrChangesNothingWritesNothing() throws {
        let (configuration, path) = try make()
        let changed = try store.update(id: configuration.id, path: path) { $0.notes = "for the shop" }
        #expect(changed.notes == "for the shop")
        #expect(try store.load(id: configuration.id, path: path).notes == "for the shop")
        let bytes = try FileAccess.read(path)
        _ = try store.update(id: configuration.id, path: path) { _ in }
        #expect(throws: StoreError.self) {
            try store.update(id: configuration.id, path: path) {
                $0.notes = "never seen"
                throw StoreError(.failed, "changed my mind")
            }
        }
        #expect(try FileAccess.read(path) == bytes)
    }

    @Test func whatAnUpdateReturnsKnowsWhereItIsStored() throws {
        let (configuration, path) = try make()
        let id = configuration.id
        let changes: [(inout VirtualMachineConfiguration) throws -> Void] = [
            { $0.notes = "one" }, { $0.notes = "two" }, { $0.notes = String(repeating: "much longer ", count: 50) },
            { $0.memory.startup = 2048 }, { $0.notes = "" },
            { try $0.addDrive(Drive(location: DriveLocation(.scsi, 0, 0), kind: .hardDisk, path: "/d.qcow2")) },
            { $0.notes = "three" }, { $0.roost.cpuModel = "max" }, { $0.roost.cpuModel = nil }, { $0.notes = "four" },
        ]
        for (number, change) in changes.enumerated() {
            let changed = try store.update(id: id, path: path, change)
            let other = ConfigurationStore(directory: directory, supportedVersions: [.v8_0])
            let read = try other.load(id: id, path: path)
            #expect(read.root == changed.root, "\(number)")
            #expect(places(read.root) == places(changed.root), "\(number)")
        }
    }

    private func places(_ node: KeyNode) -> [KeyOrigin?] { [node.origin] + node.children.flatMap(places) }

    @Test func damagedForeignAndUnknownFilesAreBrokenWithTheReasonAndKeepTheirBytes() throws {
        let (configuration, path) = try make()
        let good = try FileAccess.read(path)
        let other = GUID.random()
        #expect(reason(other, path)?.message.contains("another virtual machine") == true)

        let old = ConfigurationStore(directory: directory, supportedVersions: [.v6_2])
        guard case .broken(_, _, let tooNew) = old.inspect(id: configuration.id, path: path) else {
            Issue.record("a version that the host does not run was read")
            return
        }
        #expect(tooNew.code == .unsupported && tooNew.message.contains("version 8.0, which this host does not run"))

        for bytes in [[], Array("not a configuration".utf8), Array(good.prefix(good.count / 2))] {
            try FileAccess.write(bytes, to: path)
            try FileAccess.remove(directory.copy(of: path))
            #expect(reason(configuration.id, path)?.code == .corrupt)
            #expect(throws: StoreError.self) { try store.update(id: configuration.id, path: path) { $0.notes = "x" } }
            #expect(try FileAccess.read(path) == bytes)
        }
    }

    @Test func damagedXMLIsListedAsBrokenAndHidesNoOther() throws {
        let (_, path) = try make()
        let id = GUID.random()
        let xml = directory.configuration(id, .xml)
        try FileAccess.write(Array("<configuration".utf8), to: xml)
        try FileAccess.write([1], to: "\(directory.virtualMachines)/readme.vmcx")
        #expect(Set(try store.list().map(\.path)) == [path, xml])
        #expect(reason(id, xml)?.code == .corrupt)
    }
}

@Suite struct RunRecordTests {
    private let folder = TemporaryFolder()
    private let directory: StateDirectory
    private let store: ConfigurationStore
    private let id = GUID.random()
    private var path: String { directory.runRecord(id) }

    init() throws {
        directory = try makeDirectory(folder)
        store = ConfigurationStore(directory: directory, supportedVersions: [.v8_0])
    }

    private var record: RunRecord {
        var record = RunRecord(phase: .running)
        record.processID = 4711
        record.startTicks = UInt64(Int64.max)
        record.bootID = "boot"
        record.qemuPath = "/usr/bin/qemu-system-x86_64"
        record.machineType = "pc-q35-7.2"
        record.startedAt = 1_700_000_000
        record.isAtRest = false
        return record
    }

    @Test func recordIsReadAsItWasWritten() throws {
        #expect(try store.runRecord(of: id) == nil)
        try store.save(record, of: id, version: 0x800)
        #expect(try store.runRecord(of: id) == record)
        var next = record
        next.phase = .crashed
        next.reason = "QEMU ended with signal 9"
        try store.save(next, of: id, version: 0x800)
        #expect(try store.runRecord(of: id) == next)
    }

    @Test func otherKeysOfTheFileStay() throws {
        var tree = KeyNode("")
        tree.set("configuration/properties/version", .int(0x800))
        tree.set("configuration/savedstate/memory", .int(12))
        try FileAccess.write(try StorageFile.create(tree: tree).bytes, to: path)
        #expect(try store.runRecord(of: id) == nil)
        try store.save(record, of: id, version: 0x800)
        let after = try StorageFile(parsing: try FileAccess.read(path)).tree
        #expect(after.descendant("configuration/savedstate/memory")?.value == .int(12))
    }

    @Test func recordComesBackFromItsCopyWhenTheFileIsDamagedOrMissing() throws {
        try store.save(record, of: id, version: 0x800)
        let damage = Array("half a file".utf8)
        try FileAccess.write(damage, to: path)
        #expect(try store.runRecord(of: id) == record)
        #expect(try FileAccess.read("\(path).damaged-1") == damage)
        try FileAccess.remove(path)
        #expect(try store.runRecord(of: id) == record)
        try store.remove(path: path)
        #expect(try store.runRecord(of: id) == nil)
    }

    @Test func recordDamagedInBothIsReportedAndEachIsKeptBesideTheNewOne() throws {
        for round in 1...2 {
            let damage = Array("half a file \(round)".utf8)
            try FileAccess.write(damage, to: path)
            try FileAccess.write(damage, to: directory.copy(of: path))
            #expect(throws: StoreError.self) { _ = try store.runRecord(of: id) }
            try store.save(record, of: id, version: 0x800)
            #expect(try store.runRecord(of: id) == record)
            #expect(try FileAccess.read("\(path).damaged-\(round)") == damage)
        }
    }
}

@Suite struct CreationJournalTests {
    private let folder = TemporaryFolder()
    private let directory: StateDirectory
    private let id = GUID.random()

    init() throws { directory = try makeDirectory(folder) }

    private var paths: [String] {
        let disks = "\(directory.disks)/web"
        return [disks, "\(disks)/web.qcow2", directory.guestState(id), directory.configuration(id, .vmcx)]
    }

    private func makeAll(_ paths: [String]) throws {
        for path in paths {
            if path == paths[0] {
                try FileAccess.makeFolder(path, mode: 0o700)
            } else {
                try FileAccess.write([1], to: path)
            }
        }
    }

    @Test func undoDeletesWhatWasMadeAndTheJournal() throws {
        let journal = try CreationJournal(id, paths: paths, in: directory)
        try makeAll(paths)
        journal.undo()
        #expect(paths.allSatisfy { !exists($0) })
        #expect(try FileAccess.names(in: directory.virtualMachines).isEmpty)
    }

    @Test func creationThatWasCutOffIsUndoneAtTheNextStart() throws {
        _ = try CreationJournal(id, paths: paths, in: directory)
        try makeAll(Array(paths.prefix(3)))
        #expect(try CreationJournal.recover(in: directory) == [id])
        #expect(paths.allSatisfy { !exists($0) })
        #expect(try CreationJournal.recover(in: directory).isEmpty)
    }

    @Test func finishedMachineKeepsItsFilesAtTheNextStart() throws {
        _ = try CreationJournal(id, paths: paths, in: directory)
        try makeAll(paths)
        #expect(try CreationJournal.recover(in: directory).isEmpty)
        #expect(paths.allSatisfy { exists($0) })
        #expect(!exists(directory.creationJournal(id)))
    }

    @Test func folderThatOthersUseStays() throws {
        let journal = try CreationJournal(id, paths: paths, in: directory)
        try makeAll(Array(paths.prefix(3)))
        try FileAccess.write([2], to: "\(paths[0])/other.qcow2")
        journal.undo()
        #expect(try FileAccess.names(in: paths[0]) == ["other.qcow2"])
        #expect(!exists(directory.creationJournal(id)))
    }

    @Test func creationOverAnExistingFileIsRefusedAndTheFileStays() throws {
        try makeAll(Array(paths.prefix(2)))
        let error = #expect(throws: StoreError.self) { _ = try CreationJournal(id, paths: paths, in: directory) }
        #expect(error?.code == .exists)
        #expect(exists(paths[1]))
        #expect(!exists(directory.creationJournal(id)))
    }
}
