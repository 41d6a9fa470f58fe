import ConfigStore
import Logging
import QEMUDriver
import QMP
package import RoostAPI
import RoostPrimitives
import Synchronization
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

extension VirtualMachine {
    /// Gives the file its name again: QEMU has refused to let the guest run, so that it has not changed anything.
    func keepSavedState() async throws {
        let (from, to) = (host.directory.resumedState(id), host.directory.savedState(id))
        try await onDisk { if fileExists(from) { try FileAccess.rename(from, to: to) } }
    }

    /// Deletes the file from which the guest has gone on; nobody waits for the tenth of a second that a GiB takes.
    func finishGoingOn() {
        let path = host.directory.resumedState(id)
        resumedStateRemoval = Task {
            // At worst it takes room until the next save.
            _ = try? await onDisk { try FileAccess.remove(path) }
        }
    }

    /// Finds a complete saved state at roostd's start, and ends a QEMU that has not gone on from it; what a save or a start
    /// that was cut off has left otherwise goes.
    func recoverSavedState() async -> Bool {
        let (directory, id) = (host.directory, id)
        let path = directory.savedState(id)
        let isUsed = fileExists(directory.resumedState(id))
        // What is left of a cut is no state any more.
        _ = try? await onDisk {
            for file in [SavedStateWriter.temporary(path), directory.resumedState(id)] { try FileAccess.remove(file) }
        }
        guard fileExists(path) else { return recoverMissingSavedState(isUsed: isUsed) }
        // Whoever saves a guest, or lets it go on, says so first. This one ran without, and has written to its disks since.
        if [.running, .stopping].contains(record.phase), record.standstill == .none {
            host.log.warning("a saved state that belongs to nothing is deleted", metadata: ["machine": "\(name)"])
            _ = try? await deleteSavedState()
            return false
        }
        if let process = leftQEMU() {
            process.signal(9)
            _ = await process.end()
        }
        host.folder(id.uppercased).remove(keepingLog: true)
        if record.phase != .off || record.standstill != .none {
            var off = record
            off.phase = .off
            off.standstill = .none
            write(off)
        }
        note(hasSavedState: true)
        return true
    }
}

extension VirtualMachine {
    /// Finds at roostd's start that the machine is saved and its file is gone: its start is refused until that is back, or
    /// given up.
    private func recoverMissingSavedState(isUsed: Bool) -> Bool {
        guard !record.savedDisks.isEmpty else { return false }
        guard !isUsed, record.phase == .off, record.standstill == .none else {
            var next = record
            next.savedDisks = []
            write(next)
            return false
        }
        host.log.error(
            "a saved state is gone",
            metadata: ["machine": "\(name)", "file": "\(host.directory.savedState(id))"]
        )
        note(hasSavedState: true)
        return true
    }
}

/// Takes a stream into a saved state; for any thread, one call at a time.
final class SavedStateSink: Sendable {
    // SAFETY: used while `turn` is held and nowhere else.
    nonisolated(unsafe) private let writer: SavedStateWriter
    private let turn = Mutex(0)
    private let path: String
    /// What is left to everybody else on the file system, in bytes.
    private static let reserve: UInt64 = 128 << 20

    init(_ path: String) throws {
        self.path = path
        writer = try SavedStateWriter(path)
    }

    func append(_ bytes: [UInt8]) throws {
        try turn.withLock { count in
            // The disks of other guests are on the same file system, as a rule.
            if count / (32 << 20) != (count + bytes.count) / (32 << 20),
                freeSpace(at: FileAccess.folder(of: path)) < Self.reserve
            {
                throw APIError(.insufficientResources, "the host's disk is too full to keep the memory in \(path)")
            }
            count += bytes.count
            try writer.append(bytes)
        }
    }
    func finish(_ info: SavedStateInfo) throws { try turn.withLock { _ in try writer.finish(info) } }
}

/// Gives a saved state piece by piece; for any thread, one call at a time.
final class SavedStateSource: Sendable {
    let info: SavedStateInfo
    private let reader: Mutex<SavedStateReader>

    init(_ path: String) throws {
        let opened = try SavedStateReader(path)
        info = opened.info
        reader = Mutex(opened)
    }

    func next() throws -> [UInt8]? { try reader.withLock { try $0.next() } }
}
