import NIOCore
import NIOPosix
import QEMUDriver
import QMP
import Synchronization
import Testing

private let group = MultiThreadedEventLoopGroup.singleton
private let greeting =
    #"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": []}}"#
    + "\r\n"

/// The answer to a command, with the number that it came with.
private func reply(to line: String, _ value: String = "{}") -> ScriptedSocket.Answer {
    guard let message = try? JSONValue(parsing: Array(line.utf8)), let id = message["id"]?.uint64Value else {
        return .close
    }
    return .send("{\"return\": \(value), \"id\": \(id)}\r\n")
}

@Suite struct MonitorConnectionTests {
    private func connect(
        _ socket: ScriptedSocket,
        deadline: Duration = .seconds(30)
    ) async throws -> MonitorConnection {
        try await MonitorConnection.connect(path: socket.path, group: group, deadline: deadline).connection
    }

    @Test func greetingSentOnAcceptIsNotMissed() async throws {
        let socket = try await ScriptedSocket(greeting: greeting) { reply(to: $0) }
        for _ in 0..<100 {
            let (connection, heard) = try await MonitorConnection.connect(
                path: socket.path,
                group: group,
                deadline: .seconds(30)
            )
            #expect(heard.version.major == 7)
            try await connection.execute(QMPCommands.Stop())
            connection.close()
        }
    }

    @Test func nobodyListeningIsNotFound() async {
        let error = await #expect(throws: EngineError.self) {
            _ = try await MonitorConnection.connect(path: "/nonexistent", group: group, deadline: .seconds(5))
        }
        #expect(error?.code == .notFound)
    }

    @Test func silentListenerIsATimeout() async throws {
        let socket = try await ScriptedSocket()
        let error = await #expect(throws: EngineError.self) {
            _ = try await connect(socket, deadline: .milliseconds(50))
        }
        #expect(error?.code == .timeout)
        withExtendedLifetime(socket) {}
    }

    @Test(arguments: ["220 mail.example SMTP\r\n", "{\"return\": {}}\r\n"])
    func somethingElseThanQEMUIsAFailure(words: String) async throws {
        let socket = try await ScriptedSocket(greeting: words)
        let error = await #expect(throws: EngineError.self) { _ = try await connect(socket) }
        #expect(error?.code == .failed)
    }

    @Test func endOfQEMUBeforeItIsReadyIsAFailure() async throws {
        let socket = try await ScriptedSocket(greeting: greeting) { _ in .close }
        let error = await #expect(throws: EngineError.self) { _ = try await connect(socket, deadline: .seconds(20)) }
        #expect(error?.code == .failed)
    }

    @Test func endOfQEMUFailsEveryWaitingCommandAndEndsTheEvents() async throws {
        let socket = try await ScriptedSocket(greeting: greeting) {
            $0.contains("qmp_capabilities") ? reply(to: $0) : .nothing
        }
        let connection = try await connect(socket)
        var lines = socket.lines.makeAsyncIterator()
        _ = await lines.next()
        await withDiscardingTaskGroup { group in
            for _ in 0..<20 {
                group.addTask {
                    let error = await #expect(throws: QMPError.self) {
                        try await connection.execute(QMPCommands.Stop())
                    }
                    #expect(error?.code == .closed)
                }
            }
            for _ in 0..<20 { _ = await lines.next() }
            socket.hangUp()
        }
        for await _ in connection.events {}
        let late = await #expect(throws: QMPError.self) { try await connection.execute(QMPCommands.Stop()) }
        #expect(late?.code == .closed)
    }

    @Test func commandWithoutAnswerTimesOutAndTheNextGoesThrough() async throws {
        let socket = try await ScriptedSocket(greeting: greeting) {
            $0.contains("\"stop\"") ? .nothing : reply(to: $0)
        }
        let connection = try await connect(socket)
        let error = await #expect(throws: QMPError.self) {
            try await connection.execute(QMPCommands.Stop(), deadline: .milliseconds(50))
        }
        #expect(error?.code == .timedOut)
        try await connection.execute(QMPCommands.Continue())
    }

    @Test func eventsComeInOrder() async throws {
        let socket = try await ScriptedSocket(greeting: greeting) { reply(to: $0) }
        let connection = try await connect(socket)
        for second in 0..<100 {
            socket.send(
                "{\"event\": \"STOP\", \"timestamp\": {\"seconds\": \(second), \"microseconds\": 0}, \"data\": {}}\r\n"
            )
        }
        var sequences: [UInt64] = []
        for await event in connection.events {
            sequences.append(event.sequence)
            if sequences.count == 100 { break }
        }
        #expect(sequences == Array(0..<100))
    }
}

@Suite struct GuestAgentConnectionTests {
    /// An agent that answers synchronisations, other commands as told, and a ping only before the next synchronisation:
    /// an agent answers in the order in which it was asked.
    private func agent(
        _ answer: @escaping @Sendable (String) -> ScriptedSocket.Answer
    ) async throws -> ScriptedSocket {
        let owesAnswer = Mutex(false)
        return try await ScriptedSocket { line in
            if line.contains("guest-ping") { owesAnswer.withLock { $0 = true } }
            guard line.contains("guest-sync-delimited") else { return answer(line) }
            guard let message = try? JSONValue(parsing: Array(line.utf8)),
                let id = message["arguments"]?["id"]?.intValue
            else { return .close }
            let owed = owesAnswer.withLock { owes -> String in
                defer { owes = false }
                return owes ? "{\"return\": {}}\n" : ""
            }
            return .sendBytes(Array(owed.utf8) + [0xFF] + Array("{\"return\": \(id)}\n".utf8))
        }
    }

