import ConfigStore
import QEMUDriver
import QMP
import RoostAPI
import RoostPrimitives
import Synchronization
import VMConfiguration

/// Checkpoints of a guest that runs.
extension CheckpointKeeper {
    /// How a running guest is brought to rest for the instant.
    enum Rest: Sendable {
        /// Its file systems are frozen.
        case freeze(GuestFreeze)
        /// It is not; the reason goes into the receipt.
        case none(reason: String)
    }

    /// What the instant has brought.
    private struct Instant: Sendable {
        var receipt: CheckpointReceipt
        /// The UEFI variables of that instant.
        var variables: [UInt8]?
    }

    /// Makes a checkpoint of the disks and UEFI variables of a guest that runs, and goes on running.
    ///
    /// - Parameters:
    ///   - isRequired: whether the checkpoint is only kept when the guest was frozen for it.
    ///   - announce: told when the guest is frozen (true) and when it is thawed again (false).
    /// - Throws: `GuestFreeze.Unable` when the guest cannot be frozen as was asked for; what else keeps it from being made.
    ///   The guest is thawed and as before then.
    func makeLive(
        _ id: GUID,
        _ record: CheckpointRecord,
        of machine: Machine,
        _ running: RunningMachine,
        _ rest: Rest,
        isRequired: Bool,
        announce: @escaping @Sendable (_ isFrozen: Bool) -> Void
    ) async throws -> StoredCheckpoint {
        try await settle(machine)
        let before = try await machine.load()
        var generator = SystemRandomNumberGenerator()
        let plan = try BranchPlan(before, using: &generator)
        let record = try Self.armed(record, before, plan, reason: "the making was cut off")
        do {
            try await note(machine, making: plan.branches.map(\.overlay), and: variablesFiles(of: id))
            try await arm(id, before, record, withVariables: false)
            try await makeOverlays(plan)
            try await running.openOverlays(plan)
            try Task.checkCancellation()
            // From the freeze to the thaw nobody's change of mind counts.
            let (path, branch) = (directory.guestState(machine.id), plan)
            let wish = CancellationWish()
            let instant = try await withTaskCancellationHandler {
                try await Task {
                    try await Self.takeInstant(branch, running, rest, announce, variables: path, wish)
                }.value
            } onCancel: {
                wish.express()
            }
            try await keep(instant, id, machine.id)
            _ = try await machine.commit { configuration in
                try configuration.branch(plan)
                configuration.currentCheckpoint = id
            }
        } catch {
            await clearUp(await machine.withoutEndedQEMU(error))
            // What the guest writes to already counts, although not all could be written down at first.
            guard let made = shelf.checkpoints(of: machine.id).first(where: { $0.id == id }) else { throw error }
            if isRequired, made.record.receipt.consistency == .crash { throw error }
            return made
        }
        try await settle(machine)
        guard let made = shelf.checkpoints(of: machine.id).first(where: { $0.id == id }) else {
            throw APIError(.internal, "the checkpoint \(record.name) was made and is not there any more")
        }
        guard isRequired, made.record.receipt.consistency == .crash else { return made }
        // The guest writes to the new files already; what is spare then is merged by the next removal.
        try await remove([id], of: machine)
        throw APIError(
            .invalidState,
            "no production checkpoint could be taken, and none was kept",
            cause: made.record.receipt.reason
        )
    }

    /// The record of a checkpoint of a guest that runs while it does not count yet.
    static func armed(
        _ record: CheckpointRecord,
        _ before: VirtualMachineConfiguration,
        _ plan: BranchPlan,
        reason: String
    ) throws -> CheckpointRecord {
        var record = record
        record.isArmed = true
        record.parent = before.currentCheckpoint
        record.receipt.reason = reason
        // Until the instant the guest writes to them.
        record.disks = try plan.branches.map { branch in
            var disk = try Self.disk(branch.base, branch.baseFormat)
            disk.changed = 0
            return disk
        }
        return record
    }

    /// Freezes, branches, thaws.
    ///
    /// - Throws: `CancellationError` when it is given up before the freeze.
    private static func takeInstant(
        _ plan: BranchPlan,
        _ running: RunningMachine,
        _ rest: Rest,
        _ announce: @Sendable (_ isFrozen: Bool) -> Void,
        variables path: String,
        _ wish: CancellationWish
    ) async throws -> Instant {
        var instant = Instant(receipt: CheckpointReceipt())
        let clock = ContinuousClock()
        var freeze: GuestFreeze?
        var frozen: Int64 = 0
        var begun = clock.now
        switch rest {
        case .none(let reason): instant.receipt.reason = reason
        case .freeze(var wanted):
            instant.receipt.agentVersion = wanted.version
            do {
                try await wanted.prepare(wish)
                try wish.check()
                begun = clock.now
                freeze = wanted
                frozen = try await wanted.begin()
                if frozen == 0 { throw GuestFreeze.Unable(description: "its agent froze nothing") }
                announce(true)
            } catch {
                if let freeze { _ = try? await freeze.end() } else { await wanted.giveUp() }
                if error is CancellationError { throw error }
                throw error as? GuestFreeze.Unable
                    ?? GuestFreeze.Unable(description: (error as? QMPError)?.message ?? "\(error)")
            }
        }
        let start = clock.now
        do {
            try await running.branch(plan)
        } catch {
            if let freeze, (try? await freeze.end()) != nil { announce(false) }
            throw error
        }
        instant.receipt.transactionInMicroseconds = (clock.now - start).microseconds
        let isLate = freeze?.mayHaveEnded ?? false
        // Looked at when the guest goes on: that takes longer than reading them.
        let bytes = fileExists(path) ? try? await onDisk { try FileAccess.readable(path) } : nil
        if let freeze { await thaw(freeze, frozen, isLate: isLate, since: begun, announce, &instant.receipt) }
        instant.variables = bytes.flatMap { (try? checkVariables($0)) == nil ? nil : $0 }
        // Half a write of the firmware makes no sense, and the next look finds it whole.
        for _ in 0..<3 where instant.variables == nil && fileExists(path) {
            instant.variables = try? await onDisk { try readVariables(path) }
        }
        return instant
    }

