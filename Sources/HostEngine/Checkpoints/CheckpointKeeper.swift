import ConfigStore
import HyperVStorage
import QEMUDriver
import RoostAPI
import RoostPrimitives
import VMConfiguration

/// Makes and applies the checkpoints of a machine that is off, so that a cut at any instant leaves the state before or
/// the one behind.
///
/// The order of the steps is that of `docs/design/0005-checkpoints.md`. One call at a time for each machine: its owner
/// sees to that, and calls ``settle(_:)`` before the machine starts.
struct CheckpointKeeper: Sendable {
    /// The configuration of a machine, read and changed through its owner.
    struct Machine: Sendable {
        var id: GUID
        var load: @Sendable () async throws -> VirtualMachineConfiguration
        /// Changes it in one durable transaction.
        var commit:
            @Sendable (_ change: @escaping @Sendable (inout VirtualMachineConfiguration) throws -> Void) async throws ->
                VirtualMachineConfiguration
        /// Its QEMU, when it runs.
        var running: RunningMachine?
        /// Runs something while the guest's processors stand still; the machine that it gets is the only one to be used
        /// then.
        ///
        /// Returns how long they stood still at the most.
        var standstill:
            (@Sendable (_ body: @escaping @Sendable (Machine) async throws -> Void) async throws -> Duration)?
    }

    let shelf: CheckpointShelf
    let directory: StateDirectory
    let images: DiskImages
    /// Whom disk files belong to.
    let user: QEMUUser

    var store: CheckpointStore { shelf.store }

    // MARK: - Making

    /// Makes a checkpoint of a machine's disks and UEFI variables.
    ///
    /// - Parameter record: What is said of it; parent and disks are filled in.
    /// - Throws: what keeps it from being made; the machine is as before then.
    func make(_ id: GUID, _ record: CheckpointRecord, of machine: Machine) async throws -> StoredCheckpoint {
        try await settle(machine)
        let before = try await machine.load()
        var generator = SystemRandomNumberGenerator()
        let plan = try BranchPlan(before, using: &generator)
        var record = record
        record.isArmed = true
        record.parent = before.currentCheckpoint
        // A time of change that is only in memory would be another one behind a power cut.
        try await onDisk { for branch in plan.branches { try syncFile(branch.base) } }
        record.disks = try plan.branches.map { try Self.disk($0.base, $0.baseFormat) }
        do {
            try await note(machine, making: plan.branches.map(\.overlay), and: variablesFiles(of: id))
            try await arm(id, before, record, withVariables: true)
            try await makeOverlays(plan)
            try Task.checkCancellation()
            _ = try await machine.commit { configuration in
                try configuration.branch(plan)
                configuration.currentCheckpoint = id
            }
        } catch {
            await clearUp(machine)
            throw error
        }
        try await settle(machine)
        guard let made = shelf.checkpoints(of: machine.id).first(where: { $0.id == id }) else {
            throw APIError(.internal, "the checkpoint \(record.name) was made and is not there any more")
        }
        return made
    }

    /// Writes the checkpoint as one that does not count yet, with its UEFI variables.
    func arm(
        _ id: GUID,
        _ configuration: VirtualMachineConfiguration,
        _ record: CheckpointRecord,
        withVariables: Bool
    ) async throws {
        let source = directory.guestState(configuration.id)
        let target = directory.ofCheckpoints.guestState(id)
        let armed = try await shelf.using { store in
            var record = record
            if withVariables, fileExists(source) {
                try FileAccess.write(try FileAccess.read(source), to: target)
                try store.configurations.keep(target)
                record.receipt.hasVariables = true
            }
            return try store.create(id, configuration, record)
        }
        shelf.put(armed)
    }

    func makeOverlays(_ plan: BranchPlan) async throws {
        for branch in plan.branches {
            try await images.createOverlay(
                branch.overlay,
                over: branch.base,
                format: branch.baseFormat.rawValue,
                owner: user
            )
        }
    }

    // MARK: - Applying

