import HostEngine
import RoostAPI
import Testing

/// Random commands, cancellations and happenings against a world with one QEMU and one guest.
@Suite struct LifeCycleModelTests {
    @Test(arguments: 0..<40)
    func everyRandomSequenceKeepsTheRulesAndSettles(block: Int) throws {
        for seed in block * 100..<(block + 1) * 100 {
            var world = LifeCycleWorld(seed: UInt64(seed))
            for _ in 0..<60 { world.step() }
            world.settle()
            if !world.violations.isEmpty {
                let history = world.history.joined(separator: "\n")
                Issue.record("seed \(seed): \(world.violations.joined(separator: "; "))\n\(history)")
                return
            }
        }
    }
}

/// Numbers that follow from a seed (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// What surrounds a life cycle: carries out its effects, lets things happen, and notes each broken rule.
private struct LifeCycleWorld {
    private enum Engine { case none, launching, up }
    private enum Event { case stopped(String?), running, guestOff }

    private var generator: SeededGenerator
    private var cycle = LifeCycle(name: "web")
    private var engine = Engine.none
    private var processorsRun = false
    private var events: [Event] = []
    private var isEndUnderway = false
    private var isGraceArmed = false
    private var isGuestAsked = false
    private var changes: [Bool] = []
    /// The saves that have not reported their end, and whether the processors ran before.
    private var saves: [(id: Int, ran: Bool)] = []
    private var open: [Int: LifeCycle.Command] = [:]
    private var answered: Set<Int> = []
    private var nextCommand = 1
    private(set) var violations: [String] = []
    private(set) var history: [String] = []

