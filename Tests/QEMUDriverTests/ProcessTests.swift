import NIOCore
@testable import QEMUDriver
import Testing

#if canImport(Glibc)
    import Glibc
#endif

@Suite struct ProcessTests {
    private func start(
        _ path: String,
        _ arguments: [String],
        environment: [String] = [],
        directory: String = "/",
        descriptors: [Int32] = []
    ) throws -> SpawnedProcess {
        try spawn(
            SpawnRequest(
                path: path,
                arguments: arguments,
                environment: environment,
                directory: directory,
                descriptors: descriptors,
                user: Tool.ownUser
            )
        )
    }

    @Test func exitCodeAndSignalOfAChildAreSeen() async throws {
        #expect(await (try start("/bin/sh", ["-c", "exit 7"])).end() == .exited(7))
        let sleeper = try start("/bin/sleep", ["60"])
        #expect(sleeper.signal(SIGTERM))
        #expect(await sleeper.end() == .killed(signal: SIGTERM))
    }

    @Test func childIsReapedAlthoughTheWaitingTaskIsCancelled() async throws {
        let child = try start("/bin/sleep", ["60"])
        let waiting = Task { await child.end() }
        waiting.cancel()
        child.signal(SIGKILL)
        #expect(await waiting.value == .killed(signal: SIGKILL))
        #expect(kill(child.identity.processID, 0) == -1 && errno == ESRCH)
    }

    @Test func endOfAProcessThatIsNoChildIsNoticed() async throws {
        let folder = TemporaryFolder()
        // The shell ends at once; its background process is then nobody's child here.
        let result = try await Tool(path: "/bin/sh", user: Tool.ownUser).run(
            ["-c", "sleep 60 >/dev/null 2>&1 & echo $!"])
        let text = String(decoding: result.output, as: UTF8.self)
        let number = try #require(Int32(text.split(separator: "\n")[0]))
        let identity = try #require(ProcessIdentity.current(processID: number))
        let process = try #require(SpawnedProcess.find(identity))
        process.signal(SIGKILL)
        #expect(await process.end() == .unknown)
        withExtendedLifetime(folder) {}
    }

