import ConfigStore
import QEMUDriver
import QMP
import RoostAPI
import RoostPrimitives
import Synchronization
import VMConfiguration

extension CheckpointKeeper.Machine {
    /// The machine without its QEMU, when that has ended, of which an error may tell before anybody else knows.
    func withoutEndedQEMU(_ error: any Error) async -> Self {
        guard let running else { return self }
        var copy = self
        if (error as? QMPError)?.code == .closed {
            _ = await running.process.end()
            copy.running = nil
        } else if !running.process.identity.isAlive {
            copy.running = nil
        }
        return copy
    }
}

/// Checkpoints that keep the memory of a guest that runs, with the disks of the same instant.
extension CheckpointKeeper {
    /// What the instant has brought, filled in while the guest stands still.
    private struct Instant: Sendable {
        var receipt = CheckpointReceipt()
        var variables: [UInt8]?
        var stream: Task<Void, any Error>?
        var isCancelled = false

        init(reason: String?) { receipt.reason = reason }
    }

    /// Makes a checkpoint of memory, disks and UEFI variables of a guest that runs, and goes on running.
    ///
    /// The processors stand still until the disks have branched and QEMU has written down its devices; where the host lets
    /// QEMU follow what the guest writes they run again then, and else when the memory is written.
    ///
    /// - Parameters:
    ///   - record: What is said of it, the reason why it is no production checkpoint among it.
    ///   - info: what the memory is of.
    /// - Throws: what keeps it from being made; the guest goes on, and no checkpoint is kept.
    func makeStandard(
        _ id: GUID,
        _ record: CheckpointRecord,
        of machine: Machine,
        _ running: RunningMachine,
        _ info: SavedStateInfo,
        onProgress: @escaping @Sendable (Double) async -> Void
    ) async throws -> StoredCheckpoint {
        guard let standstill = machine.standstill else {
            throw APIError(.internal, "a checkpoint has no way to let the guest stand still")
        }
        try await settle(machine)
        let before = try await machine.load()
        var generator = SystemRandomNumberGenerator()
        let plan = try BranchPlan(before, using: &generator)
        let reason = record.receipt.reason
        let record = try Self.armed(
            record,
            before,
            plan,
            reason: "the making was cut off, and the memory is not kept"
        )
        let memory = directory.ofCheckpoints.savedState(id)
        let found = Mutex(Instant(reason: reason))
        do {
            try await note(
                machine,
                making: plan.branches.map(\.overlay),
                and: variablesFiles(of: id) + memoryFiles(of: id)
            )
            try await arm(id, before, record, withVariables: false)
            try await makeOverlays(plan)
            try await running.openOverlays(plan)
            let sink = try await onDisk { try SavedStateSink(memory) }
            let obstacle = await running.obstacleToBackground(turningOn: true)
            let goesOn = obstacle == nil
            if let obstacle {
                let stood = "the guest stood still while its memory was written: \(obstacle)"
                found.withLock { $0.receipt.reason = [reason, stood].compactMap(\.self).joined(separator: "; ") }
            }
            try Task.checkCancellation()
            // From here until the guest goes on nobody's change of mind counts.
            let (user, variables, branches) = (user, directory.guestState(machine.id), plan)
            try await withTaskCancellationHandler {
                try await uncancelled {
                    let pause = try await standstill { _ in
                        try await Self.takeInstant(branches, running, variables, user, sink, goesOn, found, onProgress)
                    }
                    found.withLock { $0.receipt.pauseInMicroseconds = pause.microseconds }
                }
            } onCancel: {
                found.withLock { found in
                    found.isCancelled = true
                    found.stream?.cancel()
                }
            }
            // A cut behind this leaves a checkpoint with all but the memory.
            try await keepVariables(found.withLock { $0.variables }, id, machine.id)
            _ = try await machine.commit { configuration in
                try configuration.branch(plan)
                configuration.currentCheckpoint = id
            }
            try await found.withLock { $0.stream }?.valueOrCancelled()
            var complete = info
            complete.wasRunning = true
            try await onDisk { [complete] in try sink.finish(complete) }
            try await keep(found.withLock { $0.receipt }, memory, id, machine.id)
        } catch {
            found.withLock { $0.stream }?.cancel()
            _ = await found.withLock { $0.stream }?.result
            let left = await machine.withoutEndedQEMU(error)
            await clearUp(left)
            // The guest writes to the new files already; what is spare then is merged by the next removal.
            if shelf.checkpoints(of: machine.id).contains(where: { $0.id == id }) {
                // What went wrong first is what the user should read.
                _ = try? await uncancelled { try await remove([id], of: left) }
            }
            throw error
        }
        try await settle(machine)
        guard let made = shelf.checkpoints(of: machine.id).first(where: { $0.id == id }) else {
            throw APIError(.internal, "the checkpoint \(record.name) was made and is not there any more")
        }
        return made
    }

