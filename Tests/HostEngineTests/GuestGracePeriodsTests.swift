import ConfigStore
@testable import QEMUDriver
import Testing

@testable import HostEngine

#if canImport(Glibc)
    import Glibc
#endif

/// What a guest does about its kernel's grace periods while it is frozen, done by this host's shell with files of its own.
@Suite(.timeLimit(.minutes(2))) struct GuestGracePeriodsTests {
    private let folder = TemporaryFolder()
    private var setting: String { "\(folder.path)/rcu_expedited" }
    private var note: String { "\(folder.path)/note" }

    private struct NotSo: Error {}

    private func text(_ path: String) -> String {
        (try? FileAccess.read(path)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    private func put(_ text: String, _ path: String) throws { try FileAccess.write(Array(text.utf8), to: path) }

    /// Starts a shell with a script about the kernel's setting and the guest's notes.
    private func shell(_ script: String) throws -> SpawnedProcess {
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        try #require(null >= 0)
        defer { close(null) }
        let moved = script.replacing("/sys/kernel/rcu_expedited", with: setting).replacing(FreezeLease.note, with: note)
        return try spawn(
            SpawnRequest(
                path: "/bin/sh",
                arguments: ["-c", moved, "roost-freeze-lease"],
                environment: ["PATH=/usr/bin:/bin"],
                directory: "/",
                descriptors: [null, null, null],
                user: Tool.ownUser
            )
        )
    }

    /// Starts a lease; returns when it waits.
    private func begin(
        _ first: String = GuestGracePeriods.expedite(),
        undo: String = GuestGracePeriods.restore()
    ) async throws -> SpawnedProcess {
        // Somebody who is killed leaves its sleep behind.
        let lease = try shell(FreezeLease.script(seconds: 100, first: first, undo: undo))
        for _ in 0..<6000 {
            if text(note) == "\(lease.identity.processID) ready\n" { return lease }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw NotSo()
    }

    private func isNoted(_ lease: SpawnedProcess) -> Bool { fileExists("\(note).undo.\(lease.identity.processID)") }

    private func run(_ script: String) async throws { _ = await (try shell(script)).end() }

    @Test func theyAreExpeditedForTheFreezeAndNoLonger() async throws {
        for signal in [SIGUSR1, SIGTERM] {
            try put("0\n", setting)
            let lease = try await begin()
            #expect(text(setting) == "1\n" && isNoted(lease))
            lease.signal(signal)
            _ = await lease.end()
            #expect(text(setting) == "0\n" && !isNoted(lease))
        }
    }

    @Test func whatTheGuestExpeditesItselfStaysSo() async throws {
        try put("1\n", setting)
        let lease = try await begin()
        #expect(!isNoted(lease))
        lease.signal(SIGUSR1)
        _ = await lease.end()
        #expect(text(setting) == "1\n")
    }

    @Test func nothingIsSetThatCouldNotBeUndone() async throws {
        try put("0\n", setting)
        let lease = try await begin(
            GuestGracePeriods.expedite().replacing(FreezeLease.undoNote, with: "\(folder.path)/none/undo")
        )
        #expect(text(setting) == "0\n")
        lease.signal(SIGUSR1)
        _ = await lease.end()
    }

    @Test func whatAKilledTimerHasLeftIsUndone() async throws {
        try put("0\n", setting)
        let lease = try await begin()
        try await run(FreezeLease.undoWhatIsLeft)
        #expect(text(setting) == "1\n", "the timer is alive")
        lease.signal(SIGKILL)
        _ = await lease.end()
        #expect(text(setting) == "1\n")
        try await run(FreezeLease.undoWhatIsLeft)
        #expect(text(setting) == "0\n" && !isNoted(lease))
    }

    @Test func timerThatNobodyKnowsIsEndedByItsNote() async throws {
        try put("0\n", setting)
        let lease = try await begin()
        try await run(FreezeLease.endByNote)
        _ = await lease.end()
        #expect(text(setting) == "0\n" && !isNoted(lease))
    }

    /// The later one waits for what the earlier one undoes, and what it notes itself stays.
    @Test func laterTimerSetsThemAnewAndItsNoteIsItsOwn() async throws {
        try put("0\n", setting)
        let earlier = try await begin()
        let later = try await begin()
        _ = await earlier.end()
        #expect(text(setting) == "1\n" && isNoted(later) && !isNoted(earlier))
        later.signal(SIGKILL)
        _ = await later.end()
        try await run(FreezeLease.undoWhatIsLeft)
        #expect(text(setting) == "0\n")
    }

    @Test func limitsOfWritebackAreUndoneWithThem() async throws {
        try put("0\n", setting)
        let limits = "\(folder.path)/vm"
        try FileAccess.makeFolder(limits, mode: 0o700)
        let busy = try #require(GuestWriteback("0\n0\n20\n10\n61320\n".utf8))
        func moved(_ script: String) -> String { script.replacing("/proc/sys/vm", with: limits) }
        for isKilled in [true, false] {
            for name in ["dirty_ratio", "dirty_background_ratio"] { try put("0\n", "\(limits)/\(name)") }
            let lease = try await begin(
                moved(GuestGracePeriods.expedite(behind: busy)),
                undo: moved(GuestGracePeriods.restore(with: busy))
            )
            #expect(text("\(limits)/dirty_background_bytes") == "2097152\n" && text(setting) == "1\n")
            lease.signal(isKilled ? SIGKILL : SIGUSR1)
            _ = await lease.end()
            if isKilled { try await run(FreezeLease.undoWhatIsLeft) }
            #expect(text("\(limits)/dirty_background_ratio") == "10\n" && text(setting) == "0\n" && !isNoted(lease))
        }
    }
}