    @Test func programGetsItsDescriptorsAndNoOthersItsEnvironmentAndASessionOfItsOwn() async throws {
        let folder = TemporaryFolder()
        let leaked = open("/dev/null", O_RDONLY)
        let output = open("\(folder.path)/output", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        defer { for number in [leaked, output] { close(number) } }
        let child = try start(
            "/bin/sh",
            ["-c", "ls /proc/$$/fd | tr '\\n' ' '; cut -d' ' -f6 /proc/$$/stat; echo $$; env; pwd; umask"],
            environment: ["ONE=1"],
            directory: folder.path,
            descriptors: [output, output, output, output]
        )
        #expect(await child.end() == .exited(0))
        let text = String(decoding: try #require(readSmallFile("\(folder.path)/output")), as: UTF8.self)
        let lines = text.split(separator: "\n").map(String.init)
        #expect(lines[0].hasPrefix("0 1 2 3 "))
        let number = "\(child.identity.processID)"
        #expect(lines[0].hasSuffix(" \(number)") && lines[1] == number)
        #expect(lines.contains("ONE=1") && !lines.contains { $0.hasPrefix("HOME=") })
        #expect(lines.contains(folder.path))
        #expect(lines.last == "0077")
    }

    @Test(arguments: [
        ("/nonexistent/qemu", "/", "execve: No such file or directory"),
        ("/bin/true", "/nonexistent", "chdir: No such file or directory"),
        ("/etc/passwd", "/", "execve: Permission denied"),
    ])
    func failedStartNamesTheCallThatFailed(path: String, directory: String, cause: String) throws {
        let error = #expect(throws: EngineError.self) { _ = try start(path, [], directory: directory) }
        #expect(error?.cause == cause)
        #expect(error?.message == "cannot start \(path)")
    }

    @Test func programRunsAsTheUserItIsGiven() async throws {
        let user = try Host.user()
        let result = try await Tool(path: "/usr/bin/id", user: user).run(["-u"])
        #expect(String(decoding: result.output, as: UTF8.self) == "\(user.userID)\n")
    }

    @Test func identityIsThatOfOneProcessOnly() throws {
        let own = try #require(ProcessIdentity.current(processID: getpid()))
        #expect(own.isAlive)
        #expect(SpawnedProcess.find(own) != nil)
        var other = own
        other.startTicks += 1
        #expect(!other.isAlive)
        #expect(SpawnedProcess.find(other) == nil)
        var earlier = own
        earlier.bootID = "another run of the host"
        #expect(SpawnedProcess.find(earlier) == nil)
        #expect(ProcessIdentity.current(processID: Int32.max) == nil)
    }
}

@Suite struct ToolTests {
    @Test func outputErrorsAndExitCodeAreCollected() async throws {
        let result = try await Tool(path: "/bin/sh", user: Tool.ownUser).run(
            ["-c", "cat; echo wrong >&2; exit 3"],
            input: Array("hello".utf8)
        )
        #expect(result.end == .exited(3) && !result.succeeded)
        #expect(result.output == Array("hello".utf8))
        #expect(result.errors == "wrong\n")
    }

    @Test func toolWithoutInputReadsItsEnd() async throws {
        let result = try await Tool(path: "/bin/cat", user: Tool.ownUser).run([], deadline: .seconds(20))
        #expect(result.succeeded && result.output.isEmpty)
    }

    @Test func largeOutputArrivesWhole() async throws {
        let result = try await Tool(path: "/usr/bin/head", user: Tool.ownUser).run(["-c", "3000000", "/dev/zero"])
        #expect(result.output.count == 3_000_000)
    }

    @Test func toolThatTakesTooLongIsKilledAndSaysSo() async throws {
        let error = await #expect(throws: EngineError.self) {
            _ = try await Tool(path: "/bin/sleep", user: Tool.ownUser).run(["60"], deadline: .milliseconds(50))
        }
        #expect(error?.code == .timeout)
        #expect(error?.message.contains("/bin/sleep did not finish within 0.05 seconds") == true)
    }

    @Test func cancellationKillsTheTool() async throws {
        let folder = TemporaryFolder()
        let script = try await folder.script("tool", "echo $$ ; exec sleep 60")
        let (started, continuation) = AsyncStream.makeStream(of: [UInt8].self)
        let run = Task {
            try await Tool(path: script, user: Tool.ownUser).run([]) { continuation.yield($0) }
        }
        var pieces = started.makeAsyncIterator()
        let text = String(decoding: await pieces.next() ?? [], as: UTF8.self)
        let number = try #require(Int32(text.split(separator: "\n")[0]))
        run.cancel()
        let error = await #expect(throws: EngineError.self) { _ = try await run.value }
        #expect(error?.code == .cancelled)
        #expect(ProcessIdentity.current(processID: number) == nil)
    }

    @Test func descriptorsAreClosedAgain() async throws {
        let before = openDescriptors().count
        for _ in 0..<100 {
            _ = try await Tool(path: "/bin/true", user: Tool.ownUser).run([])
            _ = try? await Tool(path: "/nonexistent", user: Tool.ownUser).run([])
        }
        // Tests beside this one have some open, but not a hundred.
        #expect(openDescriptors().count < before + 100)
    }

    /// Watches come and go on two processors at once, as they do in a host with many machines.
    @Test func manyProgramsAtOnceAreAllSeenToEnd() async throws {
        let ended = try await withThrowingTaskGroup(of: Int.self) { group in
            for worker in 0..<16 {
                group.addTask {
                    var ended = 0
                    for round in 0..<40 {
                        let text = "\(worker)-\(round)"
                        let result = try await Tool(path: "/bin/echo", user: Tool.ownUser).run([text])
                        if result.succeeded, result.output == Array("\(text)\n".utf8) { ended += 1 }
                    }
                    return ended
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(ended == 640)
    }

    @Test func missingToolIsNotFound() async {
        let error = await #expect(throws: EngineError.self) {
            _ = try await Tool(path: "/nonexistent", user: Tool.ownUser).run([])
        }
        #expect(error?.code == .notFound)
    }
}

@Suite struct FolderTests {
    @Test func lastWordsAreTheLastLinesWithoutStampAndProgram() {
        let folder = TemporaryFolder()
        let machine = MachineFolder(folder.path)
        #expect(machine.lastWords() == nil)
        let filler = String(repeating: "noise of a long-running machine\n", count: 100_000)
        folder.write(
            "qemu.log",
            filler + "a\n2026-11-23T10:00:00Z qemu-system-x86_64: -blockdev: no such file\nb\nc\n"
        )
        #expect(machine.lastWords() == "a; -blockdev: no such file; b; c")
    }

    @Test func logThatIsALinkOrAPipeIsNotRead() {
        let folder = TemporaryFolder()
        let machine = MachineFolder(folder.path)
        folder.write("secret", "secret\n")
        symlink("\(folder.path)/secret", machine.log)
        #expect(machine.lastWords() == nil)
        unlink(machine.log)
        mkfifo(machine.log, 0o600)
        #expect(machine.lastWords() == nil)
    }

    @Test func socketPathThatIsTooLongNamesTheRemedy() throws {
        let folder = TemporaryFolder()
        let fits = folder.path + "/" + String(repeating: "s", count: unixSocketPathMaximum - folder.path.utf8.count - 1)
        let listener = try listenOnUnixSocket(fits)
        // Whoever connects to it has to be able to as well.
        _ = try SocketAddress(unixDomainSocketPath: fits)
        withExtendedLifetime(listener) {}
        let error = #expect(throws: EngineError.self) { _ = try listenOnUnixSocket(fits + "s") }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains("has 104 bytes") == true && error?.message.contains("--run-dir") == true)
    }
}
