import ConfigStore
import HyperVStorage
import Logging
import QEMUDriver
import QMP
package import RoostAPI
import RoostPrimitives
import VMConfiguration

/// The checkpoints of one machine; every change passes the machine's gate.
extension VirtualMachine {
    /// The configuration as the keeper of checkpoints reads and changes it, within the gate.
    var kept: CheckpointKeeper.Machine {
        CheckpointKeeper.Machine(
            id: id,
            load: { try await self.load() },
            commit: { change in try await self.commit(change) },
            running: machine
        )
    }

    /// The same for work beside which others change the configuration; to be called outside of the gate.
    var shared: CheckpointKeeper.Machine {
        var machine = kept
        machine.commit = { change in try await self.gate.run { try await self.commit(change) } }
        machine.standstill = { body in try await self.atStandstill(body) }
        return machine
    }

    /// Refuses what must not meet a merge of the machine's disks.
    func requireDisksAtRest(_ what: String) throws {
        guard isBusyWithDisks else { return }
        throw APIError(
            .busy,
            "cannot \(what) \(name) while its disk files are merged: wait for that job, or cancel it, which leaves files to be "
                + "merged later ('roost job list', 'roost job cancel')"
        )
    }

    /// All checkpoints that count, in the order of their tree.
    package func checkpoints() async throws -> [CheckpointSummary] {
        try requireUsable("list the checkpoints of")
        return rows(current: try await load().currentCheckpoint)
    }

    /// One checkpoint with everything known of it.
    ///
    /// - Throws: `APIError` `.notFound`, and `.invalidArgument` for a name that several have.
    package func checkpoint(_ reference: String) async throws -> CheckpointDetail {
        try requireUsable("show a checkpoint of")
        let stored = try stored(reference)
        let configuration = try await host.keeper.shelf.using { try $0.load(id: stored.id, path: stored.path) }
        guard let row = rows(current: try await load().currentCheckpoint).first(where: { $0.id == stored.id }) else {
            throw APIError(.notFound, "the checkpoint \(stored.id) of \(name) has been removed")
        }
        return CheckpointDetail(
            summary: row,
            version: stored.version.description,
            notes: configuration.notes,
            memoryMiB: UInt64(clamping: configuration.memory.startup),
            processors: configuration.processors.count,
            disks: try await host.keeper.rows(of: stored),
            receipt: CheckpointReceiptInfo(stored.record.receipt),
            configurationFile: stored.path
        )
    }

    /// Gives a checkpoint another name.
    package func renameCheckpoint(_ reference: String, _ request: UpdateCheckpointRequest) async throws
        -> CheckpointDetail
    {
        try Self.validate(checkpointName: request.name)
        let found = try await gate.run {
            try requireUsable("rename a checkpoint of")
            try requireDisksAtRest("rename a checkpoint of")
            let stored = try stored(reference)
            let newName = request.name
            let renamed = try await host.keeper.shelf.using { store in
                try store.update(stored) { _, record in
                    record.name = newName
                    // Whoever names it wants to keep it.
                    record.isAutomatic = false
                }
            }
            host.keeper.shelf.put(renamed)
            publish("checkpoint.changed", "a checkpoint of \(name) is called \"\(newName)\"")
            return stored.id
        }
        return try await checkpoint(found.uppercased)
    }

    /// Gives the machine the state of a checkpoint; what it wrote since its last one is lost.
    ///
    /// It is off, or is turned off on request, once it is sure that the checkpoint can be applied.
    ///
    /// - Parameter others: tells the files that other machines need; nil when nobody knows, and then none is given up.
    package func applyCheckpoint(
        _ reference: String,
        _ request: ApplyCheckpointRequest,
        besides others: @escaping @Sendable () async -> Set<String>?,
        _ reporter: JobCenter.Reporter
    ) async throws {
        // Looked up first: behind the new checkpoint a name could mean two.
        let target = try stored(reference)
        if request.turnOff == true {
            try requireUsable("apply a checkpoint to")
            try requireSteady("apply a checkpoint to")
        } else if cycle.isActive, cycle.damage == nil {
            throw APIError(
                .invalidState,
                "cannot apply a checkpoint to \(name) while it is \(cycle.state.rawValue): stop it first, or say --turn-off"
            )
        }
        // Behind a merge of a machine that is off it waits for its turn.
        if cycle.isActive { try requireDisksAtRest("apply a checkpoint to") }
        try requireCheckpointsUnread("apply a checkpoint to")
        try await host.keeper.requireWhole(target)
        if request.turnOff == true, cycle.isActive { try await requireWholeMemory(of: target) }
        if request.checkpointFirst == true {
            let name = "before \(target.record.name)".shortened
            _ = try await createCheckpoint(CreateCheckpointRequest(name: name), besides: await others() ?? [])
        }
        if request.turnOff == true, cycle.isActive {
            try await perform(.stop(turnOff: true, timeoutSeconds: 0))
        }
        try await gate.run {
            // A saved state goes with what the machine has written since its last checkpoint.
            try requireEnded("apply a checkpoint to")
            try requireDisksAtRest("apply a checkpoint to")
            try requireCheckpointsUnread("apply a checkpoint to")
            isBusyWithDisks = true
            defer { isBusyWithDisks = false }
            let stored = try stored(target.id.uppercased)
            let isAtRest = stored.record.receipt.consistency == .application
            // A cut in between says less of the disks than is true of them, never more.
            if !isAtRest { try await note(isAtRest: false) }
            // What is noted of a saved state that goes says nothing of the one that comes.
            try await forgetSavedDisks()
            try await host.keeper.apply(stored, to: kept, generationID: .random(), besides: await others())
            if isAtRest { try await note(isAtRest: true) }
            knownVariables = nil
            note(hasSavedState: fileExists(host.directory.savedState(id)))
            if cycle.hasSavedState { try await noteSavedDisks() } else { try await forgetSavedDisks() }
            publish("checkpoint.applied", "\(name) has the state of the checkpoint \"\(stored.record.name)\"")
        }
        // The guest does not wait for files to be merged.
        if request.start == true { try await perform(.start) }
        do {
            try await mergeLeftovers(besides: others, reporter)
        } catch {
            // The checkpoint is applied all the same.
            let error = APIError(translating: error)
            guard request.start == true || error.code == .corrupt else { throw error }
            await reporter.warn("disk files stay to be merged later: \(error)")
        }
    }