    /// Branches the disks and begins to send the memory; returns when the guest can go on.
    private static func takeInstant(
        _ plan: BranchPlan,
        _ running: RunningMachine,
        _ variables: String,
        _ user: QEMUUser,
        _ sink: SavedStateSink,
        _ goesOn: Bool,
        _ found: borrowing Mutex<Instant>,
        _ onProgress: @escaping @Sendable (Double) async -> Void
    ) async throws {
        let clock = ContinuousClock()
        let begun = clock.now
        try await running.branch(plan)
        let branched = clock.now
        // The firmware stands still, too, and goes on from its memory: half a write is completed then.
        let bytes = fileExists(variables) ? try await onDisk { try FileAccess.readable(variables) } : nil
        let (over, isOver) = AsyncStream.makeStream(of: Void.self)
        let resume: @Sendable () -> Void = { isOver.finish() }
        let take: @Sendable ([UInt8]) throws -> Void = { try sink.append($0) }
        let stream = Task<Void, any Error> {
            defer { isOver.finish() }
            try await running.sendState(
                as: user,
                whenRunning: goesOn ? resume : nil,
                onProgress: onProgress,
                take: take
            )
        }
        found.withLock { found in
            found.stream = stream
            found.variables = bytes
            found.receipt.consistency = .memory
            found.receipt.transactionInMicroseconds = (branched - begun).microseconds
            if found.isCancelled { stream.cancel() }
        }
        for await _ in over {}
    }

    /// Writes what the instant has brought into the checkpoint, which does not count yet.
    private func keep(_ receipt: CheckpointReceipt, _ memory: String, _ id: GUID, _ machine: GUID) async throws {
        guard let armed = shelf.armed(of: machine).first(where: { $0.id == id }) else { return }
        let changed = try await shelf.using { store in
            try store.update(armed) { _, record in
                let hasVariables = record.receipt.hasVariables
                record.receipt = receipt
                record.receipt.hasVariables = hasVariables
                record.receipt.memoryInBytes = fileStatus(memory).map { Int64(clamping: $0.size) }
            }
        }
        shelf.put(changed)
    }

    private func keepVariables(_ bytes: [UInt8]?, _ id: GUID, _ machine: GUID) async throws {
        guard let bytes, let armed = shelf.armed(of: machine).first(where: { $0.id == id }) else { return }
        let target = directory.ofCheckpoints.guestState(id)
        let changed = try await shelf.using { store in
            try FileAccess.write(bytes, to: target)
            try store.configurations.keep(target)
            return try store.update(armed) { _, record in record.receipt.hasVariables = true }
        }
        shelf.put(changed)
    }

    /// The files that hold a checkpoint's memory, and that did so while it was written.
    func memoryFiles(of checkpoint: GUID) -> [String] {
        let path = directory.ofCheckpoints.savedState(checkpoint)
        return [path, SavedStateWriter.temporary(path)]
    }

    /// Lets a machine have the memory of a checkpoint as its saved state: the same file, by a second name where the file
    /// system knows such.
    ///
    /// Memory that is gone meanwhile is none: the machine starts from the disks then.
    func takeMemory(of checkpoint: GUID, for machine: GUID) async throws {
        let directory = directory
        try await onDisk {
            let (source, target) = (directory.ofCheckpoints.savedState(checkpoint), directory.savedState(machine))
            for file in [target, directory.resumedState(machine)] { try FileAccess.remove(file) }
            guard checkpoint != .zero, fileExists(source) else { return }
            do throws(StoreError) {
                try FileAccess.link(source, to: target)
            } catch {
                // The folders lie on different file systems, or theirs knows no second names.
                try FileAccess.copy(source, to: target)
            }
        }
    }

    /// Makes sure that a checkpoint can be applied: its disks are as they were, and its memory is there.
    ///
    /// - Throws: `APIError` `.corrupt` and `.notFound`, `StoreError` `.corrupt`.
    func requireWhole(_ checkpoint: StoredCheckpoint) async throws {
        try await requireUnchanged(checkpoint)
        let memory = directory.ofCheckpoints.savedState(checkpoint.id)
        try await onDisk {
            guard checkpoint.record.receipt.memoryInBytes != nil else { return }
            guard fileExists(memory) else {
                throw APIError(
                    .notFound,
                    "the memory of the checkpoint \"\(checkpoint.record.name)\" is gone: there is no \(memory); its disks can be "
                        + "had with 'roost checkpoint new-vm'"
                )
            }
        }
    }
}
