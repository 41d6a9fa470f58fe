import ConfigStore
import DurableFiles
import RoostPrimitives
import VMConfiguration

/// One call after the other fails, of each thing that a store does.
extension StoreScenario {
    /// The number of calls at which every operation has long ended.
    private static let mostCalls = 400

    /// Does something again and again, each time with a later call failing, until none has failed.
    ///
    /// - Parameters:
    ///   - prepare: sets what may be found behind it.
    ///   - body: what is done.
    ///   - conclude: looks at what is found, which must be one of these, and sets that alone; false ends it.
    private func failing(
        _ failure: Faults.Failure,
        prepare: () throws -> Void,
        _ body: () throws -> Void,
        conclude: (_ succeeded: Bool) throws -> Bool
    ) {
        for call in 1..<Self.mostCalls {
            do {
                try prepare()
                expect(acknowledged: false)
                disk.faults.fail(call: call, with: failure)
                var succeeded = true
                do { try body() } catch { succeeded = false }
                let met = disk.faults.heal()
                explorer.explore(disk)
                guard try conclude(succeeded) else {
                    return explorer.record("a failed call left neither state", "after a fault")
                }
                explorer.record(nil, "after a fault")
                expect(acknowledged: true)
                explorer.explore(disk)
                if !met { return }
            } catch {
                _ = disk.faults.heal()
                return explorer.record("\(error)", "after a fault")
            }
        }
    }

    /// What another process finds.
    private var other: ConfigurationStore {
        ConfigurationStore(directory: directory, supportedVersions: ConfigurationVersion.known, files: disk)
    }

    /// Changes a machine; returns it as it is then.
    func changeWithFaults(
        _ machine: ModelMachine,
        _ kind: ModelMaker.Change,
        _ failure: Faults.Failure
    ) -> ModelMachine {
        var (current, next) = (machine, machine)
        failing(failure) {
            next = current
            maker.apply(kind, to: &next.root)
            expectation.machines[machine.id] = [current, next]
        } _: {
            try apply(next)
        } conclude: { succeeded in
            // The machine can be read and changed at once, by this process and by another one.
            let configuration = try store.load(id: machine.id, path: machine.path)
            guard try other.load(id: machine.id, path: machine.path) == configuration,
                let state = [next, current].first(where: { $0.difference(from: configuration) == nil }),
                !succeeded || next.difference(from: configuration) == nil
            else { return false }
            current = state
            expectation.machines[machine.id] = [state]
            return true
        }
        return current
    }

    /// Empties its log.
    func settleWithFaults(_ machine: ModelMachine, _ failure: Faults.Failure) {
        var current = machine
        failing(failure) {
            // Something to be settled.
            maker.apply(.small, to: &current.root)
            try apply(current)
            expectation.machines[machine.id] = [current]
        } _: {
            try store.settle(path: machine.path)
        } conclude: { _ in
            try current.difference(from: other.load(id: machine.id, path: machine.path)) == nil
        }
    }

    /// Makes machines and removes them.
    func comeAndGoWithFaults(_ failure: Faults.Failure) {
        var made: (VirtualMachineConfiguration, ModelMachine)?
        func isThere(_ machine: ModelMachine) throws -> Bool {
            _ = try CreationJournal.recover(in: directory, files: disk)
            guard try other.list().contains(where: { $0.id == machine.id }) else { return false }
            let found = try other.load(id: machine.id, path: machine.path)
            if let difference = machine.difference(from: found) { throw Difference(text: difference) }
            return true
        }
        failing(failure) {
            let shape = try newMachine(maker.tree(keys: 10), name: "comes")
            made = shape
            expectation.machines[shape.1.id] = [nil, shape.1]
        } _: {
            guard let (configuration, machine) = made else { return }
            let journal = try CreationJournal(machine.id, paths: [machine.path], in: directory, files: disk)
            _ = try store.create(configuration)
            try journal.finish()
        } conclude: { succeeded in
            guard let (_, machine) = made else { return false }
            let found = try isThere(machine)
            if found { try other.remove(path: machine.path) }
            expectation.machines[machine.id] = nil
            return found || !succeeded
        }
        failing(failure) {
            let shape = try newMachine(maker.tree(keys: 10), name: "goes")
            made = shape
            _ = try store.create(shape.0)
            expectation.machines[shape.1.id] = [shape.1, nil]
        } _: {
            if let (_, machine) = made { try store.remove(path: machine.path) }
        } conclude: { succeeded in
            guard let (_, machine) = made else { return false }
            // A copy without its file is a machine that somebody else has deleted: the second attempt removes it.
            let found = try isThere(machine)
            try other.remove(path: machine.path)
            expectation.machines[machine.id] = nil
            return !found || !succeeded
        }
    }

    /// Writes the run record of a machine, and the host's own.
    func recordWithFaults(_ machine: ModelMachine, _ failure: Faults.Failure) {
        var reasons = [expectation.records[machine.id]?.last ?? nil, nil]
        failing(failure) {
            reasons[1] = String(repeating: "ended ", count: 1 + maker.random.below(60))
            expectation.records[machine.id] = reasons
        } _: {
            var record = RunRecord(phase: .crashed)
            record.reason = reasons[1] ?? ""
            try store.save(record, of: machine.id, version: 0x800)
        } conclude: { succeeded in
            let found = try other.runRecord(of: machine.id)?.reason
            guard reasons.contains(found), !succeeded || found == reasons[1] else { return false }
            reasons[0] = found
            expectation.records[machine.id] = [found]
            return true
        }
        var runs = [expectation.hosts.last ?? "", ""]
        failing(failure) {
            runs[1] = String(repeating: "run ", count: 1 + maker.random.below(60))
            expectation.hosts = runs
        } _: {
            var record = HostRecord()
            record.bootID = runs[1]
            try store.save(record)
        } conclude: { succeeded in
            let found = try other.hostRecord().bootID
            guard runs.contains(found), !succeeded || found == runs[1] else { return false }
            runs[0] = found
            expectation.hosts = [found]
            return true
        }
    }

    private struct Difference: Error, CustomStringConvertible {
        var text: String
        var description: String { text }
    }
}
