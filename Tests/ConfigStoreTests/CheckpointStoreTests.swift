import RoostPrimitives
import Testing
import VMConfiguration

@testable import ConfigStore

@Suite struct CheckpointStoreTests {
    private let folder = TemporaryFolder()
    private let directory: StateDirectory
    private let machines: ConfigurationStore
    private let checkpoints: CheckpointStore

    init() throws {
        directory = try makeDirectory(folder)
        machines = ConfigurationStore(directory: directory, supportedVersions: ConfigurationVersion.known)
        checkpoints = CheckpointStore(beside: machines)
    }

    private func machine(_ version: ConfigurationVersion = .v8_0) throws -> VirtualMachineConfiguration {
        try VirtualMachineConfiguration.new(NewVirtualMachine(name: "web", version: version))
    }

    private func record(_ machine: GUID, _ name: String = "before the upgrade", parent: GUID? = nil) -> CheckpointRecord
    {
        var record = CheckpointRecord(
            machine: machine,
            parent: parent,
            name: name,
            kind: .production,
            created: 1_700_000_000,
            receipt: CheckpointReceipt()
        )
        record.disks = [.init(path: "/disks/web.qcow2", sizeInBytes: 1 << 40, changed: 5)]
        return record
    }

    private func readable() throws -> [StoredCheckpoint] {
        try checkpoints.list().compactMap { if case .readable(let found) = $0 { found } else { nil } }
    }

    @Test(arguments: [ConfigurationVersion.v5_0, .v8_0])
    func checkpointIsAConfigurationOfItsOwnBesideThatOfTheMachine(version: ConfigurationVersion) throws {
        let machine = try machine(version)
        let path = try machines.create(machine)
        let id = GUID.random()
        let made = try checkpoints.create(id, machine, record(machine.id))
        #expect(made.path == "\(directory.snapshots)/\(id.uppercased).\(version.fileFormat.fileExtension)")
        #expect(exists("\(directory.copies)/Snapshots/\(id.uppercased).\(version.fileFormat.fileExtension).copy"))
        #expect(try readable() == [made])
        #expect(try machines.list().map(\.path) == [path])
        var kept = try checkpoints.load(id: id, path: made.path)
        #expect(kept.id == id && kept.checkpoint == record(machine.id))
        // But for its identifier and the record it is the machine.
        (kept.id, kept.checkpoint) = (machine.id, nil)
        #expect(kept.drives == machine.drives && kept.networkAdapters == machine.networkAdapters)
        #expect(kept.name == machine.name && kept.version == version)
        #expect(throws: StoreError.self) { try checkpoints.create(id, machine, record(machine.id)) }
    }

    @Test func renamingChangesTheRecordAndRemovingLeavesNothing() throws {
        let machine = try machine()
        let made = try checkpoints.create(.random(), machine, record(machine.id))
        let renamed = try checkpoints.update(made) { _, record in record.name = "é \u{1F426} / name" }
        #expect(renamed.record.name == "é \u{1F426} / name" && renamed.record.disks == made.record.disks)
        #expect(try readable() == [renamed])
        try checkpoints.remove(renamed)
        #expect(try checkpoints.list().isEmpty)
        #expect(try FileAccess.names(in: "\(directory.copies)/Snapshots").isEmpty)
    }

    @Test func damageComesBackFromTheCopyAndBrokenOnesHideNoOther() throws {
        let machine = try machine()
        let made = try (0..<3).map { try checkpoints.create(.random(), machine, record(machine.id, "\($0)")) }
        let garbage = [UInt8](repeating: 0x5A, count: 70_000)
        try FileAccess.write(garbage, to: made[0].path)
        try FileAccess.write(garbage, to: made[1].path)
        try FileAccess.write(garbage, to: directory.ofCheckpoints.copy(of: made[1].path))
        // A machine's configuration is no checkpoint.
        let stray = try machines.inDirectory(directory.ofCheckpoints).create(try self.machine())

        #expect(Set(try readable().map(\.id)) == [made[0].id, made[2].id])
        let broken = try checkpoints.list().compactMap { found in
            if case .broken(_, let path, let reason) = found { (path, reason.code) } else { nil }
        }
        #expect(Set(broken.map(\.0)) == [made[1].path, stray] && broken.allSatisfy { $0.1 == .corrupt })
        #expect(exists("\(made[0].path).damaged-1"))
    }
}
