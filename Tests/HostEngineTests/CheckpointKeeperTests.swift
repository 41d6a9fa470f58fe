import ConfigStore
import QEMUDriver
import RoostPrimitives
import Testing
import VMConfiguration

@testable import HostEngine

#if canImport(Glibc)
    import Glibc
#endif

/// Checkpoints of a machine that is off, with real files and the real qemu-img.
@Suite struct CheckpointKeeperTests {
    private let folder = TemporaryFolder()
    private let directory: StateDirectory
    private let store: ConfigurationStore
    private let shelf: CheckpointShelf
    private let keeper: CheckpointKeeper
    private let id: GUID
    private let path: String
    private let disk: String

    init() async throws {
        directory = StateDirectory("\(folder.path)/state")
        try directory.prepare()
        store = ConfigurationStore(directory: directory, supportedVersions: ConfigurationVersion.known)
        shelf = CheckpointShelf(CheckpointStore(beside: store))
        let images = try DiskImages()
        keeper = CheckpointKeeper(
            shelf: shelf,
            directory: directory,
            images: images,
            user: try .resolve(name: "nobody")
        )
        disk = "\(directory.disks)/web.qcow2"
        try await images.create(disk, sizeBytes: 16 << 20, format: "qcow2")
        var machine = try VirtualMachineConfiguration.new(NewVirtualMachine(name: "web", version: .v8_0))
        try machine.addDrive(Drive(location: DriveLocation(.scsi, 0, 0), kind: .hardDisk, path: disk))
        var settings = machine.roost
        settings.diskFormats = [disk: .qcow2]
        machine.roost = settings
        id = machine.id
        path = try store.create(machine)
        try FileAccess.write(Array("variables 0".utf8), to: directory.guestState(id))
    }

    private var machine: CheckpointKeeper.Machine {
        CheckpointKeeper.Machine(
            id: id,
            load: { [store, id, path] in try store.load(id: id, path: path) },
            commit: { [store, id, path] change in try store.update(id: id, path: path, change) }
        )
    }

    private func configuration() throws -> VirtualMachineConfiguration { try store.load(id: id, path: path) }

    private func current() throws -> String { try #require(try configuration().drives.first?.path) }

    private func record(_ name: String) -> CheckpointRecord {
        CheckpointRecord(
            machine: id,
            parent: nil,
            name: name,
            kind: .production,
            created: Int64(name.utf8.count),
            receipt: CheckpointReceipt()
        )
    }

    private func make(_ name: String) async throws -> StoredCheckpoint {
        try await keeper.make(.random(), record(name), of: machine)
    }

    /// As a guest would: a byte all over the first MiB, and other variables.
    private func write(_ byte: Int) async throws {
        let io = Tool(path: "/usr/bin/qemu-io", user: Tool.ownUser)
        let result = try await io.run(["-f", "qcow2", "-c", "write -P \(byte) 0 1M", try current()])
        try #require(result.succeeded, "\(result)")
        try FileAccess.write(Array("variables \(byte)".utf8), to: directory.guestState(id))
    }

    private func holds(_ byte: Int) async throws -> Bool {
        let io = Tool(path: "/usr/bin/qemu-io", user: Tool.ownUser)
        let result = try await io.run(["-r", "-f", "qcow2", "-c", "read -P \(byte) 0 1M", try current()])
        let isSame = !String(decoding: result.output, as: UTF8.self).contains("verification failed")
        let variables = try FileAccess.read(directory.guestState(id))
        return result.succeeded && isSame && variables == Array("variables \(byte)".utf8)
    }

    private func files() throws -> Set<String> { Set(try FileAccess.names(in: directory.disks)) }

    @Test func checkpointsAreAppliedInAnyOrderAndKeepWhatTheyKept() async throws {
        var made: [StoredCheckpoint] = []
        for byte in 1...3 {
            try await write(byte)
            made.append(try await make(String(repeating: "c", count: byte)))
        }
        #expect(made.map(\.record.parent) == [nil, made[0].id, made[1].id])
        #expect(made.allSatisfy { !$0.record.isArmed && $0.record.receipt.hasVariables })
        #expect(made[0].record.disks.map(\.path) == [disk])
        _ = try store.update(id: id, path: path) { $0.notes = "of later" }
        try await write(4)
        #expect(try await holds(4))
        #expect(try files().count == 4)

        var seen: Set<GUID> = [try configuration().vmGenerationID]
        for byte in [2, 1, 3, 3, 1] {
            try await write(9)
            try await keeper.apply(made[byte - 1], to: machine, generationID: .random(), besides: [])
            #expect(try await holds(byte), "checkpoint \(byte)")
            let now = try configuration()
            #expect(now.id == id && now.checkpoint == nil && now.currentCheckpoint == made[byte - 1].id)
            #expect(now.notes.isEmpty && now.variablesToTake == nil)
            #expect(seen.insert(now.vmGenerationID).inserted)
            // The three that are kept, and the one that is written.
            #expect(try files().count == 4)
        }
        // All of it is in the files: another roostd finds the same.
        let again = CheckpointShelf(CheckpointStore(beside: store))
        try again.read()
        #expect(again.checkpoints(of: id) == made && again.damaged.isEmpty)
        #expect(try BranchingNote.machines(in: directory).isEmpty)
    }

    @Test func stateWithoutVariablesGetsNoneOfALaterTime() async throws {
        let variables = directory.guestState(id)
        try FileAccess.remove(variables)
        let before = try await make("before the first start")
        #expect(!before.record.receipt.hasVariables)
        try await write(2)
        try store.keep(variables)
        try await keeper.apply(before, to: machine, generationID: .random(), besides: [])
        #expect(!fileExists(variables) && !fileExists(directory.copy(of: variables)))
        #expect(try configuration().variablesToTake == nil)
    }

    @Test func changedDiskIsNotTakenForWhatItWas() async throws {
        try await write(1)
        let made = try await make("c")
        let before = try configuration()
        // Another program writes into the file below.
        let io = Tool(path: "/usr/bin/qemu-io", user: Tool.ownUser)
        #expect(try await io.run(["-f", "qcow2", "-c", "write -P 7 8M 1M", disk]).succeeded)
        let error = await #expect(throws: (any Error).self) {
            try await keeper.apply(made, to: machine, generationID: .random(), besides: [])
        }
        #expect("\(String(describing: error))".contains(disk))
        #expect(try configuration() == before)
        #expect(try files().count == 2)
    }

