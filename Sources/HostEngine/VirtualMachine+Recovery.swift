import ConfigStore
import Logging
import QEMUDriver
import QMP
import RoostAPI
import RoostPrimitives
import VMConfiguration

#if canImport(Glibc)
    import Glibc
#endif

extension VirtualMachine {
    /// What became of a machine while no roostd ran, as far as automatic starts go.
    package enum Recovery: Sendable {
        /// It is off, or runs and has been taken over.
        case settled
        /// It ran when the host went down.
        case ran
        /// It was about to start by itself in this run of the host.
        case startPending
    }

    /// Finds out what became of the machine while no roostd ran, and takes its QEMU over when there is one.
    ///
    package func recover() async -> Recovery {
        let (store, id) = (host.store, id)
        do {
            guard let stored = try await fileGate.run({ try await onDisk { try store.runRecord(of: id) } }) else {
                _ = await recoverSavedState()
                updateRoster()
                return .settled
            }
            record = stored
        } catch {
            // Its QEMU may run all the same: it is looked for as after a start that was cut off. Whatever is found is
            // recorded anew, and the damaged file is kept beside it.
            host.log.error("cannot read the run record", metadata: ["machine": "\(name)", "error": "\(error)"])
            record = RunRecord(phase: .starting)
            record.bootID = host.bootID
        }
        defer { updateRoster() }
        let recovery = recoveryOfSaved
        if await recoverSavedState() { return recovery }
        switch record.phase {
        case .off:
            let isSameRun = record.bootID == host.bootID
            if record.isStartPending { return isSameRun ? .startPending : .ran }
            return record.isStoppedForHost && !isSameRun ? .ran : .settled
        case .crashed:
            handle(.found(.crashed, reason: record.reason))
            return .settled
        case .starting, .running, .stopping:
            guard record.bootID == host.bootID else {
                let ran = record.phase != .stopping || record.isStoppedForHost
                if !ran { settle(.off, reason: nil) }
                return ran ? .ran : .settled
            }
            await takeOver()
            // A start by itself that was cut off before QEMU existed is still to be done.
            return record.phase == .off && record.isStartPending ? .startPending : .settled
        }
    }

    /// What the record says of a machine that turns out to have a saved state.
    private var recoveryOfSaved: Recovery {
        let isSameRun = record.bootID == host.bootID
        if record.isStartPending { return isSameRun ? .startPending : .ran }
        if isSameRun { return .settled }
        let ended = record.phase == .off || record.phase == .crashed || record.phase == .stopping
        return !ended || record.isStoppedForHost ? .ran : .settled
    }

    /// Whether the machine is to start by itself, as its automatic start action says.
    func isDueToStart(_ recovery: Recovery, isHostStart: Bool) -> Bool {
        guard let summary, !cycle.isActive else { return false }
        if recovery == .startPending { return true }
        switch summary.automaticStartAction {
        case .nothing: return false
        case .startIfRunning: return isHostStart && recovery == .ran
        case .alwaysStart: return isHostStart
        }
    }

    /// Whether the machine is off and still to start by itself.
    var isStartPending: Bool { record.isStartPending && !cycle.isActive && !isRemoved }

    /// Notes, in one step with the end of the last run, whether the machine is now to start by itself: a roostd that ends
    /// at any moment forgets no start, and what the user does from now on counts.
    func setStartPending(_ isPending: Bool) async {
        guard !isRemoved, !cycle.isActive else { return }
        var next = record
        if next.phase != .crashed { next.phase = .off }
        next.isStartPending = isPending
        next.isStoppedForHost = false
        next.bootID = host.bootID
        guard next != record else { return }
        // A failure is logged where it happens; the start is tried all the same.
        _ = try? await writeDurably(next)
    }

    /// The QEMU that the record names, when it still runs.
    private func recordedQEMU() -> SpawnedProcess? {
        let identity = ProcessIdentity(
            processID: record.processID,
            startTicks: record.startTicks,
            // The record is of this run of the host; roostd may know the run by another name than the kernel.
            bootID: ProcessIdentity.currentBootID() ?? record.bootID
        )
        return record.processID > 0 ? SpawnedProcess.find(identity) : nil
    }

    /// The QEMU that an earlier roostd has left, whether it is recorded or not.
    func leftQEMU() -> SpawnedProcess? {
        guard record.bootID == host.bootID else { return nil }
        return recordedQEMU()
            ?? RunningMachine.findUnrecorded(folder: host.folder(id.uppercased), uuid: id.lowercased, user: host.user)
    }

