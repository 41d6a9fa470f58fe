import Testing

@testable import QMP

private typealias Action = GuestAgentSession.Action

private func sync(_ id: Int) -> [UInt8] {
    [0xFF] + syncBehind(id)
}

private func syncBehind(_ id: Int) -> [UInt8] {
    #"{"arguments":{"id":\#(id)},"execute":"guest-sync-delimited"}"#.bytes + [0x0A]
}

private func synced(_ id: Int) -> [UInt8] { [0xFF] + "{\"return\": \(id)}\n".bytes }

/// What the agent says to the byte 0xFF itself.
private let strayByte =
    #"{"error": {"class": "GenericError", "desc": "JSON parse error, stray '\uFFFD'"}}"#.bytes + [0x0A]

private let ping = #"{"execute":"guest-ping"}"#.bytes + [0x0A]
private let done = #"{"return": {}}"#.bytes + [0x0A]

private func idleSession(limit: Int = 1 << 20) -> GuestAgentSession {
    var session = GuestAgentSession(firstSyncID: 100, messageSizeLimit: limit)
    _ = session.connect()
    _ = session.receive(strayByte + synced(101))
    return session
}

private func code(_ action: Action?) -> QMPError.Code? {
    if case .completed(_, .failure(let error)) = action { error.code } else { nil }
}

@Suite struct GuestAgentSessionTests {
    @Test func connectSynchronisesBeforeTheFirstCommand() throws {
        var session = GuestAgentSession(firstSyncID: 100)
        #expect(throws: QMPError.self) { try session.execute(GuestAgentCommands.Ping()) }
        #expect(session.connect() == [.send(sync(101))])
        let (id, actions) = try session.execute(GuestAgentCommands.Ping())
        #expect(actions == [])
        #expect(session.receive(strayByte) == [])
        #expect(session.receive(synced(101)) == [.synchronized, .send(ping)])
        #expect(session.receive(done) == [.completed(id, .success([:]))])
        #expect(session.state == .idle)
    }

    @Test func everyCutOfATalkGivesTheSameActions() throws {
        // Left over from an earlier owner: half an answer, an answer, an answer to its synchronisation.
        let stale = #"rn": {"version": "7.2"}}"#.bytes + [0x0A] + done + synced(55) + [0xFF] + #"{"retu"#.bytes
        let talk = stale + strayByte + [0xFF, 0xFF] + #"{"return": 101}"#.bytes + [0x0A] + done
        for feed in everyFeed(of: talk) {
            var session = GuestAgentSession(firstSyncID: 100)
            _ = session.connect()
            let (id, _) = try session.execute(GuestAgentCommands.Ping())
            let actions = feed.flatMap { session.receive($0) }
            #expect(actions == [.synchronized, .send(ping), .completed(id, .success([:]))])
        }
    }

