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
            updateRoster()
            return false
        }
        let path = host.directory.runRecord(id)
        do {
            guard let stored = try await onDisk({ try RunRecord.load(path) }) else {
                updateRoster()
                return false
            }
            record = stored
        } catch {
            // The next start writes a new record; the damaged one is kept beside it.
            host.log.error("cannot read the run record", metadata: ["machine": "\(name)", "error": "\(error)"])
            handle(.found(.off, reason: "its run record was damaged: \(error)"))
            updateRoster()
            return false
        }
        defer { updateRoster() }
        switch record.phase {
        case .off:
            return false
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

    private func takeOver() async {
        let folder = host.folder(id.uppercased)
        let identity = ProcessIdentity(
            processID: record.processID, startTicks: record.startTicks, bootID: record.bootID)
        let known = record.processID > 0 ? SpawnedProcess.find(identity) : nil
        if record.processID > 0 && known == nil { return processIsGone(folder) }
        do {
            // The greeting says that there is a QEMU; only then is it looked for.
            let placeholder = known ?? SpawnedProcess(identity: identity, pidfd: OwnedDescriptor(dup(0)))
            var machine = try await RunningMachine.connect(
                to: placeholder, folder: folder, group: host.group, deadline: .seconds(5))
            guard
                let process = known
                    ?? RunningMachine.findUnrecorded(folder: folder, uuid: id.lowercased, user: host.user)
            else {
                machine.disconnect()
                return processIsGone(folder)
            }
            machine.process = process
            try await resume(machine)
        } catch {
            if let known {
                // It exists but does not answer: the user decides, as only the user knows what it is worth.
                host.log.error("QEMU does not answer", metadata: ["machine": "\(name)", "error": "\(error)"])
                silentProcess = known
                let process = known.identity.processID
                handle(
                    .found(
                        .broken,
                        reason: "its QEMU (process \(process)) does not answer; 'roost vm stop --turn-off' ends it"))
            } else {
                processIsGone(folder)
            }
        }
    }

    private func resume(_ machine: RunningMachine) async throws {
        let status = try await machine.monitor.execute(QMPCommands.QueryStatus())
        var running = record
        running.phase = record.phase == .starting ? .running : record.phase
        running.processID = machine.process.identity.processID
        running.startTicks = machine.process.identity.startTicks
        if running != record { try await writeDurably(running) }
        // Without a readable configuration the defaults hold: every service is offered.
        services = (try? await load().integrationServices) ?? [:]
        attach(machine)
        isAgentOpen = await agentIsOpen(machine)
        switch status.state.rawValue {
        case "prelaunch":
            // The start was cut off before the guest ran: finish it.
            try await machine.monitor.execute(QMPCommands.Continue())
            handle(.found(.running, reason: nil))
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

    /// Ends a QEMU that does not answer.
    func endSilentProcess(_ process: SpawnedProcess) async {
        process.signal(SIGKILL)
        _ = await process.end()
        silentProcess = nil
        host.folder(id.uppercased).remove()
        settle(.off, reason: nil)
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
