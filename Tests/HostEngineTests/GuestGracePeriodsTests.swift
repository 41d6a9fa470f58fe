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
    private func begin() async throws -> SpawnedProcess {
        let lease = try shell(
            FreezeLease.script(seconds: 3600, first: GuestGracePeriods.expedite, undo: GuestGracePeriods.restore)
        )
        for _ in 0..<3000 {
            if text(note) == "\(lease.identity.processID) ready\n" { return lease }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw NotSo()
    }

    @Test func theyAreExpeditedForTheFreezeAndNoLonger() async throws {
        for signal in [SIGUSR1, SIGTERM] {
            try put("0\n", setting)
            let lease = try await begin()
            #expect(text(setting) == "1\n")
            lease.signal(signal)
            _ = await lease.end()
            #expect(text(setting) == "0\n")
            #expect(!fileExists("\(note).undo"))
        }
    }

    @Test func whatTheGuestExpeditesItselfStaysSo() async throws {
        try put("1\n", setting)
        let lease = try await begin()
        #expect(!fileExists("\(note).undo"))
        lease.signal(SIGUSR1)
        _ = await lease.end()
        #expect(text(setting) == "1\n")
    }

    @Test func nothingIsSetThatCouldNotBeUndone() async throws {
        try put("0\n", setting)
        try FileAccess.makeFolder("\(note).undo", mode: 0o700)
        let lease = try await begin()
        #expect(text(setting) == "0\n")
        lease.signal(SIGUSR1)
        _ = await lease.end()
    }

    @Test func whatAKilledTimerHasLeftIsUndone() async throws {
        try put("0\n", setting)
        let lease = try await begin()
        _ = await (try shell(FreezeLease.undoWhatIsLeft)).end()
        #expect(text(setting) == "1\n", "the timer is alive")
        lease.signal(SIGKILL)
        _ = await lease.end()
        #expect(text(setting) == "1\n")
        _ = await (try shell(FreezeLease.undoWhatIsLeft)).end()
        #expect(text(setting) == "0\n")
        #expect(!fileExists("\(note).undo"))
    }
}
