import HostEngine
import RoostAPI
import Testing

@Suite struct LifeCycleTests {
    private static let failure = APIError(.engineFailure, "QEMU refused")
    private static let gracefulStop = LifeCycle.Command.stop(turnOff: false, timeoutSeconds: 30)
    private static let turnOff = LifeCycle.Command.stop(turnOff: true, timeoutSeconds: 0)

    /// A machine in a state, reached through inputs.
    private func machine(_ state: VirtualMachineState) -> LifeCycle {
        var cycle = LifeCycle(name: "web", damage: state == .broken ? "damaged header" : nil)
        switch state {
        case .off, .broken: return cycle
        case .crashed: _ = cycle.handle(.found(.crashed, reason: "signal 9"))
        case .starting: _ = cycle.handle(.command(100, .start))
        case .running: _ = cycle.handle(.found(.running, reason: nil))
        case .paused: _ = cycle.handle(.found(.paused, reason: nil))
        case .stopping:
            _ = cycle.handle(.found(.running, reason: nil))
            _ = cycle.handle(.command(100, Self.gracefulStop))
        case .saving:
            _ = cycle.handle(.found(.running, reason: nil))
            _ = cycle.handle(.command(100, .save))
        case .saved: _ = cycle.note(hasSavedState: true)
        }
        return cycle
    }

    @Test func saveEndsQEMUOnlyWhenTheStateIsCompleteAndAFailedOneGoesBack() {
        var cycle = machine(.running)
        #expect(cycle.handle(.command(1, .save)) == [.publish, .saveState(1)])
        #expect(cycle.state == .saving && cycle.isActive)
        #expect(cycle.handle(.stateSaved(1)) == [.kill])
        #expect(cycle.handle(.ended(reason: "quit")).contains(.answer(1, nil)))
        #expect(cycle.state == .saved && !cycle.isActive)
        for command in [Self.turnOff, .pause, .save] {
            #expect(answers(cycle.handle(.command(2, command)))[2]??.code == .invalidState)
        }
        #expect(cycle.handle(.command(3, .start)) == [.publish, .launch])
        #expect(cycle.handle(.launchFailed(Self.failure)).contains(.answer(3, Self.failure)))
        #expect(cycle.state == .saved)
        #expect(cycle.note(hasSavedState: false) == [.publish] && cycle.state == .off)

        for state in [VirtualMachineState.running, .paused] {
            cycle = machine(state)
            _ = cycle.handle(.command(1, .save))
            #expect(cycle.handle(.cancel(1)) == [.cancelSave])
            #expect(answers(cycle.handle(.saveFailed(1, Self.failure)))[1] == .some(Self.failure))
            #expect(cycle.state == state)
        }
        // A guest that cannot go on is shown as what it is.
        cycle = machine(.saving)
        _ = cycle.handle(.processorsStopped(reason: nil))
        _ = cycle.handle(.processorsStopped(reason: "the disk"))
        _ = cycle.handle(.saveFailed(100, Self.failure))
        #expect(cycle.state == .paused && cycle.reason == "the disk")
        // One thing after the other: neither would be answered otherwise.
        cycle = machine(.running)
        _ = cycle.handle(.command(1, .pause))
        #expect(answers(cycle.handle(.command(2, .save)))[2]??.code == .invalidState)
        // Turned off in the middle: what is written counts no more.
        cycle = machine(.saving)
        #expect(cycle.handle(.command(1, Self.turnOff)).contains(.kill))
        #expect(cycle.handle(.stateSaved(100)).isEmpty)
        #expect(answers(cycle.handle(.saveFailed(100, Self.failure)))[100] == .some(Self.failure))
        #expect(answers(cycle.handle(.ended(reason: "quit")))[1] == .some(nil) && cycle.state == .off)
    }

    private func answers(_ effects: [LifeCycle.Effect]) -> [Int: APIError?] {
        var result: [Int: APIError?] = [:]
        for case .answer(let id, let error) in effects { result[id] = .some(error) }
        return result
    }

    @Test(arguments: [VirtualMachineState.off, .crashed])
    func startLaunchesAndAnswersWhenTheGuestRuns(from state: VirtualMachineState) {
        var cycle = machine(state)
        #expect(cycle.handle(.command(1, .start)) == [.publish, .launch])
        #expect(cycle.state == .starting)
        #expect(cycle.handle(.launched) == [.publish, .answer(1, nil)])
        #expect(cycle.state == .running)
    }

