import ConfigStore
import Logging
import QEMUDriver
import QMP
import RoostAPI
import RoostPrimitives
import VMConfiguration

/// Moments in which the guest's processors stand still for Roost, and nobody is told that they are paused.
extension VirtualMachine {
    /// Runs something while the processors stand still; they run again afterwards when they ran before.
    ///
    /// A roostd that is killed in between leaves a note by which the next one lets them run. They do not run while the
    /// configuration names other files than QEMU uses: the machine is shown as paused then, and a resume tries again.
    ///
    /// - Returns: how long they stood still at the most.
    func atStandstill(
        _ body: @escaping @Sendable (CheckpointKeeper.Machine) async throws -> Void
    ) async throws -> Duration {
        try await gate.run { try await holdStill(body) }
    }

    /// The same within the gate.
    func holdStill(
        _ body: @escaping @Sendable (CheckpointKeeper.Machine) async throws -> Void
    ) async throws -> Duration {
        try await processorGate.run {
            guard let machine else { throw APIError(.invalidState, "\(name) has ended meanwhile") }
            var failure: (any Error)?
            let begun = ContinuousClock.now
            do {
                try await standStill(machine, hidden: true)
                try await body(kept)
            } catch {
                failure = error
            }
            let isRunning = (try? await machine.monitor.execute(QMPCommands.QueryStatus()).isRunning) ?? false
            let end = ContinuousClock.now
            _ = try await leaveStandstill(machine)
            if let failure { throw failure }
            return (isRunning ? end : .now) - begun
        }
    }

    /// Finishes what a roostd that was killed has left; returns whether the processors run behind that.
    func finishStandstill(_ machine: RunningMachine) async throws -> Bool {
        try await gate.run { try await processorGate.run { try await leaveStandstill(machine) } }
    }

    /// The longest that QEMU may need to write out what its disks hold before the processors have stopped.
    static var stopDeadline: Duration { .seconds(600) }

    /// Lets the processors stand still, with a note of what they did before.
    ///
    /// - Parameter hidden: whether nobody is told.
    func standStill(_ machine: RunningMachine, hidden: Bool = false) async throws {
        let isRunning = try await machine.monitor.execute(QMPCommands.QueryStatus()).isRunning
        var next = record
        next.standstill = isRunning ? .running : .paused
        try await writeDurably(next)
        guard isRunning else { return }
        if hidden { hiddenStops += 1 }
        do {
            try await machine.monitor.execute(QMPCommands.Stop(), deadline: Self.stopDeadline)
        } catch {
            hiddenStops = 0
            throw error
        }
        guard try await machine.monitor.execute(QMPCommands.QueryStatus()).state.rawValue != "paused" else { return }
        // The guest was faster: it met an error, and is not to run again by itself.
        hiddenStops = 0
        next.standstill = .paused
        try await writeDurably(next)
        handle(.processorsStopped(reason: blockError))
    }

    /// Returns whether the processors have been let go.
    func leaveStandstill(_ machine: RunningMachine) async throws -> Bool {
        guard self.machine?.process.identity == machine.process.identity, !cycle.isEndExpected else {
            throw APIError(.invalidState, "\(name) has ended meanwhile")
        }
        let resumes = record.standstill == .running
        do {
            // From here on no memory that was written of it fits its disks.
            if fileExists(host.directory.savedState(id)) { try await deleteSavedState() }
            try await host.keeper.followQEMU(kept)
            if !resumes { try await takeDisksAgain(machine) }
            if resumes, !(try await machine.monitor.execute(QMPCommands.QueryStatus()).isRunning) {
                if cycle.state != .paused && cycle.state != .saving { hiddenResumes += 1 }
                try await machine.monitor.execute(QMPCommands.Continue())
            }
        } catch {
            hiddenResumes = 0
            handle(
                .processorsStopped(
                    reason:
                        "its guest was to stand still for a moment only, and cannot go on: mend what the error says, then "
                        + "resume (\(APIError(translating: error)))"
                )
            )
            if resumes { keepTryingToGoOn(machine) }
            throw error
        }
        var next = record
        next.standstill = .none
        next.savedDisks = []
        // At worst the next roostd finds a guest that runs already.
        _ = try? await writeDurably(next)
        return resumes
    }

    /// Tries again and again, ever more seldom, to let the processors of a guest go on that was to stand still for a moment.
    func keepTryingToGoOn(_ machine: RunningMachine) {
        guard standstillTask == nil else { return }
        standstillTask = Task {
            var pause = Duration.seconds(2)
            while (try? await Task.sleep(for: pause)) != nil, record.standstill == .running, cycle.state == .paused,
                self.machine?.process.identity == machine.process.identity
            {
                if (try? await finishStandstill(machine)) != nil { break }
                pause = min(pause * 2, .seconds(60))
            }
            standstillTask = nil
        }
    }

    /// Lets a QEMU that has sent its state have its disks again, which it takes only when the guest runs.
    private func takeDisksAgain(_ machine: RunningMachine) async throws {
        guard try await machine.monitor.execute(QMPCommands.QueryStatus()).state.rawValue == "postmigrate" else {
            return
        }
        // It is paused before and behind: neither is told.
        hiddenResumes += 1
        hiddenStops += 1
        try await machine.monitor.execute(QMPCommands.Continue())
        try await machine.monitor.execute(QMPCommands.Stop(), deadline: Self.stopDeadline)
    }

    // MARK: - Disks of a saved machine

    /// Notes what the disks are like that the memory on the disk fits.
    func noteSavedDisks() async throws {
        let configuration = try await load()
        let paths = configuration.drives.filter { $0.kind == .hardDisk }.compactMap(\.path)
        var next = record
        next.savedDisks = try await onDisk {
            try paths.filter(isRegularFile).map { try CheckpointKeeper.disk($0, .qcow2) }
        }
        try await writeDurably(next)
    }

    /// Forgets what was noted of the disks.
    func forgetSavedDisks() async throws {
        guard !record.savedDisks.isEmpty else { return }
        var next = record
        next.savedDisks = []
        try await writeDurably(next)
    }

    /// A disk that somebody else has changed since the memory was written; nil when there is none, as far as is known.
    func changedSavedDisk() async throws -> String? {
        let noted = record.savedDisks
        return try await onDisk { noted.first { !$0.isAsKnown(fileStatus($0.path)) }?.path }
    }

    /// Runs something of Roost's own that changes files of a saved machine and not what they hold.
    func keepingSavedDisks(_ body: () async throws -> Void) async throws {
        guard cycle.hasSavedState, !record.savedDisks.isEmpty, try await changedSavedDisk() == nil else {
            return try await body()
        }
        // Unknown while it is under way: a cut says nothing of others.
        try await forgetSavedDisks()
        var failure: (any Error)?
        do { try await body() } catch { failure = error }
        if cycle.hasSavedState { try await noteSavedDisks() }
        if let failure { throw failure }
    }
}