    /// Gives a machine the disks, the settings and the UEFI variables of a checkpoint; what it wrote since its last
    /// checkpoint goes.
    ///
    /// - Parameters:
    ///   - generationID: the machine's new VM-Generation ID, by which the guest learns of the change.
    /// - Throws: `APIError` `.corrupt` when a disk of the checkpoint has been changed; what else keeps it from being
    ///   applied. The machine is as before then.
    ///   - others: the files that other machines need; nil when nobody knows, and then none is given up.
    func apply(
        _ checkpoint: StoredCheckpoint,
        to machine: Machine,
        generationID: GUID,
        besides others: Set<String>?
    ) async throws {
        try await settle(machine)
        try await requireUnchanged(checkpoint)
        let before = try await machine.load()
        let variables = directory.guestState(machine.id)
        let kept = try await shelf.using { store in
            let stored = try store.load(id: checkpoint.id, path: checkpoint.path)
            guard stored.version < before.version else { return stored }
            // The machine may have been upgraded since; what it is now it stays, with the hardware of that.
            var upgraded = try stored.converted(to: before.version, guestStateFilePath: variables).configuration
            upgraded.roost.machineType = before.roost.machineType ?? MachinePlan.machineType(for: upgraded)
            return upgraded
        }
        var generator = SystemRandomNumberGenerator()
        let plan = try BranchPlan(kept, using: &generator)
        do {
            // What the machine wrote last is needed by nobody once the change is done.
            try await note(
                machine,
                making: plan.branches.map(\.overlay),
                dropping: try await overlays(of: before, machine.id, besides: others)
            )
            try await makeOverlays(plan)
            try Task.checkCancellation()
            _ = try await machine.commit { configuration in
                let id = configuration.id
                let spare = configuration.spareDisks
                configuration.root = kept.root.withoutOrigins()
                configuration.id = id
                configuration.checkpoint = nil
                configuration.name = before.name
                configuration.checkpointSchedule = before.checkpointSchedule
                (configuration.spareDisks, configuration.removedCheckpoints) = (spare, [])
                try configuration.branch(plan)
                configuration.currentCheckpoint = checkpoint.id
                configuration.vmGenerationID = generationID
                // Of a guest that ran there were some, even if the making was cut off before they were kept.
                configuration.variablesToTake =
                    checkpoint.record.receipt.hasVariables
                    ? checkpoint.id : kept.roost.virtualMachineHasStarted ? nil : .zero
                configuration.memoryToTake = checkpoint.record.receipt.memoryInBytes == nil ? .zero : checkpoint.id
            }
        } catch {
            await clearUp(machine)
            throw error
        }
        try await settle(machine)
    }

    /// The files of a machine that stand on a file of one of its checkpoints: those it has written since, and that nobody
    /// else needs.
    private func overlays(
        of configuration: VirtualMachineConfiguration,
        _ machine: GUID,
        besides others: Set<String>?
    ) async throws -> [String] {
        guard let others, shelf.isComplete else { return [] }
        let own = Set(configuration.drives.filter { $0.kind == .hardDisk }.compactMap(\.path))
        let kept = shelf.disks(of: machine).union(Set(configuration.spareDisks).subtracting(own))
        return try await onDisk {
            try own.filter { path in
                guard BranchPlan.isOverlay(path), !kept.contains(path), !others.contains(path), fileExists(path),
                    let below = backingFile(of: path), kept.contains(below)
                else { return false }
                let folder = FileAccess.folder(of: path)
                return !(try FileAccess.names(in: folder).contains { backingFile(of: "\(folder)/\($0)") == path })
            }.sorted()
        }
    }

    // MARK: - After a cut

