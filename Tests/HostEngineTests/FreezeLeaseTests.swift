import ConfigStore
@testable import QEMUDriver
import Testing

@testable import HostEngine

#if canImport(Glibc)
    import Glibc
#endif

/// The script that limits a freeze in a guest, run by this host's shell, with a program in place of fsfreeze(8) that only
/// says what it was asked for.
@Suite struct FreezeLeaseTests {
    private let folder = TemporaryFolder()
    private var log: String { "\(folder.path)/log" }
    private var note: String { "\(folder.path)/note" }

    private struct NotSo: Error {}

    init() throws {
        let program = "\(folder.path)/fsfreeze"
        try FileAccess.write(Array("#!/bin/sh\necho \"$2\" >>\(folder.path)/log\n".utf8), to: program)
        try #require(chmod(program, 0o755) == 0)
    }

    /// Starts one for two mount points; returns when it waits.
    private func begin(seconds: Int, first: String = "true", until state: String = "ready") async throws
        -> SpawnedProcess
    {
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        try #require(null >= 0)
        defer { close(null) }
        let script = FreezeLease.script(
            seconds: seconds,
            first: first,
            undo: "echo undone >>\(log)",
            note: note
        )
        let process = try spawn(
            SpawnRequest(
                path: "/bin/sh",
                arguments: ["-c", script, "roost-freeze-lease", "/data", "/with blank"],
                environment: ["PATH=\(folder.path):/usr/bin:/bin"],
                directory: "/",
                descriptors: [null, null, null],
                user: Tool.ownUser
            )
        )
        let line = "\(process.identity.processID) \(state)\n"
        try await eventually { text(note) == line }
        return process
    }

    private func text(_ path: String) -> String {
        (try? FileAccess.read(path)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    private func eventually(_ condition: () -> Bool) async throws {
        for _ in 0..<3000 {
            if condition() { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw NotSo()
    }

    @Test(.timeLimit(.minutes(2))) func whoeverStopsItHasTheGuestThawed() async throws {
        let lease = try await begin(seconds: 3600)
        lease.signal(SIGTERM)
        _ = await lease.end()
        #expect(text(log) == "/data\n/with blank\nundone\n")
    }

    @Test(.timeLimit(.minutes(2))) func signalEndsWhatComesFirst() async throws {
        let first = "n=0; while [ $n -lt 100 ]; do sleep 3600 & wait $!; n=$((n+1)); done"
        for (signal, thawed) in [(SIGUSR1, ""), (SIGTERM, "/data\n/with blank\n")] {
            try FileAccess.remove(log)
            let lease = try await begin(seconds: 3600, first: first, until: "begun")
            lease.signal(signal)
            _ = await lease.end()
            #expect(text(log) == "\(thawed)undone\n")
        }
    }

    @Test(.timeLimit(.minutes(2))) func itEndsWithoutAThawWhenAllIsWellOrAnotherOneComes() async throws {
        let first = try await begin(seconds: 3600)
        let second = try await begin(seconds: 3600)
        _ = await first.end()
        #expect(text(log) == "undone\n")
        #expect(second.identity.isAlive)
        second.signal(SIGUSR1)
        _ = await second.end()
        #expect(text(log) == "undone\nundone\n")
    }

    @Test(.timeLimit(.minutes(2))) func itThawsAgainAndAgainWhenItsTimeIsOver() async throws {
        let lease = try await begin(seconds: 1)
        try await eventually { text(log).hasPrefix("/data\n/with blank\nundone\n/data\n/with blank\n") }
        lease.signal(SIGUSR1)
        _ = await lease.end()
    }
}
