import ConfigStore
import Logging
import QEMUDriver
import QMP
import RoostAPI

/// Moments in which the guest's processors stand still for Roost, and nobody is told that they are paused.
extension VirtualMachine {
    /// Runs something while the processors stand still; they run again afterwards when they ran before.
    ///
    /// A roostd that is killed in between leaves a note by which the next one lets them run. They do not run while the
    /// configuration names other files than QEMU uses: the machine is shown as paused then, and a resume tries again.
    func atStandstill(_ body: @escaping @Sendable (CheckpointKeeper.Machine) async throws -> Void) async throws {
        try await gate.run { try await holdStill(body) }
    }

    /// The same within the gate.
    func holdStill(_ body: @escaping @Sendable (CheckpointKeeper.Machine) async throws -> Void) async throws {
        try await processorGate.run {
            guard let machine else { throw APIError(.invalidState, "\(name) has ended meanwhile") }
            var failure: (any Error)?
            do {
                try await standStill(machine, hidden: true)
                try await body(kept)
            } catch {
                failure = error
            }
            _ = try await leaveStandstill(machine)
            if let failure { throw failure }
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
            try await host.keeper.followQEMU(kept)
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
            throw error
        }
        var next = record
        next.standstill = .none
        // At worst the next roostd finds a guest that runs already.
        _ = try? await writeDurably(next)
        return resumes
    }
}
