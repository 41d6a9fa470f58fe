import ConfigStore
import QEMUDriver
import QMP
package import RoostAPI
import RoostPrimitives
import VMConfiguration

/// Taking checkpoints of one machine; passes the machine's gate.
extension VirtualMachine {
    /// Takes a checkpoint of a machine that is off or whose guest runs; returns its identifier.
    ///
    /// - Parameters:
    ///   - others: the files that other machines need.
    ///   - isAutomatic: whether the machine's schedule has asked for it.
    ///   - onWarning: told when it is less than was asked for, and why.
    package func createCheckpoint(
        _ request: CreateCheckpointRequest,
        besides others: Set<String>,
        isAutomatic: Bool = false,
        onWarning: @escaping @Sendable (String) async -> Void = { _ in },
        onProgress: @escaping @Sendable (Double) async -> Void = { _ in }
    ) async throws -> String {
        let wanted = request.name
        if let wanted { try Self.validate(checkpointName: wanted) }
        let made = try await gate.run {
            try requireUsable("take a checkpoint of")
            try requireDisksAtRest("take a checkpoint of")
            try requireNoSavedState("take a checkpoint of")
            let configuration = try await load()
            if let shared = configuration.drives.first(where: { drive in
                drive.kind == .hardDisk && drive.path.map(others.contains) == true
            }) {
                throw APIError(
                    .busy,
                    "cannot take a checkpoint of \(name): another machine or its checkpoints need \(shared.path ?? "") too, "
                        + "and would go on writing to it"
                )
            }
            let kind = try kind(request.kind, configuration)
            try await host.keeper.requireUnchangedBelow(configuration, "take a checkpoint of")
            let seconds = secondsSinceEpoch()
            var record = CheckpointRecord(
                machine: id,
                parent: nil,
                name: wanted ?? "\(name) - (\(timestamp(seconds)))",
                kind: kind,
                created: seconds,
                receipt: CheckpointReceipt()
            )
            record.isAutomatic = isAutomatic
            let made: StoredCheckpoint
            if cycle.isActive {
                let isRequired = request.kind == .production || configuration.checkpointType == .productionOnly
                made = try await createLive(record, configuration, isRequired: isRequired, onProgress: onProgress)
            } else {
                // Of a guest that was not shut down nobody knows more than of one after a power cut.
                let isAtRest = cycle.state != .crashed && self.record.isAtRest
                record.receipt.consistency = isAtRest ? .application : .crash
                if !isAtRest {
                    record.receipt.reason =
                        cycle.state == .crashed
                        ? "QEMU ended unasked" : "the guest had not shut down before it was ended"
                }
                made = try await host.keeper.make(.random(), record, of: kept)
            }
            publish("checkpoint.created", "the checkpoint \"\(made.record.name)\" of \(name) was taken")
            return made
        }
        if let reason = made.record.receipt.reason {
            await onWarning("\(made.record.receipt.consistency.meaning): \(reason)")
        }
        return made.id.uppercased
    }

    private func createLive(
        _ record: CheckpointRecord,
        _ configuration: VirtualMachineConfiguration,
        isRequired: Bool,
        onProgress: @escaping @Sendable (Double) async -> Void
    ) async throws -> StoredCheckpoint {
        guard let machine, [.running, .paused].contains(cycle.state) else {
            throw APIError(
                .invalidState,
                "cannot take a checkpoint of \(name) while it is \(cycle.state.rawValue): wait until it runs, or is off"
            )
        }
        if record.kind == .standard {
            guard cycle.state == .running else {
                throw APIError(.invalidState, "cannot keep the memory of \(name), which is paused: resume it first")
            }
            if let reason = await reasonAgainstMemory(machine) {
                throw APIError(.unsupported, "cannot keep the memory of \(name)", cause: reason)
            }
            return try await createStandard(record, configuration, machine, onProgress: onProgress)
        }
        let obstacle: String
        switch await rest(of: machine) {
        case .freeze(let freeze):
            do {
                return try await createProduction(record, machine, .freeze(freeze), isRequired: isRequired)
            } catch let error as GuestFreeze.Unable {
                // Thawed again, and nothing was kept.
                obstacle = "the guest could not be frozen: \(error.description)"
            }
        case .none(let reason): obstacle = reason
        }
        if isRequired {
            throw APIError(
                .invalidState,
                "cannot take a production checkpoint of \(name): \(obstacle); stop it, or take another one: without "
                    + "--production, where 'roost vm set --checkpoint-type Production' allows it"
            )
        }
        if let reason = await reasonAgainstMemory(machine) {
            return try await createProduction(
                record,
                machine,
                .none(reason: "\(obstacle); nor can its memory be kept: \(reason)"),
                isRequired: false
            )
        }
        var record = record
        record.kind = .standard
        record.receipt.reason = "no production checkpoint: \(obstacle)"
        return try await createStandard(record, configuration, machine, onProgress: onProgress)
    }

