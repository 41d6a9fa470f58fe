package import ConfigStore
import Logging
import QEMUDriver
import QMP
import RoostAPI
package import RoostPrimitives
import VMConfiguration

/// Owns one virtual machine: every change of its life goes through ``handle(_:)``, one at a time and in order.
///
/// ``LifeCycle`` decides; this actor carries out what it decides and reports back. `handle` never suspends, so inputs are
/// dealt with in the order in which they arrive; whatever takes time runs beside it and comes back as an input.
package actor VirtualMachine {
    package nonisolated let id: GUID
    /// The path of the configuration; an upgrade may give it another one.
    package internal(set) var path: String
    nonisolated let host: HostContext
    /// One change of the configuration at a time.
    nonisolated let gate = SerialGate()
    /// One change of whether the processors run at a time; taken within ``gate`` where both are.
    nonisolated let processorGate = SerialGate()
    /// One call of the store at a time.
    ///
    /// Reading repairs what is damaged, so it must not meet a change half done. Taken
    /// within ``gate`` where both are, and held for nothing but the call.
    nonisolated let fileGate = SerialGate()

    var cycle: LifeCycle
    var summary: ConfigurationSummary?
    var machine: RunningMachine?
    /// A QEMU that exists but does not answer; all that can be done with it is to end it.
    var orphan: SpawnedProcess?
    var record = RunRecord(phase: .off)
    /// Whether the guest agent has opened its end of the channel.
    var isAgentOpen = false
    /// The last block error, for the reason of a pause.
    var blockError: String?
    /// What was last read from the UEFI variable store.
    var knownVariables: KnownVariables?
    /// Set once the machine is deleted: nothing starts any more.
    var isRemoved = false
    var launching: LaunchControl?
    /// The integration services that the configuration offers.
    var services: [IntegrationService: Bool] = [:]
    /// Whether the machine is being stopped because the host goes down.
    var isStoppingForHost = false

    private var watch: ProcessWatch?
    private var eventTask: Task<Void, Never>?
    private var graceTask: Task<Void, Never>?
    private var requestTask: Task<Void, Never>?
    private var reachTask: Task<Void, Never>?
    private var answers: [LifeCycle.CommandID: CheckedContinuation<Void, any Error>] = [:]
    private var nextCommand = 0
    private var lastRecordWrite: Task<Void, Never>?
    /// Whether a checkpoint is being applied or removed, which may take long.
    var isBusyWithDisks = false
    /// How many look at what its checkpoints keep, beside everything else.
    var checkpointReaders = 0
    /// Whether disk files were left alone for one of them.
    var isMergePutOff = false
    /// Tries to let a guest go on.
    var standstillTask: Task<Void, Never>?
    /// Takes how far a save, or the start behind one, has come.
    var saveProgress: (@Sendable (Double) async -> Void)?
    private var saveTask: Task<Void, Never>?
    /// Deletes the state from which the guest went on last.
    var resumedStateRemoval: Task<Void, Never>?
    /// Whether the guest's clock stood still while it was saved.
    var isClockBehind = false
    /// The merge of disk files beside a guest that runs.
    var mergeWork: Task<Void, any Error>?
    /// The merge of disk files while the machine is off.
    var idleMerge: Task<Void, any Error>?
    /// Whether that merge makes room for a start.
    var isIdleMergeCutOff = false
    /// Starts for which merges make room.
    let startsAhead = Tally()
    /// The stops and resumes that Roost makes for a moment and that nobody is told of.
    var hiddenStops = 0
    var hiddenResumes = 0
    private var settleTask: Task<Void, Never>?
    /// When the files come to rest, unless something changes before.
    private var settleTime = ContinuousClock.now

    /// A machine whose configuration can be read, or cannot.
    package init(_ stored: StoredMachine, host: HostContext) {
        self.host = host
        switch stored {
        case .readable(let summary, let path):
            id = summary.id
            self.path = path
            self.summary = summary
            cycle = LifeCycle(name: summary.name)
        case .broken(let id, let path, let reason):
            self.id = id
            self.path = path
            cycle = LifeCycle(name: id.uppercased, damage: reason.description)
        }
    }

    /// The name, for messages and events.
    package var name: String { summary?.name ?? id.uppercased }

    /// Whether its configuration cannot be used.
    package var isBroken: Bool { cycle.damage != nil }

    /// Whether QEMU exists or is being started.
    package var isActive: Bool { cycle.isActive }

    /// Carries out a command and waits until the machine is in the state asked for.
    ///
    /// A cancelled task gives a start or a graceful stop up, as ``LifeCycle`` says.
    package func perform(_ command: LifeCycle.Command) async throws {
        if isRemoved { throw APIError(.notFound, "the virtual machine \(name) has been removed") }
        if isBusyWithDisks, command == .start {
            if idleMerge != nil { return try await startAheadOfMerges { try await carryOut(command) } }
            // The merge beside a guest that has ended is about to end as well.
            if mergeWork == nil {
                throw APIError(
                    .busy,
                    "cannot start \(name) while a checkpoint is applied: wait for that job ('roost job list')"
                )
            }
        }
        switch command {
        case .pause:
            try await processorGate.run { try await carryOut(command) }
        case .resume:
            // What is left of a merge comes first.
            if let machine, record.standstill != .none, cycle.state == .paused, try await finishStandstill(machine) {
                return
            }
            try await processorGate.run { try await carryOut(command) }
        case .start, .stop, .restart, .save: try await carryOut(command)
        }
    }

    private func carryOut(_ command: LifeCycle.Command) async throws {
        nextCommand += 1
        let id = nextCommand
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                answers[id] = continuation
                handle(.command(id, command))
            }
        } onCancel: {
            Task { await self.handle(.cancel(id)) }
        }
    }

    /// Takes what happened and does what follows from it; never suspends.
    func handle(_ input: LifeCycle.Input) {
        for effect in cycle.handle(input) { carryOut(effect) }
    }

    func carryOut(_ effect: LifeCycle.Effect) {
        switch effect {
        case .launch: beginLaunch()
        case .requestShutdown: requestTask = Task { await self.requestShutdown() }
        case .armGrace(let seconds): armGrace(seconds)
        case .disarmGrace:
            graceTask?.cancel()
            requestTask?.cancel()
        case .kill: beginKill()
        case .pauseProcessors: change { try await $0.execute(QMPCommands.Stop()) }
        case .resumeProcessors: change { try await $0.execute(QMPCommands.Continue()) }
        case .saveState(let id):
            saveTask = Task {
                do {
                    try await writeState()
                    handle(.stateSaved(id))
                } catch {
                    handle(.saveFailed(id, APIError(translating: error)))
                }
            }
        case .cancelSave: saveTask?.cancel()
        case .answer(let id, let error):
            guard let answer = answers.removeValue(forKey: id) else { return }
            // What is answered is durable: a roostd that is killed right after does not contradict it.
            let recorded = lastRecordWrite
            Task {
                await recorded?.value
                if let error { answer.resume(throwing: error) } else { answer.resume() }
            }
        case .publish: publish()
        }
    }

    /// Shows the state in the list, and tells of it.
    func publish() {
        updateRoster()
        if cycle.state == .off && record.phase == .crashed { acknowledgeCrash() }
        host.events.publish(
            "vm.state",
            virtualMachine: id,
            subject: name,
            state: cycle.shownState,
            message: "\(name) is \(cycle.shownState.rawValue)" + (cycle.shownReason.map { ": \($0)" } ?? "")
        )
        host.log.info(
            "virtual machine state",
            metadata: ["machine": "\(name)", "state": "\(cycle.state.rawValue)"]
        )
    }

    private func armGrace(_ seconds: Int) {
        graceTask = Task {
            try? await Task.sleep(for: .seconds(seconds))
            // Asked here, on the actor: a task that had slept enough may have been disarmed before it came to run.
            guard !Task.isCancelled else { return }
            requestTask?.cancel()
            handle(.graceElapsed)
        }
    }

    private func change(_ action: @escaping @Sendable (MonitorConnection) async throws -> Void) {
        guard let monitor = machine?.monitor else {
            return handle(.changeFailed(APIError(.invalidState, "\(name) has no QEMU")))
        }
        Task {
            do {
                try await action(monitor)
            } catch {
                handle(.changeFailed(APIError(translating: error)))
            }
        }
    }

    // MARK: - QEMU's life

    private func beginLaunch() {
        let control = LaunchControl()
        launching = control
        Task {
            // One beside the guest before ends soon.
            _ = await mergeWork?.result
            do {
                // Within the gate: what QEMU gets is the configuration as it stays until the machine runs.
                try await gate.run {
                    let machine = try await launch(control)
                    launching = nil
                    attach(machine)
                    handle(.launched)
                    if cycle.hasSavedState { wentOn() }
                }
            } catch {
                launching = nil
                var ended = record
                ended.phase = .off
                ended.isStartPending = false
                ended.isStoppedForHost = isStoppingForHost
                ended.standstill = .none
                write(ended)
                noteSavedStateLeft()
                host.folder(id.uppercased).remove(keepingLog: true)
                handle(.launchFailed(APIError(translating: error)))
                await keepVariables()
            }
        }
    }

    /// Takes over a QEMU: follows its process and its events.
    ///
    /// Tell the life cycle of it before anything else is awaited, or what happens meanwhile is lost.
    func attach(_ machine: RunningMachine) {
        self.machine = machine
        (hiddenStops, hiddenResumes) = (0, 0)
        orphan = nil
        isAgentOpen = false
        blockError = nil
        follow(machine.process)
        eventTask = Task {
            for await event in machine.monitor.events {
                // An event of a QEMU that has ended must not reach its successor.
                guard !Task.isCancelled else { return }
                self.monitorReported(event)
            }
        }
    }

    private func follow(_ process: SpawnedProcess) {
        watch = ProcessWatch(process) { end in
            Task { await self.processEnded(end) }
        }
    }

    /// Keeps an eye on a QEMU that does not answer.
    func attach(orphan process: SpawnedProcess) {
        orphan = process
        follow(process)
    }

    /// Tries again and again, ever more seldom, to reach a QEMU that does not answer, until it does or has ended.
    func keepReaching(_ connect: @escaping @Sendable () async throws -> RunningMachine) {
        reachTask = Task {
            var pause = Duration.seconds(5)
            while (try? await Task.sleep(for: pause)) != nil, orphan != nil {
                if let found = try? await connect(), (try? await resume(found, replacingOrphan: true)) != nil { return }
                pause = min(pause * 2, .seconds(60))
            }
        }
    }

    private func monitorReported(_ event: QMPEvent) {
        switch event.kind {
        case .shutdown(let isGuestInitiated, _):
            if isGuestInitiated { handle(.guestTurnedOff) }
        case .stop:
            if hiddenStops > 0 { hiddenStops -= 1 } else { handle(.processorsStopped(reason: blockError)) }
        case .resume:
            if hiddenResumes > 0 { return hiddenResumes -= 1 }
            blockError = nil
            handle(.processorsRunning)
        case .blockIOError(let error):
            if error.action == "stop" {
                blockError =
                    error.isOutOfSpace
                    ? "the host's disk is full: free space, then resume"
                    : "\(error.operation) error on \(error.device): \(error.reason)"
            }
        case .guestPanicked: blockError = "the guest's kernel panicked"
        case .serialPortChange("agent0", let isOpen):
            isAgentOpen = isOpen
            if isOpen { setClockIfBehind() }
        default: break
        }
    }

    private func processEnded(_ end: ProcessEnd) {
        guard machine != nil || orphan != nil else { return }
        let folder = host.folder(id.uppercased)
        let words = folder.lastWords().map { ": \($0)" } ?? ""
        let reason = "QEMU ended with \(end)\(words)"
        watch = nil
        eventTask?.cancel()
        reachTask?.cancel()
        machine?.disconnect()
        machine = nil
        orphan = nil
        isAgentOpen = false
        mergeWork?.cancel()
        let isExpected = cycle.isEndExpected
        var ended = record
        ended.isStoppedForHost = isExpected && (isStoppingForHost || record.isStoppedForHost)
        ended.phase = isExpected ? .off : .crashed
        ended.reason = isExpected ? "" : reason
        ended.isAtRest = isExpected && record.isAtRest
        ended.standstill = .none
        write(ended)
        folder.remove(keepingLog: !isExpected)
        Task { await keepVariables() }
        handle(.ended(reason: reason))
    }

    private func beginKill() {
        if let launching {
            launching.cancel()
            return
        }
        guard let process = machine?.process ?? orphan else { return }
        let monitor = machine?.monitor
        var stopping = record
        stopping.phase = .stopping
        stopping.isAtRest = cycle.hasShutDown
        // An earlier roostd may have begun to stop it for the host.
        stopping.isStoppedForHost = isStoppingForHost || (record.phase == .stopping && record.isStoppedForHost)
        write(stopping)
        Task {
            await lastRecordWrite?.value
            await Self.end(process, monitor)
        }
    }

    /// Ends QEMU: by `quit`, and by SIGKILL when it does not end within five seconds or has no monitor.
    private static func end(_ process: SpawnedProcess, _ monitor: MonitorConnection?) async {
        guard let monitor else {
            process.signal(9)
            return
        }
        Task {
            // A refusal is no matter: the signal follows.
            _ = try? await monitor.execute(QMPCommands.Quit(), deadline: .seconds(5))
        }
        let killer = Task {
            guard (try? await Task.sleep(for: .seconds(5))) != nil else { return }
            process.signal(9)
        }
        _ = await process.end()
        killer.cancel()
    }

    /// Asks the guest to shut down, through its agent and through its power button, until it does.
    private func requestShutdown() async {
        guard let machine else { return }
        while !Task.isCancelled {
            var isAccepted = false
            if isAgentOpen && services[.shutdown] ?? true {
                do {
                    try await machine.agent.execute(GuestAgentCommands.Shutdown(), deadline: .seconds(3))
                    isAccepted = true
                } catch {
                    host.log.debug("guest agent did not take the shutdown", metadata: ["machine": "\(name)"])
                }
            }
            if Task.isCancelled { return }
            if !isAccepted {
                // A refusal means that QEMU is going down already.
                _ = try? await machine.monitor.execute(QMPCommands.SystemPowerdown())
            }
            // A guest that is still booting loses the button's press, so it is pressed again.
            guard (try? await Task.sleep(for: .seconds(isAccepted ? 15 : 3))) != nil else { return }
        }
    }

    // MARK: - The run record

    /// Notes that the owner knows of the crash, so that the next roostd does not report it again.
    private func acknowledgeCrash() {
        var off = record
        off.phase = .off
        off.reason = ""
        write(off)
    }

    /// Writes the record behind all earlier writes.
    func write(_ next: RunRecord) {
        _ = enqueue(next)
    }

    /// Writes the record behind all earlier writes and waits until it is durable.
    func writeDurably(_ next: RunRecord) async throws {
        try await enqueue(next).value
    }

    /// Waits until no write is under way.
    func finishRecordWrites() async { await lastRecordWrite?.value }

    private func enqueue(_ next: RunRecord) -> Task<Void, any Error> {
        record = next
        scheduleSettling()
        let previous = lastRecordWrite
        let (store, id) = (host.store, id)
        let version = Int(summary?.version.rawValue ?? 0)
        let write = Task {
            await previous?.value
            try await fileGate.run { try await onDisk { try store.save(next, of: id, version: version) } }
        }
        lastRecordWrite = Task {
            do {
                try await write.value
            } catch {
                host.log.error("cannot write the run record", metadata: ["machine": "\(name)", "error": "\(error)"])
            }
        }
        return write
    }

    // MARK: - Files at rest

    /// Empties the replay logs of the machine's files once it has been left alone for half a minute, so that other
    /// programs find files at rest.
    func scheduleSettling() {
        settleTime = .now + .seconds(30)
        // One that sleeps already looks at the time when it wakes up.
        guard settleTask == nil else { return }
        settleTask = Task {
            while settleTime > .now {
                guard (try? await Task.sleep(until: settleTime)) != nil else { return }
            }
            await settle()
        }
    }

    /// Brings the files to rest now, when that is still to be done.
    package func settleIfDue() async {
        // A start takes long; its files come to rest after the next roostd's first look at them.
        if settleTask != nil && cycle.state != .starting { await settle() }
    }

    /// Empties the replay logs of the machine's files.
    private func settle() async {
        settleTask?.cancel()
        settleTask = nil
        await finishRecordWrites()
        await fileGate.run {
            guard !isRemoved, cycle.damage == nil else { return }
            let (store, id, path) = (host.store, id, path)
            // Nothing is lost when it fails: the logs are replayed by whoever opens the files next.
            _ = try? await onDisk {
                try store.settle(path: path)
                try store.settleRunRecord(of: id)
            }
        }
    }
}