    @Test func answersGoToTheirCommandsAndLateOnesToNobody() async throws {
        let socket = try await agent { line in
            line.contains("fsfreeze-status") ? .send("{\"return\": \"thawed\"}\n") : .nothing
        }
        let connection = try await GuestAgentConnection.connect(path: socket.path, group: group)
        let silent = Task { try await connection.execute(GuestAgentCommands.Ping(), deadline: .milliseconds(50)) }
        let error = await #expect(throws: QMPError.self) { try await silent.value }
        #expect(error?.code == .timedOut)
        for _ in 0..<10 {
            #expect(!(try await connection.execute(GuestAgentCommands.FSFreezeStatus(), deadline: .seconds(60))))
        }
        connection.close()
    }

    @Test func silentGuestIsATimeoutForEachCommand() async throws {
        let socket = try await ScriptedSocket()
        let connection = try await GuestAgentConnection.connect(path: socket.path, group: group)
        await withDiscardingTaskGroup { group in
            for _ in 0..<5 {
                group.addTask {
                    let error = await #expect(throws: QMPError.self) {
                        try await connection.execute(GuestAgentCommands.Shutdown(), deadline: .milliseconds(50))
                    }
                    #expect(error?.code == .timedOut)
                }
            }
        }
        connection.close()
    }

    @Test func closedChannelFailsWhatWaitsAndWhatComesLater() async throws {
        let socket = try await ScriptedSocket()
        let connection = try await GuestAgentConnection.connect(path: socket.path, group: group)
        let waiting = Task { try await connection.execute(GuestAgentCommands.Shutdown(), deadline: .seconds(600)) }
        var lines = socket.lines.makeAsyncIterator()
        // The synchronisation: the session is under way.
        _ = await lines.next()
        socket.hangUp()
        let error = await #expect(throws: QMPError.self) { try await waiting.value }
        #expect(error?.code == .closed)
    }
}

@Suite struct SerialConsoleTests {
    @Test func outputIsKeptShownToAllAndEndsWithTheMachine() async throws {
        let socket = try await ScriptedSocket(greeting: "Booting\n")
        let console = try await SerialConsole.connect(path: socket.path, group: group)
        let watchers = (0..<2).map { _ in console.watch() }
        await console.type(Array("root\n".utf8))
        var lines = socket.lines.makeAsyncIterator()
        #expect(await lines.next() == "root")
        socket.send(String(repeating: "x", count: 3 * SerialConsole.capacity) + "end")
        socket.hangUp()
        for watcher in watchers {
            let bytes = await watcher.reduce([]) { $0 + $1 }
            #expect(bytes.suffix(4) == Array("xend".utf8)[...])
        }
        #expect(console.recentOutput.count == SerialConsole.capacity)
        #expect(console.recentOutput.suffix(3) == Array("end".utf8)[...])
        #expect(await console.watch().reduce(0) { count, _ in count + 1 } == 0)
        await console.type([1])
    }
}

@Suite struct QEMUInstallationTests {
    @Test func installedQEMUSaysWhatItIs() async throws {
        let qemu = try await QEMUInstallation.inspect(path: Host.qemu, user: try Host.user())
        #expect(qemu.version >= QEMUVersion(5, 2, 0))
        #expect(qemu.machineTypes.isSuperset(of: ["q35", "pc-q35-5.2", "pc-i440fx-5.2"]))
    }

    @Test(arguments: [("/nonexistent/qemu", EngineError.Code.notFound), ("/bin/false", .failed), ("/bin/cat", .failed)])
    func somethingElseIsRefused(path: String, code: EngineError.Code) async {
        let error = await #expect(throws: EngineError.self) {
            _ = try await QEMUInstallation.inspect(path: path, user: try Host.user())
        }
        #expect(error?.code == code)
        #expect(error?.message.contains(path) == true)
    }

    @Test func probeGuestRunsToItsEndUnderEmulation() async throws {
        let folder = TemporaryFolder()
        var probe = AcceleratorProbe(qemuPath: Host.qemu, user: try Host.user())
        probe.limit = .seconds(60)
        #expect(await probe.run(.tcg, folder: folder.path) == nil)
    }

    @Test func probeThatHangsEndsOrCannotBeRunSaysWhy() async throws {
        let folder = TemporaryFolder()
        let hanging = try await folder.script("hanging", "exec sleep 60")
        let failing = try await folder.script("failing", "echo 'could not access KVM' >&2; exit 1")
        var probe = AcceleratorProbe(qemuPath: hanging, user: try Host.user())
        probe.limit = .milliseconds(100)
        #expect(await probe.run(.kvm, folder: folder.path) == "the test guest did not finish within 0.1 seconds")
        probe = AcceleratorProbe(qemuPath: failing, user: try Host.user())
        probe.limit = .seconds(60)
        #expect(
            await probe.run(.kvm, folder: folder.path) == "the test guest ended with exit code 1: could not access KVM"
        )
        probe = AcceleratorProbe(qemuPath: "/nonexistent", user: try Host.user())
        #expect(await probe.run(.kvm, folder: folder.path)?.hasPrefix("the test guest could not be run") == true)
    }
}
