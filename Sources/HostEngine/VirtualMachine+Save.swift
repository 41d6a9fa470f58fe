import ConfigStore
import Logging
import QEMUDriver
import QMP
package import RoostAPI
import RoostPrimitives
import VMConfiguration

/// Saved states: the memory of a guest on the disk, from which a start goes on.
///
/// The file is complete or has another name. When it is complete the machine is saved, whatever became of its QEMU and of
/// roostd; from the moment in which the guest goes on it counts no more, since its disks do not fit it any longer.
extension VirtualMachine {
    /// Whether it has a saved state and no QEMU.
    package var isSaved: Bool { cycle.state == .saved }

    /// Writes the memory of the guest to the disk and ends QEMU; a start goes on from there.
    package func save(_ reporter: JobCenter.Reporter) async throws {
        saveProgress = { await reporter.progress($0) }
        defer { saveProgress = nil }
        try await perform(.save)
    }

    /// Starts the machine; from its saved state when it has one, unless that is given up.
    package func start(_ request: StartVirtualMachineRequest, _ reporter: JobCenter.Reporter) async throws {
        try await startAheadOfMerges { try await begin(request, reporter) }
    }

    private func begin(_ request: StartVirtualMachineRequest, _ reporter: JobCenter.Reporter) async throws {
        if request.discardSavedState == true, cycle.state == .saved { try await discardSavedState() }
        if request.acceptChangedDisks == true { try await acceptChangedDisks(reporter) }
        guard cycle.state == .saved else { return try await perform(.start) }
        saveProgress = { await reporter.progress($0) }
        defer { saveProgress = nil }
        try await perform(.start)
    }

    /// Takes disk files that others have changed below this machine's as they are.
    private func acceptChangedDisks(_ reporter: JobCenter.Reporter) async throws {
        let (changed, id) = try await gate.run {
            try requireUsable("start")
            try requireEnded("accept changed disks of")
            try requireDisksAtRest("start")
            try await settleCheckpoints()
            let configuration = try await load()
            if cycle.state == .saved, try await host.keeper.changedBelow(configuration) != nil {
                throw APIError(
                    .invalidState,
                    "cannot start \(name) from its saved state beside a disk that was changed; add --discard-saved-state, which "
                        + "starts it without, as after a power cut"
                )
            }
            return (try await host.keeper.acceptChanges(around: configuration), self.id)
        }
        for disk in changed { await reporter.warn("taken as it is: \(disk.sentence(for: id))") }
    }

    /// Writes the state and leaves the processors still; when this throws they do what they did before.
    func writeState() async throws {
        let progress = saveProgress
        try await gate.run {
            try requireDisksAtRest("save")
            guard let machine, cycle.state == .saving else { throw CancellationError() }
            if let reason = await migrationBlocker(machine) {
                throw APIError(.unsupported, "cannot save \(name)", cause: reason)
            }
            let path = host.directory.savedState(id)
            var info = await stateInfo(try await load(), machine)
            do {
                try await standStill(machine)
                info.wasRunning = record.standstill == .running
                let sink = try await onDisk { try SavedStateSink(path) }
                try await machine.sendState(as: host.user, onProgress: { await progress?($0) }) { try sink.append($0) }
                try await noteSavedDisks()
                try await onDisk { [info] in try sink.finish(info) }
                // Turned off, or ended, while the disk was writing: nobody waits for this state any more.
                guard cycle.state == .saving else { throw CancellationError() }
            } catch {
                try await giveUpSave(machine)
                throw error
            }
        }
    }

    /// Lets the guest go on after a save that failed, once there is surely no file that could be taken for its state.
    private func giveUpSave(_ machine: RunningMachine) async throws {
        do {
            try await deleteSavedState()
        } catch {
            handle(
                .processorsStopped(
                    reason: "its saved state is of no use and cannot be deleted: mend the disk, then resume "
                        + "(\(APIError(translating: error)))"
                )
            )
            if record.standstill == .running { keepTryingToGoOn(machine) }
            throw error
        }
        guard self.machine?.process.identity == machine.process.identity, !cycle.isEndExpected else { return }
        // What goes wrong here is shown as the reason why the guest is paused.
        _ = try? await leaveStandstill(machine)
    }