    @Test func onlyAGuestThatWentDownByItselfHasShutDown() {
        var cycle = machine(.running)
        _ = cycle.handle(.guestTurnedOff)
        _ = cycle.handle(.ended(reason: "QEMU ended"))
        #expect(cycle.state == .off && cycle.hasShutDown)
        // The next run has not.
        _ = cycle.handle(.command(1, .start))
        #expect(!cycle.hasShutDown)
        _ = cycle.handle(.launched)
        _ = cycle.handle(.command(2, Self.turnOff))
        _ = cycle.handle(.guestTurnedOff)
        _ = cycle.handle(.ended(reason: "QEMU ended"))
        #expect(cycle.state == .off && !cycle.hasShutDown)
        cycle = machine(.stopping)
        _ = cycle.handle(.guestTurnedOff)
        #expect(cycle.hasShutDown)
    }

    @Test func failedLaunchIsAnsweredWithItsErrorAndLeavesTheMachineOff() {
        var cycle = machine(.off)
        _ = cycle.handle(.command(1, .start))
        #expect(cycle.handle(.launchFailed(Self.failure)) == [.publish, .answer(1, Self.failure)])
        #expect(cycle.state == .off)
    }

    @Test(arguments: [
        (VirtualMachineState.starting, LifeCycle.Command.start, "the virtual machine web is starting already"),
        (.running, .start, "the virtual machine web is running already"),
        (.off, gracefulStop, "the virtual machine web is off already"),
        (
            .off, .restart(turnOff: false, timeoutSeconds: 1),
            "the virtual machine web is off, so it cannot be restarted"
        ),
        (.starting, gracefulStop, "the virtual machine web is starting: wait for it, or turn it off"),
        (.stopping, gracefulStop, "the virtual machine web is stopping already: wait for it, or turn it off"),
        (
            .paused, gracefulStop,
            "the virtual machine web is paused, so its guest cannot be asked to shut down: resume it first, or turn it off"
        ),
        (.paused, .pause, "the virtual machine web is paused, not running"),
        (.running, .resume, "the virtual machine web is running, not paused"),
    ])
    func refusalNamesSubjectStateAndRemedy(
        state: VirtualMachineState,
        command: LifeCycle.Command,
        message: String
    ) {
        var cycle = machine(state)
        #expect(cycle.handle(.command(1, command)) == [.answer(1, APIError(.invalidState, message))])
        #expect(cycle.shownState == state)
    }

    @Test func guestOfABrokenMachineIsFollowedAndStoppedButNeverStartedAgain() {
        var cycle = machine(.broken)
        #expect(cycle.handle(.found(.running, reason: nil)) == [.publish])
        #expect(cycle.shownState == .broken && cycle.isActive)
        #expect(cycle.shownReason?.contains("damaged header; its guest, started before, is running") == true)
        let restart = LifeCycle.Command.restart(turnOff: true, timeoutSeconds: 1)
        let refusal = APIError(
            .corrupt,
            "the virtual machine web is broken: repair or remove it",
            cause: "damaged header"
        )
        #expect(cycle.handle(.command(1, restart)) == [.answer(1, refusal)])
        #expect(cycle.handle(.command(2, Self.gracefulStop)) == [.publish, .requestShutdown, .armGrace(seconds: 30)])
        #expect(cycle.handle(.guestTurnedOff) == [.disarmGrace, .kill])
        #expect(cycle.handle(.ended(reason: "")) == [.disarmGrace, .publish, .answer(2, nil)])
        #expect(!cycle.isActive && cycle.shownReason == "damaged header")
        #expect(cycle.handle(.command(3, .start)) == [.answer(3, refusal)])
        #expect(cycle.handle(.command(4, Self.turnOff)) == [.answer(4, refusal)])
    }

    @Test func gracefulStopAsksTheGuestAndEndsQEMUWhenItIsOff() {
        var cycle = machine(.running)
        #expect(cycle.handle(.command(1, Self.gracefulStop)) == [.publish, .requestShutdown, .armGrace(seconds: 30)])
        #expect(cycle.handle(.guestTurnedOff) == [.disarmGrace, .kill])
        #expect(cycle.handle(.ended(reason: "exit code 0")) == [.disarmGrace, .publish, .answer(1, nil)])
        #expect(cycle.state == .off)
    }

