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
    private var shared: CheckpointKeeper.Machine {
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
            if cycle.hasSavedState { try await noteSavedDisks() }
            publish("checkpoint.applied", "\(name) has the state of the checkpoint \"\(stored.record.name)\"")
            guard request.start != true else { return }
            do {
                try await giveUpSpareDisks(of: kept, besides: others, reporter)
            } catch let error as APIError where error.code == .corrupt {
                // The checkpoint is applied all the same.
                await reporter.warn("disk files stay to be merged later: \(error)")
            }
        }
        guard request.start == true else { return }
        // The guest does not wait for files to be merged.
        try await perform(.start)
        do {
            try await mergeLeftovers(besides: others, reporter)
        } catch {
            await reporter.warn("disk files stay to be merged later: \(APIError(translating: error))")
        }
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
            return true
        }
    }

    /// Refuses what cannot be done while the machine starts or stops.
    private func requireSteady(_ what: String) throws {
        guard !cycle.isActive || machine != nil && [.running, .paused].contains(cycle.state) else {
            throw APIError(
                .invalidState,
                "cannot \(what) \(name) while it is \(cycle.state.rawValue): wait until it runs, or is off"
            )
        }
    }

    /// Does something within the gate, and merges disk files behind that when it returns true.
    ///
    /// A machine that is off does not start before all is merged. While a guest runs other changes go on beside the merge,
    /// and when it ends meanwhile, the merge goes on without it.
    private func mergingDisks(
        besides others: @escaping @Sendable () async -> Set<String>?,
        _ reporter: JobCenter.Reporter,
        _ body: () async throws -> Bool
    ) async throws {
        var isBegun = false
        while true {
            if isBegun { await waitUntilSteady() }
            let beside: CheckpointKeeper.Machine? = try await gate.run {
                guard try await isBegun ? canGoOnMerging() : body() else { return nil }
                isBusyWithDisks = true
                if cycle.isActive { return shared }
                defer { isBusyWithDisks = false }
                try await giveUpSpareDisks(of: kept, besides: others, reporter)
                return nil
            }
            guard let beside else { return }
            isBegun = true
            let work = Task { try await giveUpSpareDisks(of: beside, besides: others, reporter) }
            mergeWork = work
            defer { (mergeWork, isBusyWithDisks) = (nil, false) }
            do {
                return try await withTaskCancellationHandler {
                    try await work.value
                } onCancel: {
                    work.cancel()
                }
            } catch {
                if (error as? QMPError)?.code == .closed { await waitForEnd(of: beside.running) }
                guard !Task.isCancelled, machine?.process.identity != beside.running?.process.identity else {
                    throw error
                }
            }
        }
    }

    /// Waits until the machine neither starts nor stops.
    private func waitUntilSteady() async {
        let changes = host.events.listen(since: nil)
        if !isChanging { return }
        let id = id
        for await event in changes where event.virtualMachine == id { if !isChanging { return } }
    }

    private var isChanging: Bool { [.starting, .stopping, .saving].contains(cycle.state) }

    /// Waits until a QEMU whose connection has ended is known to have ended.
    private func waitForEnd(of running: RunningMachine?) async {
        guard let running else { return }
        let changes = host.events.listen(since: nil)
        _ = await running.process.end()
        if machine?.process.identity != running.process.identity { return }
        let id = id
        for await event in changes where event.virtualMachine == id {
            if machine?.process.identity != running.process.identity { return }
        }
    }

    private func canGoOnMerging() -> Bool {
        guard !isRemoved, !isBusyWithDisks, (try? requireSteady("merge the disks of")) != nil else { return false }
        if checkpointReaders > 0 { isMergePutOff = true }
        return checkpointReaders == 0
    }

    /// Whether a merge has met a reader of the machine's checkpoints, and is to be done now that the last one has gone.
    func takeMergePutOff() -> Bool {
        guard checkpointReaders == 0, isMergePutOff else { return false }
        isMergePutOff = false
        return true
    }

    /// Completes or undoes what an earlier roostd was doing; to be called within the gate.
    func settleCheckpoints() async throws {
        let takesMemory = try await load().memoryToTake != nil
        try await host.keeper.settle(kept)
        guard takesMemory else { return }
        note(hasSavedState: fileExists(host.directory.savedState(id)))
        if cycle.hasSavedState { try await noteSavedDisks() }
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

    /// Merges the files that a removal which was cut off has left, unless somebody is at the disks.
    func mergeLeftovers(
        besides others: @escaping @Sendable () async -> Set<String>?,
        _ reporter: JobCenter.Reporter
    ) async throws {
        try await mergingDisks(besides: others, reporter) { canGoOnMerging() }
    }

    private func giveUpSpareDisks(
        of machine: CheckpointKeeper.Machine,
        besides others: @escaping @Sendable () async -> Set<String>?,
        _ reporter: JobCenter.Reporter
    ) async throws {
        let damaged = host.keeper.shelf.damaged
        if !damaged.isEmpty {
            await reporter.warn(
                "checkpoints cannot be read, so nobody knows which disks they need, and files that are spare stay: "
                    + damaged.keys.map(\.uppercased).sorted().joined(separator: ", ")
            )
            return
        }
        guard await others() != nil else {
            await reporter.warn("a machine is broken, so nobody knows which disks it uses: files that are spare stay")
            return
        }
        try await keepingSavedDisks {
            try await host.keeper.mergeSpareDisks(of: machine, besides: others) { await reporter.progress($0) }
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