    /// What the memory of the guest that runs is of.
    func stateInfo(_ configuration: VirtualMachineConfiguration, _ machine: RunningMachine) async -> SavedStateInfo {
        var info = SavedStateInfo(machine: id, created: secondsSinceEpoch())
        info.qemuVersion = record.qemuVersion
        info.machineType = record.machineType
        info.accelerator = record.accelerator
        info.processorModel = record.processorModel
        info.missingFeatures = await machine.missingProcessorFeatures()
        info.memoryMiB = UInt64(clamping: configuration.memory.startup)
        info.processors = configuration.processors.count
        return info
    }

    /// Gives a saved state up: the next start is as after a power cut.
    package func discardSavedState() async throws {
        try await gate.run {
            try requireUsable("discard the saved state of")
            guard cycle.state == .saved else {
                throw APIError(.invalidState, "\(name) is \(cycle.state.rawValue) and has no saved state")
            }
            try await deleteSavedState()
            note(hasSavedState: false)
        }
    }

    /// Deletes what there is of a saved state.
    func deleteSavedState() async throws {
        await resumedStateRemoval?.value
        // Otherwise its file would be missed.
        try await forgetSavedDisks()
        let (directory, id) = (host.directory, id)
        try await onDisk {
            let path = directory.savedState(id)
            for file in [path, SavedStateWriter.temporary(path), directory.resumedState(id)] {
                try FileAccess.remove(file)
            }
        }
    }

    /// Refuses what a saved state would not fit any more.
    func requireNoSavedState(_ what: String) throws {
        if cycle.state == .saving {
            throw APIError(.invalidState, "cannot \(what) \(name) while it is saved: wait until that is done")
        }
        guard cycle.state == .saved else { return }
        throw APIError(
            .invalidState,
            "cannot \(what) \(name), which has a saved state: start it first, or give that up with 'roost vm "
                + "discard-saved-state \(name)'"
        )
    }

    /// What the head of the saved state says; nil for a machine that is not saved.
    func savedStateSummary() async throws -> SavedStateSummary? {
        guard cycle.state == .saved else { return nil }
        let path = host.directory.savedState(id)
        return try await onDisk {
            var summary = SavedStateSummary(path: path)
            guard let status = fileStatus(path) else {
                summary.problem = "the file is gone"
                return summary
            }
            summary.sizeBytes = status.size
            do throws(StoreError) {
                let info = try SavedStateReader(path).info
                summary.created = timestamp(info.created)
                (summary.qemuVersion, summary.accelerator) = (info.qemuVersion, info.accelerator)
            } catch {
                summary.problem = error.cause ?? error.message
            }
            return summary
        }
    }

    // MARK: - Going on

    /// Learns whether there is a saved state.
    func note(hasSavedState: Bool) {
        for effect in cycle.note(hasSavedState: hasSavedState) { carryOut(effect) }
    }

    /// Learns what a start that failed has left of the saved state.
    func noteSavedStateLeft() {
        let isThere = fileExists(host.directory.savedState(id))
        // One that is gone without having been used may come back; only its user gives it up.
        note(hasSavedState: isThere || cycle.hasSavedState && !fileExists(host.directory.resumedState(id)))
    }

    /// The guest goes on from its saved state.
    func wentOn() {
        let isPaused = record.standstill == .paused
        note(hasSavedState: false)
        isClockBehind = true
        if isPaused { handle(.processorsStopped(reason: nil)) }
        var next = record
        next.standstill = .none
        next.savedDisks = []
        write(next)
        setClockIfBehind()
    }