    /// Completes or undoes what was cut off; nothing to do most of the time.
    ///
    /// A removal's note stays while there are files to be merged, so that the next roostd merges them.
    ///
    /// - Parameter isMerged: whether that has been done as far as it can be.
    /// - Throws: what the disk reports; then it has to be called again before the machine is used.
    func settle(_ machine: Machine, isMerged: Bool = false) async throws {
        let (armed, directory) = (shelf.armed(of: machine.id), directory)
        let note = try await onDisk { try BranchingNote(of: machine.id, in: directory) }
        if let note, !shelf.isComplete, note.paths.contains(where: { BranchPlan.isOverlay($0) && fileExists($0) }) {
            // One that cannot be read may be the one whose making was cut off.
            throw APIError(
                .corrupt,
                "work on the disks of a virtual machine was cut off, and cannot be finished while checkpoints cannot be "
                    + "read: 'roost host show' names them; repair them with roost file repair, or move them away, and "
                    + "restart roostd"
            )
        }
        try await followQEMU(machine)
        var configuration = try await machine.load()
        for checkpoint in armed {
            var counts = configuration.currentCheckpoint == checkpoint.id
            if !counts, let note {
                counts = try await completeBranch(checkpoint, note.paths, machine)
                if counts { configuration = try await machine.load() }
            }
            if counts {
                let done = try await shelf.using { store in
                    try store.update(checkpoint) { _, record in record.isArmed = false }
                }
                shelf.put(done)
            } else {
                try await forget(checkpoint)
            }
        }
        if let source = configuration.variablesToTake {
            try await takeVariables(of: source, for: machine.id)
            configuration = try await machine.commit { $0.variablesToTake = nil }
        }
        if let source = configuration.memoryToTake {
            try await takeMemory(of: source, for: machine.id)
            configuration = try await machine.commit { $0.memoryToTake = nil }
        }
        if !configuration.removedCheckpoints.isEmpty {
            try await finishRemoval(configuration.removedCheckpoints, of: machine)
        }
        try await learnChanges(of: machine.id)
        // A merge into a VHDX that was cut off leaves changes in its log, with which QEMU does not read it from another one.
        if machine.running == nil { for path in configuration.spareDisks { try await replayLog(of: path) } }
        guard let note else { return }
        let needed = shelf.disks(of: machine.id).union(configuration.drives.compactMap(\.path))
            .union(shelf.checkpoints(of: machine.id).flatMap(ownFiles))
        let stays = !isMerged && note.paths.isEmpty && !configuration.spareDisks.isEmpty
        try await onDisk { try note.finish(staying: stays) { needed.contains($0) } }
    }

    /// Deletes a checkpoint's own files; its disks stay.
    func forget(_ checkpoint: StoredCheckpoint) async throws {
        let variables = directory.ofCheckpoints.guestState(checkpoint.id)
        let memory = memoryFiles(of: checkpoint.id)
        try await shelf.using { store in
            for file in memory { try FileAccess.remove(file) }
            try store.configurations.removeKept(variables)
            try store.remove(checkpoint)
        }
        shelf.take(checkpoint.id)
    }

    private func takeVariables(of checkpoint: GUID, for machine: GUID) async throws {
        let (store, user, directory) = (store, user, directory)
        try await onDisk {
            let source = directory.ofCheckpoints.guestState(checkpoint)
            let target = directory.guestState(machine)
            // Those of a later time are none of a state that had none; the next start makes fresh ones.
            guard checkpoint != .zero else { return try store.machines.removeKept(target) }
            try store.configurations.checkKept(source)
            try FileAccess.write(try FileAccess.read(source), to: target)
            try user.takeOwnership(of: target)
            try store.machines.keep(target)
        }
    }

    /// The files that belong to a checkpoint alone.
    private func ownFiles(_ checkpoint: StoredCheckpoint) -> [String] {
        let memory =
            checkpoint.record.receipt.memoryInBytes == nil ? [] : [directory.ofCheckpoints.savedState(checkpoint.id)]
        return variablesFiles(of: checkpoint.id) + memory
    }

    /// The files that hold a checkpoint's UEFI variables.
    func variablesFiles(of checkpoint: GUID) -> [String] {
        let path = directory.ofCheckpoints.guestState(checkpoint)
        return [path, directory.ofCheckpoints.copy(of: path)]
    }

    /// Notes what is about to be made; a note that names nothing says that there is something to be settled.
    func note(
        _ machine: Machine,
        making disks: [String] = [],
        and others: [String] = [],
        dropping: [String] = []
    ) async throws {
        let (directory, id) = (directory, machine.id)
        // A disk has another name until it is complete.
        let paths = disks.flatMap { [$0, "\($0).partial"] } + others
        _ = try await onDisk { try BranchingNote(id, making: paths, dropping: dropping, in: directory) }
    }

    /// A disk file as it is now.
    static func disk(_ path: String, _ format: RoostSettings.DiskFormat) throws -> CheckpointRecord.Disk {
        guard let status = fileStatus(path) else {
            throw APIError(.notFound, "there is no disk \(path)")
        }
        return CheckpointRecord.Disk(path: path, sizeInBytes: status.size, changed: status.changed, format: format)
    }
}