    @Test func guestThatDoesNotShutDownInTimeRunsOnAndTheStopSaysSo() throws {
        var cycle = machine(.running)
        _ = cycle.handle(.command(1, Self.gracefulStop))
        let error = try #require(answers(cycle.handle(.graceElapsed))[1] ?? nil)
        #expect(error.code == .timeout)
        #expect(
            error.message
                == "the guest of web did not shut down in time and goes on running: try again, or turn it off"
        )
        #expect(cycle.state == .running)
    }

    @Test func guestThatStopsOnAnErrorWhileStoppingIsPausedWhenTheGraceElapses() throws {
        var cycle = machine(.running)
        _ = cycle.handle(.command(1, Self.gracefulStop))
        #expect(cycle.handle(.processorsStopped(reason: "the host's disk is full")).isEmpty)
        let error = try #require(answers(cycle.handle(.graceElapsed))[1] ?? nil)
        #expect(error.message.hasPrefix("web was paused before its guest had shut down"))
        #expect(cycle.state == .paused)
        #expect(cycle.reason == "the host's disk is full")
    }

    @Test func pauseUnderWayIsAnsweredAlthoughAStopBegan() {
        var cycle = machine(.running)
        #expect(cycle.handle(.command(1, .pause)) == [.pauseProcessors])
        _ = cycle.handle(.command(2, Self.gracefulStop))
        #expect(cycle.handle(.processorsStopped(reason: nil)) == [.answer(1, nil)])
        #expect(cycle.state == .stopping)
    }

    @Test(arguments: [VirtualMachineState.running, .paused, .stopping])
    func turningOffEndsQEMUFromEveryStateInWhichItExists(from state: VirtualMachineState) {
        var cycle = machine(state)
        #expect(cycle.handle(.command(1, Self.turnOff)).suffix(2) == [.disarmGrace, .kill])
        let all = answers(cycle.handle(.ended(reason: "signal 9")))
        #expect(all[1] == .some(nil))
        #expect(cycle.state == .off)
    }

    @Test func turningOffDuringTheStartAnswersBoth() throws {
        var cycle = machine(.off)
        _ = cycle.handle(.command(1, .start))
        #expect(cycle.handle(.command(2, Self.turnOff)) == [.publish, .disarmGrace, .kill])
        let all = answers(cycle.handle(.launchFailed(Self.failure)))
        #expect(all[2] == .some(nil))
        #expect(try #require(all[1] ?? nil) == APIError(.cancelled, "web was turned off meanwhile"))
        #expect(cycle.state == .off)
    }

    @Test func launchThatWinsAgainstTheKillDoesNotRun() {
        var cycle = machine(.off)
        _ = cycle.handle(.command(1, .start))
        _ = cycle.handle(.command(2, Self.turnOff))
        #expect(cycle.handle(.launched).isEmpty)
        #expect(cycle.state == .stopping)
        #expect(answers(cycle.handle(.ended(reason: "signal 9"))).count == 2)
        #expect(cycle.state == .off)
    }

    @Test(arguments: [false, true])
    func restartLaunchesAgainWhenQEMUHasEnded(duringTheStart: Bool) {
        var cycle = machine(duringTheStart ? .starting : .running)
        _ = cycle.handle(.command(1, .restart(turnOff: true, timeoutSeconds: 0)))
        let effects = cycle.handle(duringTheStart ? .launchFailed(Self.failure) : .ended(reason: "signal 9"))
        #expect(effects.contains(.launch))
        #expect(cycle.state == .starting)
        #expect(cycle.handle(.launched) == [.publish, .answer(1, nil)])
    }

    @Test func turningOffAMachineThatIsBeingRestartedLeavesItOff() {
        var cycle = machine(.running)
        _ = cycle.handle(.command(1, .restart(turnOff: false, timeoutSeconds: 30)))
        let effects = cycle.handle(.command(2, Self.turnOff))
        #expect(answers(effects)[1]??.code == .cancelled)
        #expect(effects.contains(.kill))
        let ended = cycle.handle(.ended(reason: "quit"))
        #expect(!ended.contains(.launch))
        #expect(answers(ended)[2] == .some(nil))
        #expect(cycle.state == .off)
    }

    @Test func unaskedEndIsACrashWithItsReason() throws {
        for state in [VirtualMachineState.running, .paused, .stopping] {
            var cycle = machine(state)
            let effects = cycle.handle(.ended(reason: "QEMU ended with signal 11"))
            #expect(cycle.state == .crashed)
            #expect(cycle.reason == "QEMU ended with signal 11")
            if state == .stopping {
                let error = try #require(answers(effects)[100] ?? nil)
                #expect(
                    error == APIError(.engineFailure, "web crashed: start it again", cause: "QEMU ended with signal 11")
                )
            }
        }
    }

    @Test func stopOfACrashedMachineMakesItOff() {
        var cycle = machine(.crashed)
        #expect(cycle.handle(.command(1, Self.turnOff)) == [.publish, .answer(1, nil)])
        #expect(cycle.state == .off)
        #expect(cycle.reason == nil)
    }

    @Test func givingUpAStartEndsQEMUAndIsAnsweredAsCancelled() throws {
        var cycle = machine(.off)
        _ = cycle.handle(.command(1, .start))
        #expect(cycle.handle(.cancel(1)) == [.publish, .disarmGrace, .kill])
        let error = try #require(answers(cycle.handle(.launchFailed(Self.failure)))[1] ?? nil)
        #expect(error.code == .cancelled)
        #expect(cycle.state == .off)
    }

    @Test func givingUpAGracefulStopIsAnsweredAtOnceAndTheGuestRunsOn() throws {
        var cycle = machine(.running)
        _ = cycle.handle(.command(1, Self.gracefulStop))
        let effects = cycle.handle(.cancel(1))
        #expect(effects.prefix(2) == [.disarmGrace, .publish])
        let error = try #require(answers(effects)[1] ?? nil)
        #expect(error == APIError(.cancelled, "stopping web was cancelled; the guest was asked already"))
        #expect(cycle.state == .running)
        // It was asked already, so it may go down all the same.
        #expect(cycle.handle(.guestTurnedOff) == [.publish, .disarmGrace, .kill])
    }

    @Test(arguments: [false, true])
    func givingUpARestartLeavesTheMachineOff(whileStarting: Bool) throws {
        var cycle = machine(.running)
        _ = cycle.handle(.command(1, .restart(turnOff: true, timeoutSeconds: 0)))
        if whileStarting { _ = cycle.handle(.ended(reason: "signal 9")) }
        _ = cycle.handle(.cancel(1))
        let effects = cycle.handle(whileStarting ? .launchFailed(Self.failure) : .ended(reason: "signal 9"))
        #expect(!effects.contains(.launch))
        #expect(try #require(answers(effects)[1] ?? nil).code == .cancelled)
        #expect(cycle.state == .off)
    }

    @Test func pauseAndResumeAreAnsweredByWhatTheProcessorsDo() {
        var cycle = machine(.running)
        #expect(cycle.handle(.command(1, .pause)) == [.pauseProcessors])
        #expect(cycle.handle(.processorsStopped(reason: nil)) == [.publish, .answer(1, nil)])
        #expect(cycle.handle(.command(2, .resume)) == [.resumeProcessors])
        #expect(cycle.handle(.processorsRunning) == [.publish, .answer(2, nil)])
    }

    @Test func refusedPauseIsAnsweredAndTheMachineRunsOn() {
        var cycle = machine(.running)
        _ = cycle.handle(.command(1, .pause))
        #expect(cycle.handle(.changeFailed(Self.failure)) == [.answer(1, Self.failure)])
        #expect(cycle.state == .running)
    }

    @Test func lateHappeningsOfAMachineThatIsOffChangeNothing() {
        var cycle = machine(.off)
        let late: [LifeCycle.Input] = [
            .launched, .launchFailed(Self.failure), .ended(reason: "late"), .guestTurnedOff,
            .processorsStopped(reason: nil), .processorsRunning, .graceElapsed, .cancel(7),
        ]
        for input in late { #expect(cycle.handle(input).isEmpty) }
        #expect(cycle.state == .off)
    }
}