    /// Lets the guest's agent set the clock, which stood still while the guest was saved.
    func setClockIfBehind() {
        guard isClockBehind, let machine, services[.timeSynchronization] ?? true else { return }
        Task {
            let now = GuestAgentCommands.SetTime(nanoseconds: secondsSinceEpoch() * 1_000_000_000)
            do {
                try await machine.agent.execute(now, deadline: .seconds(5))
            } catch let error as QMPError where error.code == .refused {
                // It may not; or it has set the time and has no program to write the hardware's clock.
                host.log.debug("the guest's clock", metadata: ["machine": "\(name)", "error": "\(error)"])
            } catch {
                // Tried again when the agent opens its end.
                return
            }
            isClockBehind = false
        }
    }

    /// Opens the saved state, when there is one and this host can go on from it.
    func openSavedState(
        _ configuration: VirtualMachineConfiguration,
        _ preparation: LaunchPreparation
    ) async throws -> SavedStateSource? {
        let path = host.directory.savedState(id)
        guard fileExists(path) else {
            guard cycle.hasSavedState else { return nil }
            throw APIError(
                .notFound,
                "cannot start \(name) from its saved state, which is gone; \(Self.coldStart(name))"
            )
        }
        guard cycle.hasSavedState else {
            // Of a save that nobody waited for: the disks may be others by now.
            host.log.warning("a saved state that belongs to nothing is deleted", metadata: ["machine": "\(name)"])
            try await deleteSavedState()
            return nil
        }
        let source: SavedStateSource
        do {
            source = try await onDisk { try SavedStateSource(path) }
        } catch {
            throw savedStateProblem(error)
        }
        let fit = SavedStateFit(
            machine: id,
            machineType: preparation.machineType,
            processorModel: preparation.processorModel,
            accelerator: host.verdict.accelerator.rawValue,
            memoryMiB: UInt64(clamping: configuration.memory.startup),
            processors: configuration.processors.count,
            qemu: host.installation.version
        )
        if let problem = fit.problem(with: source.info) { throw unfit(problem) }
        if let changed = try await changedSavedDisk() {
            throw unfit("the disk \(changed) as it was, and another machine or program has changed it since")
        }
        return source
    }

    private func unfit(_ what: String) -> APIError {
        APIError(
            .unsupported,
            "cannot start \(name) from its saved state, which needs \(what); \(Self.coldStart(name))"
        )
    }

    /// An error with a saved state, with what can be done.
    func savedStateProblem(_ error: any Error) -> any Error {
        guard let error = error as? StoreError, error.code == .corrupt else { return error }
        return APIError(
            .corrupt,
            "cannot start \(name) from its saved state; \(Self.coldStart(name))",
            cause: error.description
        )
    }

    static func coldStart(_ name: String) -> String {
        "'roost vm start \(name) --discard-saved-state' starts it without, as after a power cut"
    }

    /// Gives QEMU the saved state; behind that the file counts no more, since the disks are about to change.
    func goOn(from feed: StateFeed, _ info: SavedStateInfo, _ machine: RunningMachine) async throws {
        let progress = saveProgress
        let lacking = SavedStateFit.lacking(info, await machine.missingProcessorFeatures())
        if !lacking.isEmpty {
            throw unfit("the processor features \(lacking.joined(separator: ", ")), which this host lacks")
        }
        do {
            try await machine.takeState(from: feed) { await progress?($0) }
        } catch {
            throw savedStateProblem(error)
        }
        let (from, to) = (host.directory.savedState(id), host.directory.resumedState(id))
        await resumedStateRemoval?.value
        do {
            try await onDisk {
                // The memory of a checkpoint has several names, and a file that has both is renamed by doing nothing.
                try FileAccess.remove(to)
                try FileAccess.rename(from, to: to)
            }
        } catch {
            // QEMU has not run: the memory is as good as before.
            _ = try? await keepSavedState()
            throw error
        }
    }
}