    private func takeOver() async {
        let folder = host.folder(id.uppercased)
        let known = recordedQEMU()
        if record.processID > 0 && known == nil { return processIsGone(folder) }
        let (id, user) = (id, host.user)
        let find: @Sendable () -> SpawnedProcess? = {
            known ?? RunningMachine.findUnrecorded(folder: folder, uuid: id.lowercased, user: user)
        }
        let (group, longest) = (host.group, host.launchDeadline)
        // A QEMU that was just being started may still have work to do before it answers.
        let deadline = record.phase == .starting ? longest : .seconds(5)
        do {
            try await resume(
                try await RunningMachine.connect(to: find, folder: folder, group: group, deadline: deadline)
            )
        } catch {
            guard let process = find() else { return processIsGone(folder) }
            host.log.error("QEMU does not answer", metadata: ["machine": "\(name)", "error": "\(error)"])
            attach(orphan: process)
            handle(
                .found(
                    .paused,
                    reason: "its QEMU (process \(process.identity.processID)) does not answer: Roost goes on trying to "
                        + "reach it; turning it off ends it"
                )
            )
            keepReaching {
                try await RunningMachine.connect(to: { process }, folder: folder, group: group, deadline: longest)
            }
        }
    }

    /// Takes over a QEMU that answers; when this throws, the connections are closed.
    ///
    /// - Parameter replacingOrphan: whether it was known as one that does not answer, and may have been turned off since.
    func resume(_ machine: RunningMachine, replacingOrphan: Bool = false) async throws {
        var running = record
        running.phase = record.phase == .starting ? .running : record.phase
        running.processID = machine.process.identity.processID
        running.startTicks = machine.process.identity.startTicks
        do {
            if running != record { try await writeDurably(running) }
            do {
                try await gate.run { try await noteStarted() }
            } catch {
                host.log.error("cannot note the first start", metadata: ["machine": "\(name)", "error": "\(error)"])
            }
            var status = try await machine.monitor.execute(QMPCommands.QueryStatus())
            if status.state.rawValue == "prelaunch" {
                // The start was cut off before the guest ran: finish it.
                try await machine.monitor.execute(QMPCommands.Continue())
                status = try await machine.monitor.execute(QMPCommands.QueryStatus())
            }
            // Without a readable configuration the defaults hold: every service is offered.
            services = (try? await load().integrationServices) ?? [:]
            let isOpen = await agentIsOpen(machine)
            guard !replacingOrphan || orphan != nil && cycle.state == .paused else { throw CancellationError() }
            // No await from here on: what happens to QEMU waits in its events until the state is known.
            attach(machine)
            isAgentOpen = isOpen
            found(status)
            guard record.standstill != .none, record.phase != .stopping else { return }
            do {
                _ = try await finishStandstill(machine)
            } catch {
                // It stays paused, and its reason says why.
                host.log.error("cannot finish a merge of disks", metadata: ["machine": "\(name)", "error": "\(error)"])
            }
        } catch {
            machine.disconnect()
            throw error
        }
    }

    private func found(_ status: QMPCommands.QueryStatus.Response) {
        switch status.state.rawValue {
        case "shutdown":
            handle(.found(.running, reason: nil))
            handle(.guestTurnedOff)
        case _ where status.isRunning:
            handle(.found(.running, reason: nil))
        case "io-error":
            handle(.found(.paused, reason: "an I/O error stopped the guest: free space or mend the disk, then resume"))
        case "guest-panicked":
            handle(.found(.paused, reason: "the guest's kernel panicked"))
        default:
            handle(.found(.paused, reason: nil))
        }
        if record.phase == .stopping {
            // An earlier roostd was told to turn it off and did not get to the end.
            handle(.guestTurnedOff)
        }
    }

    private func agentIsOpen(_ machine: RunningMachine) async -> Bool {
        // Without an answer the agent counts as silent; it reports itself when it opens its end.
        let devices = try? await machine.monitor.execute(QMPCommands.QueryChardev())
        return devices?.first { $0.label == "agent" }?.isFrontendOpen ?? false
    }

    private func processIsGone(_ folder: MachineFolder) {
        if record.phase == .running {
            let words = folder.lastWords().map { ": \($0)" } ?? ""
            settle(.crashed, reason: "QEMU ended while roostd was not running\(words)")
        } else {
            folder.remove()
            settle(.off, reason: nil)
        }
    }

    private func settle(_ state: VirtualMachineState, reason: String?) {
        var next = record
        next.phase = state == .crashed ? .crashed : .off
        next.reason = reason ?? ""
        write(next)
        handle(.found(state, reason: reason))
    }
}
