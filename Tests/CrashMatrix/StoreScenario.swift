import ConfigStore
import DurableFiles
import HyperVStorage
import RoostPrimitives
import Synchronization
import VMConfiguration

extension MatrixRandom: RandomNumberGenerator {}

/// A store on a simulated disk, with what it should hold.
final class StoreScenario {
    let directory = StateDirectory("/state")
    let disk: SimulatedDisk
    let store: ConfigurationStore
    let explorer: Explorer
    var maker: ModelMaker
    var expectation = Expectation()
    let version: ConfigurationVersion

    init(seed: UInt64, version: ConfigurationVersion, _ explorer: Explorer, faults: Faults.Planted? = nil) {
        maker = ModelMaker(random: MatrixRandom(seed: seed))
        self.version = version
        self.explorer = explorer
        disk = SimulatedDisk(
            folders: ["/", "/state", directory.virtualMachines, directory.copies, directory.snapshots, directory.cache]
        )
        disk.faults.planted = faults
        store = ConfigurationStore(
            directory: directory,
            supportedVersions: ConfigurationVersion.known,
            files: disk
        )
    }

    var machines: [ModelMachine] { expectation.machines.values.compactMap { $0.last ?? nil }.sorted { $0.id < $1.id } }

    // MARK: - Steps

    /// Does something, with power cuts behind each of its steps, that leads from the expected states to `next`.
    private func run(
        _ set: (inout Expectation) -> Void,
        then settle: (inout Expectation) -> Void,
        _ body: () throws -> Void
    ) throws {
        set(&expectation)
        expect(acknowledged: false)
        disk.afterEachStep { [explorer] in explorer.explore($0) }
        defer { disk.afterEachStep(nil) }
        try body()
        disk.afterEachStep(nil)
        settle(&expectation)
        expect(acknowledged: true)
        explorer.explore(disk)
    }

    func expect(acknowledged: Bool) {
        let (expectation, directory) = (expectation, directory)
        explorer.expect(damages: acknowledged) { disk, extra in
            expectation.violation(on: disk, directory, extra: extra)
        }
    }

    func newMachine(_ root: ModelKey, name: String) throws -> (VirtualMachineConfiguration, ModelMachine) {
        var shape = NewVirtualMachine(name: name, version: version)
        shape.id = GUID.random(using: &maker.random)
        var configuration = try VirtualMachineConfiguration.new(shape, using: &maker.random)
        if version.fileFormat == .xml {
            // As reading gives it: in the order of the names.
            configuration = try VirtualMachineConfiguration(
                root: ConfigurationXML.parse(ConfigurationXML.serialize(configuration.root)).root
            )
        }
        var base = configuration.root
        base.set("properties/name", .string(""))
        configuration.root.children.append(root.stored)
        let machine = ModelMachine(
            id: shape.id,
            path: directory.configuration(shape.id, version.fileFormat),
            isXML: version.fileFormat == .xml,
            base: base,
            name: name,
            root: root
        )
        return (configuration, machine)
    }

    func create(copying other: ModelMachine? = nil) throws {
        let root = other?.root ?? maker.tree(keys: 12 + maker.random.below(30))
        let (configuration, machine) = try newMachine(root, name: "machine \(maker.random.below(1000))")
        try run {
            $0.machines[machine.id] = [nil, machine]
        } then: {
            $0.machines[machine.id] = [machine]
        } _: {
            let journal = try CreationJournal(machine.id, paths: [machine.path], in: directory, files: disk)
            _ = try store.create(configuration)
            try journal.finish()
        }
    }

    func change(_ machine: ModelMachine, _ kind: ModelMaker.Change) throws {
        var next = machine
        maker.apply(kind, to: &next.root)
        try update(machine, to: next)
    }

    func rename(_ machine: ModelMachine) throws {
        var next = machine
        next.name = String(repeating: "renamed ", count: 1 + maker.random.below(8))
        try update(machine, to: next)
    }

    private func update(_ machine: ModelMachine, to next: ModelMachine) throws {
        try run {
            $0.machines[machine.id] = [machine, next]
        } then: {
            $0.machines[machine.id] = [next]
        } _: {
            try apply(next)
        }
    }

    func apply(_ next: ModelMachine) throws {
        _ = try store.update(id: next.id, path: next.path) { configuration in
            var root = configuration.root
            let index = root.children.firstIndex { $0.name == "matrix" } ?? root.children.count - 1
            root.children[index] = next.root.stored
            configuration.root = root
            configuration.name = next.name
        }
    }

    func settle(_ machine: ModelMachine) throws {
        try run { _ in
        } then: { _ in
        } _: {
            try store.settle(path: machine.path)
        }
    }

    func remove(_ machine: ModelMachine) throws {
        try run {
            $0.machines[machine.id] = [machine, nil]
        } then: {
            $0.machines[machine.id] = nil
        } _: {
            try store.remove(path: machine.path)
        }
    }

    func record(_ machine: ModelMachine) throws {
        let before = expectation.records[machine.id]?.last ?? nil
        let reason = String(repeating: "QEMU ended ", count: 1 + maker.random.below(30))
        var record = RunRecord(phase: .crashed)
        record.reason = reason
        record.processID = Int32(maker.random.below(30000))
        try run {
            $0.records[machine.id] = [before, reason]
        } then: {
            $0.records[machine.id] = [reason]
        } _: {
            try store.save(record, of: machine.id, version: 0x800)
        }
    }

    /// Writes the host's record with another name for its run.
    func saveHost() throws {
        let before = expectation.hosts.last ?? ""
        var record = HostRecord()
        record.bootID = String(repeating: "run \(maker.random.below(30000)) ", count: 1 + maker.random.below(30))
        try run {
            $0.hosts = [before, record.bootID]
        } then: {
            $0.hosts = [record.bootID]
        } _: {
            try store.save(record)
        }
    }
}
