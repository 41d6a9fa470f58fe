import QEMUDriver
import QMP
import VMConfiguration

/// A guest's file systems, held still for a moment by its agent.
///
/// A freeze cannot outlast its lease: before it begins, a timer starts in the guest that ends it; where the guest forbids
/// that, a process on the host does. Whether one of them came first is seen in the time, and in how many file systems the
/// thaw still finds (`docs/design/0005-checkpoints.md`).
struct GuestFreeze: Sendable {
    /// The part of the agent that a freeze needs.
    private let agent: GuestAgentConnection
    /// What will be frozen.
    let plan: FreezePlan
    /// The agent's version.
    let version: String
    /// How long a freeze lasts at most, in seconds.
    let leaseSeconds: Int
    /// Whether the agent may run programs in the guest.
    private let canExecute: Bool
    /// The shell in the guest that waits to end the freeze.
    private var timer: Int64?
    /// The process on the host that does.
    private var watchdog: FreezeWatchdog?
    /// When the lease began, with the timer or the watchdog.
    private var begun: ContinuousClock.Instant?

    /// Why a guest cannot be frozen.
    struct Unable: Error, CustomStringConvertible {
        var description: String
    }

    /// Asks the agent what there is to freeze.
    ///
    /// - Throws: ``Unable`` for an agent that is silent or lacks a command, or whose guest has nothing to freeze.
    init(_ agent: GuestAgentConnection, leaseSeconds: Int = 10) async throws {
        self.agent = agent
        self.leaseSeconds = leaseSeconds
        do {
            let info = try await agent.execute(GuestAgentCommands.GetInfo())
            let enabled = Set(info.commands.filter(\.isEnabled).map(\.name))
            for name in ["guest-fsfreeze-freeze", "guest-fsfreeze-thaw", "guest-get-fsinfo"]
            where !enabled.contains(name) {
                throw Unable(description: "its guest agent does not offer \(name)")
            }
            version = info.version
            let system = try? await agent.execute(GuestAgentCommands.GetOSInfo())
            let isWindows = system?.id == "mswindows"
            canExecute = enabled.isSuperset(of: ["guest-exec", "guest-exec-status"])
            plan = FreezePlan(
                try await agent.execute(GuestAgentCommands.GetFSInfo()),
                mounts: isWindows ? nil : try? await Self.mounts(agent),
                isWindows: isWindows
            )
        } catch let error as QMPError {
            throw Unable(description: "its guest agent does not answer as it should: \(error.message)")
        }
        if plan.mountPoints.isEmpty {
            throw Unable(description: "it has no file system that can be frozen")
        }
    }

