import ConfigStore
import DurableFiles
import HyperVStorage
import RoostPrimitives
import VMConfiguration

/// A virtual machine as it should be.
struct ModelMachine: Sendable {
    let id: GUID
    let path: String
    let isXML: Bool
    /// All keys but the name and those that the test changes.
    let base: KeyNode
    var name: String
    var root: ModelKey

    /// What is wrong with a configuration that was read; nil when it is this machine's.
    func difference(from configuration: VirtualMachineConfiguration) -> String? {
        var rest = configuration.root
        let found = rest.remove("matrix")
        rest.set("properties/name", .string(""))
        if rest != base { return "keys that nobody changed are different" }
        if Array(configuration.name.utf8) != Array(name.utf8) { return "the name is \(configuration.name)" }
        let expected = isXML ? root.sorted : root
        guard let found, expected.matches(found) else { return "the keys are not those of the state" }
        return nil
    }
}

/// The states that a power cut may leave.
struct Expectation: Sendable {
    /// For each machine the last committed state and, while one is under way, the next; nil for no machine.
    var machines: [GUID: [ModelMachine?]] = [:]
    /// The same for the run records, by the reason they hold.
    var records: [GUID: [String?]] = [:]
    /// The same for the host's record, by the run it names; empty when there was none.
    var hosts: [String] = []
    /// Grows with each change of what is expected.
    var version = 0

    /// What the store holds as far as it can be told; nil when all is as expected.
    func violation(on disk: SimulatedDisk, _ directory: StateDirectory, extra: Bool) -> String? {
        let store = ConfigurationStore(
            directory: directory,
            supportedVersions: ConfigurationVersion.known,
            files: disk
        )
        do {
            _ = try CreationJournal.recover(in: directory, files: disk)
            let listed = try store.list()
            for (id, path) in listed where machines[id] == nil { return "\(path) is listed and should not be" }
            for (id, allowed) in machines {
                let paths = listed.filter { $0.id == id }.map(\.path)
                if let problem = try violation(id, allowed, paths, store, twice: extra || disk.fingerprint & 3 == 0) {
                    return problem
                }
            }
            for (id, allowed) in records {
                let found = try store.runRecord(of: id)?.reason
                if !allowed.contains(found) { return "the run record says \(found ?? "nothing"), not \(allowed)" }
            }
            if !hosts.isEmpty {
                let found = try store.hostRecord().bootID
                if !hosts.contains(found) { return "the host's record says \(found), not \(hosts)" }
            }
            // What follows is no repair any more.
            disk.afterEachStep(nil)
            return extra ? try violationOfChange(store) : nil
        } catch {
            return "\(error)"
        }
    }

    /// The store works on: changes each machine once.
    private func violationOfChange(_ store: ConfigurationStore) throws -> String? {
        for (id, path) in try store.list() {
            let before = try store.load(id: id, path: path)
            let changed = try store.update(id: id, path: path) { $0.name = "after the power cut" }
            guard changed.root != before.root, try store.load(id: id, path: path) == changed else {
                return "a further change is lost"
            }
        }
        return nil
    }

    private func violation(
        _ id: GUID,
        _ allowed: [ModelMachine?],
        _ paths: [String],
        _ store: ConfigurationStore,
        twice: Bool
    ) throws -> String? {
        guard let path = paths.first else {
            return allowed.contains { $0 == nil } ? nil : "the machine is gone"
        }
        guard paths.count == 1 else { return "the machine is there \(paths.count) times" }
        if case .broken(_, _, let reason) = store.inspect(id: id, path: path) { return "listed as broken: \(reason)" }
        let configuration = try store.load(id: id, path: path)
        var differences: [String] = []
        let isKnown = allowed.contains { state in
            let difference = state.map { $0.difference(from: configuration) } ?? "the machine should not be there"
            if let difference { differences.append(difference) }
            return difference == nil
        }
        guard isKnown else { return differences.joined(separator: ", and ") }
        // What was read once stays.
        guard twice else { return nil }
        let again = try store.load(id: id, path: path)
        return again == configuration ? nil : "the second reading differs from the first"
    }
}