    /// Cut off behind each of its steps, and then settled as the next roostd does: the state before or the one behind.
    @Test(arguments: 0..<7) func makingThatIsCutOffIsUndoneOrCompleted(step: Int) async throws {
        try await write(1)
        let before = try configuration()
        let checkpoint = GUID.random()
        var generator = SystemRandomNumberGenerator()
        let plan = try BranchPlan(before, using: &generator)
        let overlay = plan.branches[0].overlay
        var record = record("cut")
        record.isArmed = true
        let status = try #require(fileStatus(disk))
        record.disks = [.init(path: disk, sizeInBytes: status.size, changed: status.changed)]
        let variables = directory.ofCheckpoints.guestState(checkpoint)
        if step > 0 { _ = try BranchingNote(id, making: [overlay, "\(overlay).partial", variables], in: directory) }
        if step > 1 { try FileAccess.write(Array("variables 1".utf8), to: variables) }
        if step > 2 { _ = try shelf.store.create(checkpoint, before, record) }
        if step == 4 { try FileAccess.write([1], to: "\(overlay).partial") }
        if step > 4 { try await DiskImages().createOverlay(overlay, over: disk, format: "qcow2") }
        if step > 5 {
            _ = try store.update(id: id, path: path) {
                try $0.branch(plan)
                $0.currentCheckpoint = checkpoint
            }
        }

        let found = CheckpointShelf(CheckpointStore(beside: store))
        try found.read()
        let next = CheckpointKeeper(shelf: found, directory: directory, images: try DiskImages(), user: keeper.user)
        for _ in 0..<2 { try await next.settle(machine) }
        #expect(try await holds(1))
        #expect(try BranchingNote.machines(in: directory).isEmpty)
        if step > 5 {
            #expect(found.checkpoints(of: id).map(\.id) == [checkpoint])
            #expect(try files() == ["web.qcow2", String(overlay.dropFirst(directory.disks.count + 1))])
            try await write(2)
            try await next.apply(found.checkpoints(of: id)[0], to: machine, generationID: .random(), besides: [])
        } else {
            #expect(found.checkpoints(of: id).isEmpty && found.armed(of: id).isEmpty)
            #expect(try files() == ["web.qcow2"] && configuration() == before)
            #expect(try FileAccess.names(in: directory.snapshots).isEmpty)
        }
    }

    @Test func failureLeavesTheMachineAsItWas() async throws {
        try await write(1)
        let before = try configuration()
        let failing = CheckpointKeeper.Machine(
            id: id,
            load: machine.load,
            commit: { _ in throw StoreError(.noSpace, "the file system is full") }
        )
        await #expect(throws: StoreError.self) { _ = try await keeper.make(.random(), record("c"), of: failing) }
        #expect(try configuration() == before)
        #expect(try files() == ["web.qcow2"])
        #expect(try FileAccess.names(in: directory.snapshots).isEmpty)
    }

    @Test func memoryOnAnotherFileSystemIsCopiedAndMemoryThatIsGoneIsNone() async throws {
        var template = Array("/dev/shm/roost-engine-XXXXXX".utf8CString)
        let other = try #require(mkdtemp(&template).map { String(cString: $0) })
        defer { rmdir(other) }
        try FileAccess.removeFolder(directory.snapshots)
        try #require(symlink(other, directory.snapshots) == 0)
        let checkpoint = GUID.random()
        let source = directory.ofCheckpoints.savedState(checkpoint)
        let bytes = (0..<(3 << 20) + 5).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 3) }
        try FileAccess.write(bytes, to: source)
        for file in [directory.savedState(id), directory.resumedState(id)] { try FileAccess.write([1], to: file) }
        let names = try FileAccess.names(in: directory.virtualMachines)

        try await keeper.takeMemory(of: checkpoint, for: id)
        #expect(try FileAccess.read(directory.savedState(id)) == bytes)
        #expect(try FileAccess.read(source) == bytes)
        // Nothing else is left than what there was, without the state that the guest had gone on from.
        let resumed = directory.resumedState(id)
        #expect(!fileExists(resumed))
        #expect(
            Set(try FileAccess.names(in: directory.virtualMachines))
                == Set(names.filter { !resumed.hasSuffix("/\($0)") })
        )

        try FileAccess.remove(source)
        try await keeper.takeMemory(of: checkpoint, for: id)
        #expect(!fileExists(directory.savedState(id)))
    }
}