    /// The guest's mounts as its kernel lists them.
    private static func mounts(_ agent: GuestAgentConnection) async throws -> String {
        let handle = try await agent.execute(GuestAgentCommands.FileOpen(path: "/proc/self/mounts"))
        var bytes: [UInt8] = []
        var isAtEnd = false
        while !isAtEnd, bytes.count < 1 << 20 {
            let piece = try await agent.execute(GuestAgentCommands.FileRead(handle: handle, count: 65536))
            bytes += piece.bytes
            isAtEnd = piece.isAtEnd || piece.bytes.isEmpty
        }
        _ = try? await agent.execute(GuestAgentCommands.FileClose(handle: handle))
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Who ends the freeze when nobody else does; VSS ends it by itself after ten seconds.
    var lease: CheckpointReceipt.Lease? { plan.usesVSS ? nil : watchdog == nil ? .guestTimer : .watchdog }

    /// Whether the freeze has lasted for so long that the lease may have ended it.
    var mayHaveEnded: Bool { begun.map { ContinuousClock.now - $0 >= .seconds(leaseSeconds) } ?? false }

    /// Writes out what the guest has not written yet, so that the freeze finds little to do, and starts what limits it.
    ///
    /// - Parameter wish: heeded while the guest writes, which may take its time.
    /// - Throws: ``Unable`` when that cannot be started, `CancellationError` when that is wished for; nothing may be frozen
    ///   then, and ``giveUp()`` is to be called.
    mutating func prepare(_ wish: CancellationWish) async throws {
        guard !plan.usesVSS else { return }
        let refusal = canExecute ? try await startTimer(wish) : "its agent does not offer guest-exec"
        guard let refusal else { return }
        begun = .now
        do {
            watchdog = try await FreezeWatchdog(agent, seconds: leaseSeconds)
        } catch {
            throw Unable(description: "nothing could limit a freeze: in the guest, \(refusal); on the host, \(error)")
        }
    }

    /// Starts the timer in the guest; returns why that forbids it, nil when it runs.
    private mutating func startTimer(_ wish: CancellationWish) async throws -> String? {
        do {
            let answer = try await run("\(FreezeLease.needs) || exit; \(GuestWriteback.question)", within: 10, wish)
            guard answer.exitCode == 0 else { return "it has no fsfreeze(8), or no /run in its memory" }
            let writeback = GuestWriteback(answer.output).flatMap { $0.isLarge ? $0 : nil }
            if writeback == nil { try await finish("sync", within: 30, wish) }
            let script = FreezeLease.script(
                seconds: leaseSeconds,
                first: GuestGracePeriods.expedite(behind: writeback),
                undo: GuestGracePeriods.restore(with: writeback)
            )
            begun = .now
            timer = try await agent.execute(
                GuestAgentCommands.Exec(
                    path: "/bin/sh",
                    programArguments: ["-c", script, "roost-freeze-lease"] + plan.mountPoints,
                    capturesOutput: false
                )
            )
            if let timer, writeback != nil {
                // A guest that writes without end would have filled its memory again behind a sync.
                try await waitUntilReady(timer, within: 60, wish)
            } else if let timer {
                // Once more what was written since; a guest that writes without end is not waited for.
                _ = try? await finish("\(FreezeLease.awaitReady(timer)); sync", within: max(1, leaseSeconds / 4), wish)
            }
            return nil
        } catch let error as QMPError where error.code == .refused {
            return error.message
        } catch let error as QMPError {
            throw Unable(description: "it cannot start the timer that limits a freeze: \(error.message)")
        }
    }

    /// Runs a script in the guest's shell to its end, which has to be a good one.
    private func finish(_ script: String, within seconds: Int, _ wish: CancellationWish? = nil) async throws {
        let status = try await run(script, within: seconds, wish)
        guard status.exitCode == 0 else { throw Unable(description: "\(script) fails in the guest") }
    }

    /// Waits until the time of the timer has begun, and knows when that was at the earliest.
    private mutating func waitUntilReady(_ timer: Int64, within seconds: Int, _ wish: CancellationWish) async throws {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < deadline {
            try wish.check()
            let asked = ContinuousClock.now
            if try await run(FreezeLease.isReady(timer), within: 10).exitCode == 0 { return }
            begun = asked
            try await Task.sleep(for: .milliseconds(30))
        }
        throw Unable(description: "what it has to write first is not written in \(seconds) s")
    }

    private func run(
        _ script: String,
        within seconds: Int,
        _ wish: CancellationWish? = nil
    ) async throws -> GuestProcessStatus {
        let id = try await agent.execute(
            GuestAgentCommands.Exec(path: "/bin/sh", programArguments: ["-c", script])
        )
        let deadline = ContinuousClock.now + .seconds(seconds)
        while true {
            let status = try await agent.execute(GuestAgentCommands.ExecStatus(processID: id))
            if status.hasExited { return status }
            try wish?.check()
            guard ContinuousClock.now < deadline else {
                throw Unable(description: "the guest does not finish \(script)")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Freezes; returns how many file systems the agent froze.
    ///
    /// When it throws, something may be frozen all the same: call ``end()``.
    func begin() async throws -> Int64 {
        try await agent.execute(GuestAgentCommands.FSFreezeFreeze(), deadline: .seconds(leaseSeconds))
    }

    /// Thaws, and makes sure of it; returns how many file systems were still frozen, and when the agent had thawed them.
    ///
    /// - Throws: what the agent says when it does not thaw; the timer in the guest or the process on the host does then.
    func end() async throws -> (thawed: Int64, at: ContinuousClock.Instant) {
        let thawed: Int64
        do {
            thawed = try await agent.execute(GuestAgentCommands.FSFreezeThaw(), deadline: .seconds(5))
        } catch {
            // Once more: by then the lease has ended at the latest.
            thawed = try await agent.execute(GuestAgentCommands.FSFreezeThaw(), deadline: .seconds(leaseSeconds + 5))
        }
        let moment = ContinuousClock.now
        if try await agent.execute(GuestAgentCommands.FSFreezeStatus()) {
            throw Unable(description: "the guest says that it is still frozen")
        }
        await giveUp()
        return (thawed, moment)
    }

    /// Ends what limits the freeze, of which nothing is left.
    func giveUp() async {
        watchdog?.end()
        await stopTimer()
    }

    /// Ends the timer: it must not thaw a later freeze.
    private func stopTimer() async {
        guard let timer else { return }
        // Its number may be somebody else's once it has ended.
        guard let status = try? await agent.execute(GuestAgentCommands.ExecStatus(processID: timer)), !status.hasExited
        else {
            // Ended by somebody else, it may have had no time to undo what it has set; an agent that was started anew knows no
            // program of the one before.
            _ = try? await finish(FreezeLease.endByNote, within: 5)
            return
        }
        _ = try? await finish(FreezeLease.end(timer), within: 5)
        // The agent keeps what it knows of a program until somebody has asked behind its end.
        for _ in 1...100 {
            let status = try? await agent.execute(GuestAgentCommands.ExecStatus(processID: timer))
            if status?.hasExited ?? true { return }
            guard (try? await Task.sleep(for: .milliseconds(10))) != nil else { return }
        }
    }
}