    /// Ends a freeze, and says in the receipt what it was worth.
    private static func thaw(
        _ freeze: GuestFreeze,
        _ frozen: Int64,
        isLate: Bool,
        since begun: ContinuousClock.Instant,
        _ announce: @Sendable (_ isFrozen: Bool) -> Void,
        _ receipt: inout CheckpointReceipt
    ) async {
        receipt.fileSystems = freeze.plan.fileSystems
        receipt.lease = freeze.lease
        do {
            let (thawed, moment) = try await freeze.end()
            receipt.freezeInMicroseconds = (moment - begun).microseconds
            announce(false)
            (receipt.consistency, receipt.reason) = freeze.plan.consistency(
                frozen: frozen,
                thawed: isLate ? 0 : thawed
            )
        } catch {
            receipt.reason = "the guest did not answer when it was thawed, so the freeze ended by its time"
            receipt.freezeInMicroseconds = (ContinuousClock.now - begun).microseconds
        }
    }

    /// Writes what the instant has brought into the checkpoint, which does not count yet.
    private func keep(_ instant: Instant, _ id: GUID, _ machine: GUID) async throws {
        guard let armed = shelf.armed(of: machine).first(where: { $0.id == id }) else { return }
        let target = directory.ofCheckpoints.guestState(id)
        let changed = try await shelf.using { store in
            var receipt = instant.receipt
            if let bytes = instant.variables {
                try FileAccess.write(bytes, to: target)
                try store.configurations.keep(target)
                receipt.hasVariables = true
            }
            return try store.update(armed) { [receipt] _, record in record.receipt = receipt }
        }
        shelf.put(changed)
    }

    // MARK: - After a cut

    /// Settles whatever became of the caller's task; what cannot be cleared now is before the next use of the machine.
    func clearUp(_ machine: Machine) async { await Task { _ = try? await settle(machine) }.value }

    /// Lets a machine's configuration name the files that its guest writes to already; returns whether it does.
    ///
    /// A new file that nothing has been written to says the same as the one below it, so it need not stay.
    func completeBranch(_ checkpoint: StoredCheckpoint, _ paths: [String], _ machine: Machine) async throws -> Bool {
        let overlays = paths.filter { BranchPlan.isOverlay($0) && fileExists($0) }
        let used = try await machine.running?.topNodeNames()
        var isWritten = false
        for path in overlays where !isWritten {
            if let used {
                let ending = "-\(RunningMachine.digits(of: path))"
                isWritten = used.contains { $0.hasSuffix(ending) }
            } else {
                isWritten = try await images.holdsData(path)
            }
        }
        guard isWritten else {
            if let running = machine.running { try await running.closeUnused(Set(overlays)) }
            return false
        }
        var replacements: [String: String] = [:]
        for path in overlays {
            if let base = try await images.info(path, format: "qcow2").backingFile { replacements[base] = path }
        }
        let drives = Set(try await machine.load().drives.compactMap(\.path))
        guard drives.isSuperset(of: replacements.keys), !replacements.isEmpty else {
            throw APIError(
                .corrupt,
                "the guest has written to \(overlays.joined(separator: ", ")), and no disk of the machine's configuration is "
                    + "below: the files are left alone, put the disks of the configuration right"
            )
        }
        let (id, found) = (checkpoint.id, replacements)
        _ = try await machine.commit { configuration in
            try configuration.useDisks(found)
            configuration.currentCheckpoint = id
        }
        return true
    }
}

/// Runs something to its end, whatever becomes of the caller's task.
func uncancelled(_ body: @escaping @Sendable () async throws -> Void) async throws {
    try await Task { try await body() }.value
}

/// A cancellation that is only heeded where the work looks at it.
final class CancellationWish: Sendable {
    private let isExpressed = Mutex(false)

    func express() { isExpressed.withLock { $0 = true } }

    func check() throws {
        if isExpressed.withLock({ $0 }) { throw CancellationError() }
    }
}

extension Duration {
    /// The whole microseconds.
    var microseconds: Int64 {
        components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000
    }
}