    @Test(arguments: [synced(100), synced(102), #"{"return": 101}"#.bytes + [0x0A], done, [0xFF] + done, [0xFF, 0x0A]])
    func nothingButTheRightNumberBehindADelimiterSynchronises(bytes: [UInt8]) {
        var session = GuestAgentSession(firstSyncID: 100)
        _ = session.connect()
        #expect(session.receive(bytes) == [])
        #expect(session.state == .synchronizing)
        #expect(session.receive(synced(101)) == [.synchronized])
    }

    @Test func commandsRunOneAtATimeInOrder() throws {
        var session = idleSession()
        let (first, sent) = try session.execute(GuestAgentCommands.Ping())
        let (second, waiting) = try session.execute(GuestAgentCommands.GetHostName())
        #expect(sent == [.send(ping)])
        #expect(waiting == [])
        #expect(session.pendingCount == 2)
        let next = #"{"execute":"guest-get-host-name"}"#.bytes + [0x0A]
        #expect(session.receive(done) == [.completed(first, .success([:])), .send(next)])
        let answer = #"{"return": {"host-name": "vm"}}"#.bytes + [0x0A]
        #expect(session.receive(answer) == [.completed(second, .success(["host-name": "vm"]))])
    }

    @Test func errorKeepsItsClassAndTheConversationGoesOn() throws {
        var session = idleSession()
        let (id, _) = try session.execute("nosuch")
        let answer = #"{"error": {"class": "CommandNotFound", "desc": "not found"}}"#.bytes + [0x0A]
        let error = QMPError(command: "nosuch", class: .commandNotFound, description: "not found")
        #expect(session.receive(answer) == [.completed(id, .failure(error))])
        #expect(session.state == .idle)
    }

    @Test func lateAnswerOfATimedOutCommandIsDropped() throws {
        var session = idleSession()
        let (slow, _) = try session.execute(GuestAgentCommands.GetFSInfo())
        #expect(session.abandon(slow).map(code) == [.timedOut])
        #expect(session.state == .unsynchronized)
        let (id, actions) = try session.execute(GuestAgentCommands.Ping())
        #expect(actions == [.send(sync(102))])
        #expect(session.receive(#"{"return": []}"#.bytes + [0x0A] + strayByte) == [])
        #expect(session.receive(synced(102)) == [.synchronized, .send(ping)])
        #expect(session.receive(done) == [.completed(id, .success([:]))])
    }

    @Test func timeOutWithAQueueSynchronisesAtOnceAndAWaitingCommandCanTimeOutToo() throws {
        var session = idleSession()
        let (slow, _) = try session.execute(GuestAgentCommands.GetFSInfo())
        let (waiting, _) = try session.execute(GuestAgentCommands.Ping())
        let actions = session.abandon(slow)
        #expect(actions.count == 2)
        #expect(actions.last == .send(sync(102)))
        #expect(session.abandon(waiting).map(code) == [.timedOut])
        #expect(session.abandon(waiting) == [])
        #expect(session.receive(synced(102)) == [.synchronized])
    }

    @Test(arguments: [
        ("{\"return\"\n".bytes, QMPError.Code.malformedMessage),
        ("[]\n".bytes, .protocolViolation),
        ("{}\n".bytes, .protocolViolation),
        ("\n".bytes, .malformedMessage),
        ("{\"error\": 1}\n".bytes, .protocolViolation),
        (synced(101), .malformedMessage),
        ([UInt8](repeating: 0x20, count: 301), .messageTooLarge),
    ])
    func garbledAnswerFailsItsCommandAndTheNextSynchronises(bytes: [UInt8], expected: QMPError.Code) throws {
        var session = idleSession(limit: 300)
        _ = try session.execute(GuestAgentCommands.GetFSInfo())
        let (next, _) = try session.execute(GuestAgentCommands.Ping())
        let actions = session.receive(bytes)
        #expect(code(actions.first) == expected)
        #expect(actions.dropFirst() == [.send(sync(102))])
        #expect(session.receive("tail of it\n".bytes + synced(102)) == [.synchronized, .send(ping)])
        #expect(session.receive(done) == [.completed(next, .success([:]))])
    }

    @Test func unaskedMessageIsReportedAndTheNextCommandSynchronises() throws {
        var session = idleSession()
        let actions = session.receive(done + done)
        #expect(actions.count == 1)
        guard case .ignored(let error)? = actions.first else {
            Issue.record("\(actions)")
            return
        }
        #expect(error.code == .protocolViolation)
        #expect(try session.execute(GuestAgentCommands.Ping()).actions == [.send(sync(102))])
    }

    @Test func oversizedAnswerWhileSynchronisingIsDroppedWithoutBeingKept() {
        var session = GuestAgentSession(firstSyncID: 100, messageSizeLimit: 64)
        _ = session.connect()
        for _ in 0..<100 { #expect(session.receive([0xFF] + [UInt8](repeating: 0x61, count: 1_000)) == []) }
        #expect(session.receive(synced(101)) == [.synchronized])
    }

    @Test func silentCommandSucceedsWithTheSynchronisationBehindIt() throws {
        var session = idleSession()
        let (id, actions) = try session.execute(GuestAgentCommands.Shutdown())
        let command = #"{"arguments":{"mode":"powerdown"},"execute":"guest-shutdown"}"#.bytes + [0x0A]
        #expect(actions == [.send(command + syncBehind(102))])
        #expect(session.receive(synced(102)) == [.completed(id, .success(.null))])
        #expect(session.state == .idle)
    }

    @Test func silentCommandFailsWithTheErrorBeforeTheSynchronisation() throws {
        var session = idleSession()
        let (id, _) = try session.execute(GuestAgentCommands.Shutdown())
        let (next, _) = try session.execute(GuestAgentCommands.Ping())
        let answer = #"{"error": {"class": "GenericError", "desc": "no"}}"#.bytes + [0x0A]
        let error = QMPError(command: "guest-shutdown", class: .genericError, description: "no")
        #expect(session.receive(answer) == [.completed(id, .failure(error))])
        #expect(session.receive(synced(102)) == [.synchronized, .send(ping)])
        #expect(session.receive(done) == [.completed(next, .success([:]))])
    }

    @Test func disconnectFailsEveryCommandAndReconnectSynchronisesAnew() throws {
        var session = idleSession()
        _ = try session.execute(GuestAgentCommands.Ping())
        _ = try session.execute(GuestAgentCommands.Ping())
        _ = session.receive("{\"ret".bytes)
        #expect(session.disconnect().map(code) == [.closed, .closed])
        #expect(session.disconnect() == [])
        #expect(session.receive(done) == [])
        #expect(session.connect() == [.send(sync(102))])
        #expect(session.receive(synced(101)) == [])
        #expect(session.receive(synced(102)) == [.synchronized])
    }

    @Test func connectAnewFailsTheRunningCommandAndKeepsTheQueue() throws {
        var session = idleSession()
        _ = try session.execute(GuestAgentCommands.GetFSInfo())
        let (kept, _) = try session.execute(GuestAgentCommands.Ping())
        let actions = session.connect()
        #expect(code(actions.first) == .closed)
        #expect(actions.dropFirst() == [.send(sync(102))])
        #expect(session.receive(synced(102)) == [.synchronized, .send(ping)])
        #expect(session.receive(done) == [.completed(kept, .success([:]))])
    }

    @Test func noGarbageTrapsAndTheSessionAlwaysRecovers() throws {
        var generator = SeededGenerator(seed: 20_262)
        let messages = [strayByte, synced(101), synced(102), synced(103), done, #"{"return": [1.5]}"#.bytes + [0x0A]]
        for _ in 0..<3_000 {
            var session = idleSession(limit: 120)
            var open: Set<GuestAgentSession.RequestID> = []
            open.insert(try session.execute(GuestAgentCommands.Ping()).id)
            open.insert(try session.execute(GuestAgentCommands.Shutdown()).id)
            var bytes = garbage(of: messages, using: &generator)
            var actions: [Action] = []
            while !bytes.isEmpty {
                let count = Int.random(in: 1...bytes.count, using: &generator)
                actions += session.receive(bytes.prefix(count))
                bytes.removeFirst(count)
            }
            actions += session.disconnect()
            for case .completed(let id, _) in actions { #expect(open.remove(id) != nil) }
            #expect(open.isEmpty)
            guard case .send(let greeting)? = session.connect().last else {
                Issue.record("no synchronisation")
                continue
            }
            let id = try #require(try JSONValue(parsing: greeting.dropFirst())["arguments"]?["id"]?.intValue)
            #expect(session.receive(synced(Int(id))) == [.synchronized])
        }
    }
}