    /// Reads all of a checkpoint's memory, before anything is given up for it.
    private func requireWholeMemory(of checkpoint: StoredCheckpoint) async throws {
        guard checkpoint.record.receipt.memoryInBytes != nil else { return }
        let path = host.directory.ofCheckpoints.savedState(checkpoint.id)
        guard let problem = try await savedStateDamage(path, pause: .zero) else { return }
        throw APIError(
            .corrupt,
            "cannot apply the checkpoint \"\(checkpoint.record.name)\" to \(name); its disks can be had with 'roost "
                + "checkpoint new-vm'",
            cause: problem
        )
    }

    /// Notes what is known of the disks.
    private func note(isAtRest: Bool) async throws {
        var next = record
        next.isAtRest = isAtRest
        if next != record { try await writeDurably(next) }
    }

    /// Removes checkpoints, and merges the disk files that nobody needs for themselves then; the guest may run.
    package func removeCheckpoint(
        _ reference: String,
        _ request: RemoveCheckpointRequest,
        besides others: @escaping @Sendable () async -> Set<String>?,
        _ reporter: JobCenter.Reporter
    ) async throws {
        try await mergingDisks(besides: others, reporter) {
            try requireUsable("remove a checkpoint of")
            try requireDisksAtRest("remove a checkpoint of")
            try requireCheckpointsUnread("remove a checkpoint of")
            try requireSteady("remove a checkpoint of")
            let stored = try stored(reference)
            try await host.keeper.requireUnchangedAround(try await load(), "remove a checkpoint of")
            let ids = request.subtree == true ? Set(tree().subtree(stored.id)) : [stored.id]
            try await host.keeper.remove(ids, of: kept)
            publish(
                "checkpoint.removed",
                ids.count == 1
                    ? "the checkpoint \"\(stored.record.name)\" of \(name) was removed"
                    : "the checkpoint \"\(stored.record.name)\" of \(name) was removed, with \(ids.count - 1) that came from it"
            )
        }
    }

    /// Refuses what cannot be done while the machine starts or stops.
    func requireSteady(_ what: String) throws {
        guard !cycle.isActive || machine != nil && [.running, .paused].contains(cycle.state) else {
            throw APIError(
                .invalidState,
                "cannot \(what) \(name) while it is \(cycle.state.rawValue): wait until it runs, or is off"
            )
        }
    }

    /// Completes or undoes what an earlier roostd was doing; to be called within the gate.
    func settleCheckpoints() async throws {
        let takesMemory = try await load().memoryToTake != nil
        if takesMemory { await resumedStateRemoval?.value }
        try await host.keeper.settle(kept)
        guard takesMemory else { return }
        note(hasSavedState: fileExists(host.directory.savedState(id)))
        if cycle.hasSavedState { try await noteSavedDisks() } else { try await forgetSavedDisks() }
    }

    /// The same at roostd's start, for a guest that runs too; returns whether disk files are still to be merged.
    func settleCheckpointsAtStart() async -> Bool {
        guard cycle.damage == nil else { return false }
        do {
            return try await gate.run {
                // One whose QEMU does not answer is left alone until it has ended.
                guard !cycle.isActive || machine != nil else { return false }
                // The agent goes on believing in a freeze that the guest's timer has ended, and refuses most commands.
                if let machine, isAgentOpen { _ = try? await machine.agent.execute(GuestAgentCommands.FSFreezeThaw()) }
                try await settleCheckpoints()
                return !(try await load().spareDisks.isEmpty)
            }
        } catch {
            // Tried again before the machine starts.
            host.log.error("cannot finish a checkpoint", metadata: ["machine": "\(name)", "error": "\(error)"])
            return false
        }
    }

    /// Tells of a change of the machine's checkpoints.
    func publish(_ kind: String, _ message: String) {
        host.events.publish(kind, virtualMachine: id, subject: name, message: message)
    }
}

extension String {
    /// As much of the text as a checkpoint's name may have.
    fileprivate var shortened: String {
        var text = prefix(100)
        while text.utf8.count > 255 { text.removeLast() }
        return String(text)
    }
}
