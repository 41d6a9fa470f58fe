import ConfigStore
@testable import QEMUDriver
import Testing

@testable import HostEngine

#if canImport(Glibc)
    import Glibc
#endif

@Suite struct GuestWritebackTests {
    private func answer(_ text: String) -> GuestWriteback? { GuestWriteback(text.utf8) }

    @Test func limitsAreLoweredWhereMuchWaitsAndNobodyElseHasSetThem() throws {
        let busy = try #require(answer("0\n0\n20\n10\n61320\n"))
        #expect(busy.isLarge)
        #expect(
            busy.restore.contains("echo 20 >dirty_ratio") && busy.restore.contains("echo 10 >dirty_background_ratio")
        )
        #expect(answer("0\n0\n20\n10\n548\n")?.isLarge == false)
        #expect(answer("50000000\n0\n0\n10\n61320\n")?.isLarge == false)
        #expect(answer("0\n1000000\n20\n0\n61320\n")?.isLarge == false)
        // What a ratio cannot be is not written back.
        #expect(answer("0\n0\n0\n10\n61320\n")?.isLarge == false)
        #expect(answer("0\n0\n900\n10\n61320\n")?.isLarge == false)
    }

    @Test(arguments: ["", "0\n0\n20\n10\n", "0\n0\n20\n10\n1\n2\n", "a\nb\nc\nd\ne\n", "0 0 20 10 -1"])
    func nonsenseIsNoAnswer(text: String) { #expect(answer(text) == nil) }

    /// Asks this host's shell, with files of a folder of its own in place of the kernel's and of the notes.
    private func ask(_ folder: TemporaryFolder) async throws -> GuestWriteback? {
        let output = "\(folder.path)/output"
        let file = open(output, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        try #require(file >= 0)
        defer { close(file) }
        let question = GuestWriteback.question.replacing("/proc/sys/vm", with: "\(folder.path)/vm")
            .replacing(FreezeLease.note, with: "\(folder.path)/note")
        let process = try spawn(
            SpawnRequest(
                path: "/bin/sh",
                arguments: ["-c", question],
                environment: ["PATH=/usr/bin:/bin"],
                directory: "/",
                descriptors: [file, file, file],
                user: Tool.ownUser
            )
        )
        _ = await process.end()
        return GuestWriteback(try FileAccess.read(output))
    }

    @Test(.timeLimit(.minutes(2))) func limitsThatAKilledTimerHasLeftAreGivenBackBeforeTheyAreRead() async throws {
        let folder = TemporaryFolder()
        try FileAccess.makeFolder("\(folder.path)/vm", mode: 0o700)
        func put(_ name: String, _ text: String) throws {
            try FileAccess.write(Array(text.utf8), to: "\(folder.path)/\(name)")
        }
        // The number of a timer that is no more is another program's by now.
        let undo = "\(folder.path)/note.undo.\(getpid())"
        let limits = [
            "dirty_bytes": "33554432", "dirty_background_bytes": "2097152", "dirty_ratio": "0",
            "dirty_background_ratio": "0",
        ]
        for (name, value) in limits { try put("vm/\(name)", value + "\n") }
        try put("note", "\(getpid()) ready\n")
        try put(
            "note.undo.\(getpid())",
            "cd \(folder.path)/vm && echo 20 >dirty_ratio && echo 10 >dirty_background_ratio\n"
        )
        // The limits in bytes stay here, which the kernel itself sets to 0.
        for name in ["dirty_bytes", "dirty_background_bytes"] { try put("vm/\(name)", "0\n") }
        let found = try await ask(folder)
        #expect(!fileExists(undo))
        #expect(found?.restore.contains("echo 20 >dirty_ratio") == true, "\(found as Any)")
        #expect(found?.restore.contains("echo 10 >dirty_background_ratio") == true)
    }
}