    private func createProduction(
        _ record: CheckpointRecord,
        _ machine: RunningMachine,
        _ rest: CheckpointKeeper.Rest,
        isRequired: Bool
    ) async throws -> StoredCheckpoint {
        let (events, id, name) = (host.events, id, name)
        return try await host.keeper.makeLive(.random(), record, of: kept, machine, rest, isRequired: isRequired) {
            events.publish(
                $0 ? "guest.frozen" : "guest.thawed",
                virtualMachine: id,
                subject: name,
                message: "the guest of \(name) is \($0 ? "frozen for a checkpoint" : "thawed")"
            )
        }
    }

    private func createStandard(
        _ record: CheckpointRecord,
        _ configuration: VirtualMachineConfiguration,
        _ machine: RunningMachine,
        onProgress: @escaping @Sendable (Double) async -> Void
    ) async throws -> StoredCheckpoint {
        var machineOfKeeper = kept
        machineOfKeeper.standstill = { body in try await self.holdStill(body) }
        return try await host.keeper.makeStandard(
            .random(),
            record,
            of: machineOfKeeper,
            machine,
            await stateInfo(configuration, machine),
            onProgress: onProgress
        )
    }

    /// Why the memory of the guest cannot be kept; nil when it can, as far as QEMU says beforehand.
    private func reasonAgainstMemory(_ machine: RunningMachine) async -> String? {
        if cycle.state != .running { return "it is paused" }
        return await migrationBlocker(machine)
    }

    /// Why QEMU does not pass the guest's memory on; nil when it does, as far as is known.
    func migrationBlocker(_ machine: RunningMachine) async -> String? {
        (try? await machine.monitor.execute(QMPCommands.QueryMigrate()))?.blockedReasons.first
    }

    /// How the guest can be brought to rest.
    private func rest(of machine: RunningMachine) async -> CheckpointKeeper.Rest {
        guard cycle.state == .running else { return .none(reason: "the guest is paused and cannot be frozen") }
        guard services[.vss] ?? true else {
            return .none(reason: "the machine's backup service is off, so its guest is not asked to freeze")
        }
        guard isAgentOpen else { return .none(reason: "no guest agent answers") }
        do {
            // An earlier freeze that was ended by the guest's timer, of which the agent knows nothing.
            if try await machine.agent.execute(GuestAgentCommands.FSFreezeStatus()) {
                _ = try await machine.agent.execute(GuestAgentCommands.FSFreezeThaw())
            }
            return .freeze(try await GuestFreeze(machine.agent, leaseSeconds: host.freezeLeaseSeconds))
        } catch {
            return .none(reason: (error as? GuestFreeze.Unable)?.description ?? "\(error)")
        }
    }
}

extension CheckpointReceipt.Consistency {
    /// What a checkpoint keeps that is not all that it could be, for people.
    fileprivate var meaning: String {
        switch self {
        case .application, .fileSystem: "the checkpoint is one of disks"
        case .memory: "the checkpoint keeps the memory with the disks"
        case .crash: "the checkpoint's disks are as after a power cut"
        }
    }
}
