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
    /// Finds out what became of the machine while no roostd ran, and takes its QEMU over when there is one.
    ///
    /// Returns whether the guest ran when the host went down, so that an automatic start may follow.
    package func recover() async -> Bool {
        guard summary != nil else {
            await findQEMUOfBrokenMachine()
            updateRoster()
            return false
        }
        let (store, id) = (host.store, id)
        do {
            guard let stored = try await onDisk({ try store.runRecord(of: id) }) else {
                updateRoster()
                return false
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
        switch record.phase {
        case .off:
            guard record.isStoppedForHost, record.bootID != host.bootID else { return false }
            // Said once: what the user does from now on counts.
            var settled = record
            settled.isStoppedForHost = false
            write(settled)
            return true
        case .crashed:
            handle(.found(.crashed, reason: record.reason))
            return false
        case .starting, .running, .stopping:
            guard record.bootID == host.bootID else {
                let ran = record.phase == .running
                settle(.off, reason: nil)
                return ran
            }
            await takeOver()
            return false
        }
    }

    /// Looks for the QEMU of a machine whose configuration cannot be read: the guest goes on, and can be turned off.
    private func findQEMUOfBrokenMachine() async {
        let (store, id) = (host.store, id)
        // Without a record nothing is known; the reason of the broken configuration is shown in any case.
        guard let stored = try? await onDisk({ try store.runRecord(of: id) }), stored.processID > 0,
            stored.bootID == host.bootID, let bootID = ProcessIdentity.currentBootID(),
            let process = SpawnedProcess.find(
                ProcessIdentity(processID: stored.processID, startTicks: stored.startTicks, bootID: bootID)
            )
        else { return }
        processOfBroken = process
        let why = cycle.reason ?? "its configuration cannot be read"
        handle(
            .found(
                .broken,
                reason: "\(why); its QEMU (process \(stored.processID)) still runs: 'roost vm stop --turn-off' ends it"
            )
        )
    }

    /// Ends the QEMU of a machine whose configuration cannot be read.
    func endQEMUOfBrokenMachine(_ process: SpawnedProcess) async {
        process.signal(SIGKILL)
        _ = await process.end()
        processOfBroken = nil
        host.folder(id.uppercased).remove()
        handle(.found(.broken, reason: "its configuration cannot be read; its QEMU was turned off"))
    }

    private func takeOver() async {
        let folder = host.folder(id.uppercased)
        let identity = ProcessIdentity(
            processID: record.processID,
            startTicks: record.startTicks,
            // The record is of this run of the host; roostd may know the run by another name than the kernel.
            bootID: ProcessIdentity.currentBootID() ?? record.bootID
        )
        let known = record.processID > 0 ? SpawnedProcess.find(identity) : nil
        if record.processID > 0 && known == nil { return processIsGone(folder) }
        let (id, user) = (id, host.user)
        let find: @Sendable () -> SpawnedProcess? = {
            known ?? RunningMachine.findUnrecorded(folder: folder, uuid: id.lowercased, user: user)
        }
        do {
            try await resume(
                try await RunningMachine.connect(
                    to: find,
                    folder: folder,
                    group: host.group,
                    // A QEMU that was just being started may still have work to do before it answers.
                    deadline: record.phase == .starting ? host.launchDeadline : .seconds(5)
                )
            )
        } catch {
            guard let process = find() else { return processIsGone(folder) }
            host.log.error("QEMU does not answer", metadata: ["machine": "\(name)", "error": "\(error)"])
            machine?.disconnect()
            machine = nil
            attach(orphan: process)
            handle(
                .found(
                    .paused,
                    reason: "its QEMU (process \(process.identity.processID)) does not answer: turn it off to end it"
                )
            )
        }
    }

    private func resume(_ machine: RunningMachine) async throws {
        var running = record
        running.phase = record.phase == .starting ? .running : record.phase
        running.processID = machine.process.identity.processID
        running.startTicks = machine.process.identity.startTicks
        do {
            if running != record { try await writeDurably(running) }
            var status = try await machine.monitor.execute(QMPCommands.QueryStatus())
            if status.state.rawValue == "prelaunch" {
                // The start was cut off before the guest ran: finish it.
                try await machine.monitor.execute(QMPCommands.Continue())
                status = try await machine.monitor.execute(QMPCommands.QueryStatus())
            }
            // Without a readable configuration the defaults hold: every service is offered.
            services = (try? await load().integrationServices) ?? [:]
            let isOpen = await agentIsOpen(machine)
            // No await from here on: what happens to QEMU waits in its events until the state is known.
            attach(machine)
            isAgentOpen = isOpen
            found(status)
        } catch {
            machine.disconnect()
            throw error
        }
        await noteStarted()
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
