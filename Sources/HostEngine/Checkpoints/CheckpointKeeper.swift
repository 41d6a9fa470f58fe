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
            // What cannot be cleared now is before the next use of the machine.
            _ = try? await settle(machine)
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
        let (store, source) = (store, directory.guestState(configuration.id))
        let target = directory.ofCheckpoints.guestState(id)
        let armed = try await onDisk {
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
    /// - Parameter generationID: The machine's new VM-Generation ID, by which the guest learns of the change.
    /// - Throws: `APIError` `.corrupt` when a disk of the checkpoint has been changed; what else keeps it from being
    ///   applied. The machine is as before then.
    func apply(_ checkpoint: StoredCheckpoint, to machine: Machine, generationID: GUID) async throws {
        try await settle(machine)
        for disk in checkpoint.record.disks where try Self.disk(disk.path, disk.format) != disk {
            throw APIError(
                .corrupt,
                "the disk \(disk.path) of the checkpoint \"\(checkpoint.record.name)\" was changed by another program since "
                    + "the checkpoint was made: what it held then is not known any more"
            )
        }
        let (before, store) = (try await machine.load(), store)
        let kept = try await onDisk {
            let stored = try store.load(id: checkpoint.id, path: checkpoint.path)
            // The machine may have been upgraded since; what it is now it stays.
            return stored.version < before.version ? try stored.converted(to: before.version).configuration : stored
        }
        var generator = SystemRandomNumberGenerator()
        let plan = try BranchPlan(kept, using: &generator)
        do {
            // What the machine wrote last is needed by nobody once the change is done.
            try await note(
                machine,
                making: plan.branches.map(\.overlay),
                dropping: try await overlays(of: before, machine.id)
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
                (configuration.spareDisks, configuration.removedCheckpoints) = (spare, [])
                try configuration.branch(plan)
                configuration.currentCheckpoint = checkpoint.id
                configuration.vmGenerationID = generationID
                configuration.variablesToTake = checkpoint.record.receipt.hasVariables ? checkpoint.id : nil
            }
        } catch {
            _ = try? await settle(machine)
            throw error
        }
        try await settle(machine)
    }

    /// The files of a machine that stand on a file of one of its checkpoints: those it has written since.
    private func overlays(of configuration: VirtualMachineConfiguration, _ machine: GUID) async throws -> [String] {
        let own = configuration.drives.compactMap(\.path)
        let kept = shelf.disks(of: machine).union(Set(configuration.spareDisks).subtracting(own))
        var found: [String] = []
        for drive in configuration.drives where drive.kind == .hardDisk {
            guard let path = drive.path, !kept.contains(path), fileExists(path) else { continue }
            guard configuration.roost.diskFormats[path] == .qcow2 else { continue }
            let below = try await images.info(path, format: "qcow2").backingFile
            if let below, kept.contains(below) { found.append(path) }
        }
        return found
    }

    // MARK: - After a cut

    /// Completes or undoes what was cut off; nothing to do most of the time.
    ///
    /// - Throws: what the disk reports; then it has to be called again before the machine is used.
    func settle(_ machine: Machine) async throws {
        let (armed, directory, store) = (shelf.armed(of: machine.id), directory, store)
        let note = try await onDisk { try BranchingNote(of: machine.id, in: directory) }
        var configuration = try await machine.load()
        for checkpoint in armed {
            var counts = configuration.currentCheckpoint == checkpoint.id
            if !counts, let note {
                counts = try await completeBranch(checkpoint, note.paths, machine)
                if counts { configuration = try await machine.load() }
            }
            if counts {
                shelf.put(try await onDisk { try store.update(checkpoint) { _, record in record.isArmed = false } })
            } else {
                try await forget(checkpoint)
            }
        }
        if let source = configuration.variablesToTake {
            try await takeVariables(of: source, for: machine.id)
            configuration = try await machine.commit { $0.variablesToTake = nil }
        }
        if !configuration.removedCheckpoints.isEmpty {
            try await finishRemoval(configuration.removedCheckpoints, of: machine)
        }
        try await learnChanges(of: machine.id)
        guard let note else { return }
        let needed = shelf.disks(of: machine.id).union(configuration.drives.compactMap(\.path))
            .union(shelf.checkpoints(of: machine.id).flatMap { variablesFiles(of: $0.id) })
        try await onDisk { try note.finish { needed.contains($0) } }
    }

    /// Deletes a checkpoint's own files; its disks stay.
    func forget(_ checkpoint: StoredCheckpoint) async throws {
        let (store, variables) = (store, directory.ofCheckpoints.guestState(checkpoint.id))
        try await onDisk {
            try store.remove(checkpoint)
            try store.configurations.removeKept(variables)
        }
        shelf.take(checkpoint.id)
    }

    private func takeVariables(of checkpoint: GUID, for machine: GUID) async throws {
        let (store, user, directory) = (store, user, directory)
        try await onDisk {
            let source = directory.ofCheckpoints.guestState(checkpoint)
            let target = directory.guestState(machine)
            try store.configurations.checkKept(source)
            try FileAccess.write(try FileAccess.read(source), to: target)
            try user.takeOwnership(of: target)
            try store.machines.keep(target)
        }
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