    init(seed: UInt64) { generator = SeededGenerator(state: seed) }

    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &generator) < percent }

    private mutating func expect(_ holds: Bool, _ rule: String) {
        if !holds { violations.append(rule) }
    }

    // MARK: - Steps

    mutating func step() {
        switch Int.random(in: 0..<13, using: &generator) {
        case 12: saveEnds(succeeds: chance(60))
        case 0...2: command(randomCommand())
        case 3: cancel()
        case 4: launchEnds(succeeds: chance(75))
        case 5...6: deliverEvent()
        case 7: guestActs()
        case 8: if isEndUnderway { processEnds() }
        case 9: if chance(30) && engine == .up { processEnds() }
        case 10:
            // One that was disarmed when QEMU began to end may have been on its way.
            if isGraceArmed && chance(40) { elapse() } else if isEndUnderway { feed(.graceElapsed) }
        default: changeEnds(succeeds: chance(85))
        }
    }

    /// Lets everything that is under way come to its end, and then turns the machine off.
    mutating func settle() {
        for _ in 0..<200 {
            if engine == .launching {
                launchEnds(succeeds: true)
            } else if !saves.isEmpty {
                saveEnds(succeeds: true)
            } else if !changes.isEmpty {
                changeEnds(succeeds: true)
            } else if !events.isEmpty {
                deliverEvent()
            } else if isEndUnderway {
                processEnds()
            } else if isGraceArmed {
                elapse()
            }
        }
        expect(open.isEmpty, "unanswered after all has settled: \(open)")
        switch cycle.state {
        case .running: expect(engine == .up && processorsRun, "running, but the guest is not")
        case .paused: expect(engine == .up && !processorsRun, "paused, but the guest is not")
        case .off, .crashed, .saved: expect(engine == .none, "\(cycle.state), but QEMU exists")
        default: expect(false, "settled in \(cycle.state)")
        }
        if cycle.state == .saved { note(hasSavedState: false) }
        command(.stop(turnOff: true, timeoutSeconds: 0))
        if isEndUnderway { processEnds() }
        expect(open.isEmpty && cycle.state == .off && engine == .none, "not off in the end")
    }

    private mutating func randomCommand() -> LifeCycle.Command {
        switch Int.random(in: 0..<9, using: &generator) {
        case 8: .save
        case 0...1: .start
        case 2: .stop(turnOff: false, timeoutSeconds: 30)
        case 3: .stop(turnOff: true, timeoutSeconds: 0)
        case 4: .restart(turnOff: false, timeoutSeconds: 30)
        case 5: .restart(turnOff: true, timeoutSeconds: 0)
        case 6: .pause
        default: .resume
        }
    }

    private mutating func command(_ command: LifeCycle.Command) {
        let id = nextCommand
        nextCommand += 1
        open[id] = command
        feed(.command(id, command))
    }

    private mutating func cancel() {
        guard let id = open.keys.sorted().randomElement(using: &generator), let command = open[id] else { return }
        feed(.cancel(id))
        if case .stop(false, _) = command { expect(open[id] == nil, "a given-up graceful stop still waits") }
    }

    private mutating func launchEnds(succeeds: Bool) {
        guard engine == .launching else { return }
        // A kill that comes too late for the launch finds QEMU up: its end is then an end like any other.
        if succeeds {
            engine = .up
            processorsRun = true
            events = []
            feed(.launched)
            if cycle.hasSavedState { note(hasSavedState: false) }
        } else {
            engine = .none
            isEndUnderway = false
            let wasStarting = cycle.state == .starting
            feed(.launchFailed(APIError(.engineFailure, "cannot start web")))
            let wanted: VirtualMachineState = cycle.hasSavedState ? .saved : .off
            if wasStarting { expect(cycle.state == wanted, "a failed launch left \(cycle.state)") }
        }
    }

    private mutating func deliverEvent() {
        guard engine == .up, !events.isEmpty else { return }
        switch events.removeFirst() {
        case .stopped(let reason): feed(.processorsStopped(reason: reason))
        case .running: feed(.processorsRunning)
        case .guestOff: feed(.guestTurnedOff)
        }
    }

    private mutating func guestActs() {
        guard engine == .up, processorsRun else { return }
        if isGuestAsked && chance(60) || chance(10) {
            processorsRun = false
            events += [.guestOff, .stopped(nil)]
        } else if chance(20) {
            processorsRun = false
            events.append(.stopped("the host's disk is full"))
        }
    }

    private mutating func processEnds() {
        engine = .none
        processorsRun = false
        events = []
        changes = []
        let wasWanted = isEndUnderway
        let wantsRestart = open.values.contains { if case .restart = $0 { true } else { false } }
        isEndUnderway = false
        feed(.ended(reason: "QEMU ended"))
        if wasWanted {
            let wanted: VirtualMachineState = cycle.hasSavedState ? .saved : .off
            expect(
                cycle.state == wanted || cycle.state == .starting && wantsRestart,
                "a wanted end left \(cycle.state)"
            )
        } else {
            expect(cycle.state == .crashed, "an unasked end left \(cycle.state)")
        }
    }

    /// The state is complete, or nothing comes of it: the processors do then what they did before.
    private mutating func saveEnds(succeeds: Bool) {
        guard !saves.isEmpty else { return }
        let (id, ran) = saves.removeFirst()
        let isCurrent = saves.isEmpty && engine == .up && !isEndUnderway
        // Whoever writes it looks whether it is still wanted.
        if succeeds, isCurrent, cycle.state == .saving { return feed(.stateSaved(id)) }
        if ran, isCurrent, cycle.state == .saving {
            processorsRun = true
            events.append(.running)
        }
        feed(.saveFailed(id, APIError(.engineFailure, "cannot save web")))
    }

    private mutating func note(hasSavedState: Bool) {
        let before = cycle.state
        for effect in cycle.note(hasSavedState: hasSavedState) { carryOut(effect) }
        history.append("saved state \(hasSavedState) in \(before) -> \(cycle.state)")
        checkState()
    }

    private mutating func elapse() {
        isGraceArmed = false
        isGuestAsked = false
        feed(.graceElapsed)
        expect(cycle.state != .stopping, "still stopping when the grace has elapsed")
    }

    private mutating func changeEnds(succeeds: Bool) {
        guard engine == .up, !changes.isEmpty else { return }
        let runs = changes.removeFirst()
        guard succeeds else { return feed(.changeFailed(APIError(.engineFailure, "refused"))) }
        guard runs != processorsRun else { return }
        processorsRun = runs
        events.append(runs ? .running : .stopped(nil))
    }

    // MARK: - Effects

    private mutating func feed(_ input: LifeCycle.Input) {
        let before = cycle.state
        let effects = cycle.handle(input)
        history.append("\(input) in \(before): \(effects) -> \(cycle.state)")
        for effect in effects { carryOut(effect) }
        checkState()
        if before != cycle.state { expect(effects.contains(.publish), "a change to \(cycle.state) was not published") }
    }

    private mutating func carryOut(_ effect: LifeCycle.Effect) {
        switch effect {
        case .launch:
            expect(engine == .none, "a launch while a QEMU exists")
            engine = .launching
            changes = []
        case .kill:
            expect(engine != .none, "a kill without a QEMU")
            isEndUnderway = true
        case .armGrace:
            expect(!isGraceArmed && engine == .up, "a grace for nobody")
            isGraceArmed = true
        case .requestShutdown: isGuestAsked = true
        case .disarmGrace:
            isGraceArmed = false
            isGuestAsked = false
        case .saveState(let id):
            expect(engine == .up, "a save of nothing")
            saves.append((id, processorsRun))
            if processorsRun { events.append(.stopped(nil)) }
            processorsRun = false
        case .cancelSave: expect(!saves.isEmpty, "nothing to be given up")
        case .pauseProcessors: changes.append(false)
        case .resumeProcessors: changes.append(true)
        case .answer(let id, let error): answer(id, error)
        case .publish: break
        }
    }

    private mutating func answer(_ id: Int, _ error: APIError?) {
        expect(answered.insert(id).inserted, "command \(id) was answered twice")
        guard let command = open.removeValue(forKey: id) else { return }
        guard error == nil else {
            return expect(
                error?.message.contains("web") == true || error?.message == "refused",
                "an answer without subject: \(error?.message ?? "")"
            )
        }
        let state = cycle.state
        switch command {
        case .start: expect(state == .running, "a start succeeded in \(state)")
        case .restart: expect(state == .running, "a restart succeeded in \(state)")
        case .stop: expect(state == .off || state == .starting || state == .saved, "a stop succeeded in \(state)")
        case .save: expect(state == .saved || state == .starting, "a save succeeded in \(state)")
        case .pause: expect(state == .paused || state == .stopping, "a pause succeeded in \(state)")
        case .resume: expect(state == .running || state == .stopping, "a resume succeeded in \(state)")
        }
    }

    private mutating func checkState() {
        switch cycle.state {
        case .saving: expect(engine == .up && (!saves.isEmpty || isEndUnderway), "saving, and nothing is written")
        case .off, .crashed, .saved:
            expect(engine == .none, "\(cycle.state) while a QEMU exists")
            expect(open.isEmpty, "\(cycle.state) while commands wait: \(open)")
        case .starting: expect(engine == .launching, "starting without a launch")
        case .running, .paused: expect(engine == .up && !isGraceArmed, "\(cycle.state) without a QEMU, or with a grace")
        case .stopping:
            expect(isGraceArmed || isEndUnderway, "stopping, but nothing will end it")
            expect(cycle.isEndExpected == isEndUnderway, "an end is under way and not expected, or the reverse")
        case .broken: expect(false, "broken by itself")
        }
    }
}
