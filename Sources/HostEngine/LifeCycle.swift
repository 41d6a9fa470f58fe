package import RoostAPI

/// Decides the life of one virtual machine: inputs in, effects out, nothing else.
///
/// ```
///            start                launched
///   off ───────────▶ starting ──────────────▶ running ◀──▶ paused
///    ▲                  │ failed                 │ stop, guest's own shutdown
///    ├──────────────────┴──────── stopping ◀─────┘
///    │                                │ QEMU ended unasked
///    └── start again ── crashed ◀─────┘ (from running, paused too)
/// ```
///
/// A save goes from running or paused through saving to saved, from which a start goes on; one that fails leads back.
///
/// The owner feeds one input at a time and carries out the effects in order; an effect that takes time reports back as a
/// further input. Every command is answered exactly once, by ``Effect/answer(_:_:)``.
package struct LifeCycle: Sendable {
    /// Names a command for its answer.
    package typealias CommandID = Int

    /// What somebody asks for.
    package enum Command: Sendable, Hashable {
        case start
        /// `turnOff` ends QEMU at once, else the guest is asked and given `timeoutSeconds`.
        case stop(turnOff: Bool, timeoutSeconds: Int)
        /// A stop followed by a start.
        case restart(turnOff: Bool, timeoutSeconds: Int)
        case pause
        case resume
        /// Write the memory to the disk, and end QEMU.
        case save

        /// Whether the machine is started in the end.
        fileprivate var starts: Bool {
            switch self {
            case .start, .restart: true
            case .stop, .pause, .resume, .save: false
            }
        }
    }

    /// What happens to the machine.
    package enum Input: Sendable {
        case command(CommandID, Command)
        /// The caller gave up: a start or restart ends as off, a graceful stop goes back to where it came from. Other
        /// commands end soon by themselves and are not given up.
        case cancel(CommandID)
        case launched
        case launchFailed(APIError)
        /// QEMU has ended.
        case ended(reason: String)
        /// The guest turned itself off; QEMU still exists.
        case guestTurnedOff
        /// QEMU reports that the processors stopped or run.
        case processorsStopped(reason: String?)
        case processorsRunning
        case graceElapsed
        /// A pause or resume was refused.
        case changeFailed(APIError)
        /// The saved state is complete, and QEMU is needed no more.
        case stateSaved(CommandID)
        /// There is no saved state; the processors are as they were before.
        case saveFailed(CommandID, APIError)
        /// An earlier roostd's machine was found again.
        case found(VirtualMachineState, reason: String?)
    }

    /// What the owner has to do.
    package enum Effect: Sendable, Hashable {
        case launch
        /// Ask the guest to turn itself off, again and again until it does.
        case requestShutdown
        case armGrace(seconds: Int)
        case disarmGrace
        /// End QEMU, by `quit` and then by signal; its end comes as an input.
        case kill
        case pauseProcessors
        case resumeProcessors
        /// Let the processors stand still and write the machine's state to the disk; its end comes as an input.
        case saveState(CommandID)
        /// Give that up.
        case cancelSave
        case answer(CommandID, APIError?)
        /// The state has changed: record it and tell everybody.
        case publish
    }

    package private(set) var state: VirtualMachineState
    /// Why the machine is crashed or paused.
    package private(set) var reason: String?
    /// The machine's name, for messages.
    package var name: String
    /// Why the machine's configuration cannot be used: it is shown as broken and starts no more, while a guest that an
    /// earlier roostd started can still be followed and ended.
    package private(set) var damage: String?
    /// The commands that wait for the state they asked for.
    private var waiting: [(id: CommandID, command: Command)] = []
    /// Whether QEMU is being ended on purpose, so that its end is no crash.
    package private(set) var isEndExpected = false
    /// Whether the guest had shut down when QEMU began to be ended.
    package private(set) var hasShutDown = false
    /// Whether the machine has a saved state, with which it is saved when it is not active; its owner knows.
    package private(set) var hasSavedState = false
    /// The command whose state is being written; an earlier one may still report its end.
    private var save: CommandID?
    /// Whether, and why, the processors stand still while the guest is asked to shut down.
    private var halt: Halt?
    private var effects: [Effect] = []

    private struct Halt {
        var reason: String?
    }

    /// A machine that is off as far as anybody knows.
    package init(name: String, damage: String? = nil) {
        state = .off
        self.name = name
        self.damage = damage
    }

    /// Notes that the configuration cannot be used any more; it stays so until roostd reads it anew.
    package mutating func note(damage reason: String) { damage = damage ?? reason }

    /// The state as users see it.
    package var shownState: VirtualMachineState { damage == nil ? state : .broken }

    /// The reason as users see it.
    package var shownReason: String? {
        guard let damage else { return reason }
        guard isActive else { return damage }
        let more = reason.map { ": \($0)" } ?? ""
        return "\(damage); its guest, started before, is \(state.rawValue)\(more): 'roost vm stop' ends it"
    }

    /// Whether QEMU exists or is being started.
    package var isActive: Bool {
        switch state {
        case .starting, .running, .paused, .stopping, .saving: true
        case .off, .crashed, .broken, .saved: false
        }
    }

    /// Takes an input and returns what is to be done, in order.
    package mutating func handle(_ input: Input) -> [Effect] {
        effects = []
        switch input {
        case .command(let id, let command): accept(id, command)
        case .cancel(let id): cancel(id)
        case .launched: launched()
        case .launchFailed(let error): launchFailed(error)
        case .ended(let reason): ended(reason)
        case .guestTurnedOff: guestTurnedOff()
        case .processorsStopped(let reason): processorsStopped(reason)
        case .processorsRunning: processorsRunning()
        case .graceElapsed: graceElapsed()
        case .changeFailed(let error): answerWaiting(error) { $0 == .pause || $0 == .resume }
        case .stateSaved(let id): stateSaved(id)
        case .saveFailed(let id, let error): saveFailed(id, error)
        case .found(let state, let reason): enter(state, reason: reason)
        }
        return effects
    }

    // MARK: - Commands

    private mutating func accept(_ id: CommandID, _ command: Command) {
        if let damage, !isActive || command.starts {
            let error = APIError(.corrupt, "the virtual machine \(name) is broken: repair or remove it", cause: damage)
            return effects.append(.answer(id, error))
        }
        switch command {
        case .start: acceptStart(id)
        case .stop(let turnOff, let seconds), .restart(let turnOff, let seconds):
            acceptStop(id, command, turnOff: turnOff, seconds: seconds)
        case .pause:
            guard state == .running else { return refuse(id, "is \(state.rawValue), not running") }
            waiting.append((id, command))
            effects.append(.pauseProcessors)
        case .resume:
            guard state == .paused else { return refuse(id, "is \(state.rawValue), not paused") }
            waiting.append((id, command))
            effects.append(.resumeProcessors)
        case .save:
            guard state == .running || state == .paused else {
                return refuse(id, "is \(state.rawValue): only a guest that runs or is paused can be saved")
            }
            guard !waiting.contains(where: { $0.command == .pause || $0.command == .resume }) else {
                return refuse(id, "is being paused or resumed: try again")
            }
            waiting.append((id, command))
            halt = state == .paused ? Halt(reason: reason) : nil
            enter(.saving, reason: nil)
            save = id
            effects.append(.saveState(id))
        }
    }

    private mutating func acceptStart(_ id: CommandID) {
        guard state == .off || state == .crashed || state == .saved else {
            return refuse(id, "is \(state.rawValue) already")
        }
        waiting.append((id, .start))
        launch()
    }

    private mutating func launch() {
        (isEndExpected, hasShutDown) = (false, false)
        enter(.starting, reason: nil)
        effects.append(.launch)
    }

    private mutating func acceptStop(_ id: CommandID, _ command: Command, turnOff: Bool, seconds: Int) {
        switch state {
        case .off, .crashed, .broken:
            if case .restart = command { return refuse(id, "is \(state.rawValue), so it cannot be restarted") }
            if state == .crashed {
                enter(.off, reason: nil)
                effects.append(.answer(id, nil))
            } else {
                refuse(id, "is off already")
            }
        case .saved:
            refuse(
                id,
                "has a saved state and is not running: start it, or give that up with 'roost vm discard-saved-state'"
            )
        case .saving where !turnOff:
            refuse(id, "is being saved: wait for it, or turn it off")
        case .starting where !turnOff:
            refuse(id, "is starting: wait for it, or turn it off")
        case .stopping where !turnOff:
            refuse(id, "is stopping already: wait for it, or turn it off")
        case .paused where !turnOff:
            refuse(id, "is paused, so its guest cannot be asked to shut down: resume it first, or turn it off")
        case .starting, .running, .paused, .stopping, .saving:
            if case .stop = command {
                // Who stops a machine does not want it to start again.
                let cancelled = APIError(.cancelled, "restarting \(name) was cancelled: it is being stopped")
                answerWaiting(cancelled) { if case .restart = $0 { true } else { false } }
            }
            waiting.append((id, command))
            if turnOff {
                kill()
            } else {
                halt = nil
                enter(.stopping, reason: nil)
                effects += [.requestShutdown, .armGrace(seconds: seconds)]
            }
        }
    }

    private mutating func kill() {
        isEndExpected = true
        enter(.stopping, reason: nil)
        effects += [.disarmGrace, .kill]
    }

    private mutating func cancel(_ id: CommandID) {
        guard let index = waiting.firstIndex(where: { $0.id == id }) else { return }
        switch waiting[index].command {
        case .start where state == .starting:
            // Answered when QEMU is gone, as cancelled.
            kill()
        case .restart where state == .starting:
            waiting[index].command = .start
            kill()
        case .save where state == .saving && !isEndExpected:
            effects.append(.cancelSave)
        case .restart where isEndExpected:
            // Past the stop: what is left of it is a start that does not happen.
            waiting[index].command = .start
        case .stop(false, _), .restart(false, _):
            // The guest was asked already and may go down all the same.
            waiting.remove(at: index)
            if !isEndExpected {
                effects.append(.disarmGrace)
                leaveStopping()
            }
            effects.append(
                .answer(id, APIError(.cancelled, "stopping \(name) was cancelled; the guest was asked already"))
            )
        default:
            break
        }
    }

    /// The guest did not shut down: the machine is again what its processors are.
    private mutating func leaveStopping() {
        if let halt { enter(.paused, reason: halt.reason) } else { enter(.running, reason: nil) }
    }

    // MARK: - Happenings

    private mutating func launched() {
        guard state == .starting else { return }
        enter(.running, reason: nil)
        answerWaiting(nil) { command in
            switch command {
            case .start, .restart: true
            default: false
            }
        }
    }

    private mutating func launchFailed(_ error: APIError) {
        if isEndExpected { return turnedOff() }
        guard state == .starting else { return }
        enter(hasSavedState ? .saved : .off, reason: nil)
        answerWaiting(error) { _ in true }
    }

    private mutating func stateSaved(_ id: CommandID) {
        guard state == .saving, save == id else { return }
        hasSavedState = true
        isEndExpected = true
        effects.append(.kill)
    }

    private mutating func saveFailed(_ id: CommandID, _ error: APIError) {
        if let index = waiting.firstIndex(where: { $0.id == id }) {
            waiting.remove(at: index)
            effects.append(.answer(id, error))
        }
        // Somebody may have turned it off meanwhile, and saved it again.
        if state == .saving, save == id { leaveStopping() }
    }

    private mutating func ended(_ reason: String) {
        guard isActive else { return }
        effects.append(.disarmGrace)
        if isEndExpected { return turnedOff() }
        enter(.crashed, reason: reason)
        answerWaiting(APIError(.engineFailure, "\(name) crashed: start it again", cause: reason)) { _ in true }
    }

    private mutating func guestTurnedOff() {
        guard isActive, state != .starting else { return }
        // One that is turned off by force meanwhile may have been anywhere.
        if !isEndExpected { hasShutDown = true }
        kill()
    }

    private mutating func turnedOff() {
        isEndExpected = false
        let restarts = waiting.contains { if case .restart = $0.command { true } else { false } }
        if restarts { launch() } else { enter(hasSavedState ? .saved : .off, reason: nil) }
        let isSaved = hasSavedState
        answerWaiting(nil) { command in
            switch command {
            case .stop: true
            case .save: isSaved
            default: false
            }
        }
        let cancelled = APIError(.cancelled, "\(name) was turned off meanwhile")
        answerWaiting(cancelled) { if case .restart = $0 { false } else { true } }
    }

    private mutating func processorsStopped(_ why: String?) {
        switch state {
        case .running, .paused: enter(.paused, reason: why)
        case .stopping: halt = Halt(reason: why)
        // Roost has stopped them, and lets them do again what they did before, unless there is a reason not to.
        case .saving: if let why { halt = Halt(reason: why) }
        default: return
        }
        answerWaiting(nil) { $0 == .pause }
    }

    private mutating func processorsRunning() {
        switch state {
        case .running, .paused: enter(.running, reason: nil)
        case .stopping: halt = nil
        default: return
        }
        answerWaiting(nil) { $0 == .resume }
    }

    private mutating func graceElapsed() {
        guard state == .stopping, !isEndExpected else { return }
        leaveStopping()
        let error = APIError(
            .timeout,
            state == .paused
                ? "\(name) was paused before its guest had shut down: resume it and try again, or turn it off"
                : "the guest of \(name) did not shut down in time and goes on running: try again, or turn it off"
        )
        answerWaiting(error) { command in
            switch command {
            case .stop, .restart: true
            default: false
            }
        }
    }

    /// Learns whether there is a saved state.
    package mutating func note(hasSavedState has: Bool) -> [Effect] {
        effects = []
        hasSavedState = has
        if state == .off, has { enter(.saved, reason: nil) }
        if state == .saved, !has { enter(.off, reason: nil) }
        return effects
    }

    // MARK: - Helpers

    private mutating func enter(_ next: VirtualMachineState, reason why: String?) {
        guard next != state || why != reason else { return }
        state = next
        reason = why
        effects.append(.publish)
    }

    private mutating func refuse(_ id: CommandID, _ why: String) {
        effects.append(.answer(id, APIError(.invalidState, "the virtual machine \(name) \(why)")))
    }

    private mutating func answerWaiting(_ error: APIError?, _ matches: (Command) -> Bool) {
        for item in waiting where matches(item.command) { effects.append(.answer(item.id, error)) }
        waiting.removeAll { matches($0.command) }
    }
}
