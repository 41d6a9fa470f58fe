import Testing

@testable import QMP

private typealias Action = QMPSession.Action

private let greeting =
    #"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian 1:7.2"}, "#
    + #""capabilities": ["oob"]}}"# + "\r\n"
private let negotiated = #"{"return": {}, "id": 1}"# + "\r\n"
private let parsedGreeting = QMPGreeting(
    version: QMPVersion(major: 7, minor: 2, micro: 22, package: "Debian 1:7.2"),
    capabilities: ["oob"]
)

private func readySession(_ options: QMPSession.Options = QMPSession.Options()) -> QMPSession {
    var session = QMPSession(options: options)
    _ = session.receive((greeting + negotiated).utf8)
    return session
}

extension QMPSession {
    fileprivate mutating func receive(text: String) -> [Action] { receive(text.utf8) }
}

@Suite struct QMPSessionTests {
    @Test func greetingIsAnsweredWithNegotiationAndThenCommandsCanRun() throws {
        var session = QMPSession()
        #expect(throws: QMPError(.notReady, "execute stop: the monitor connection is not ready", command: "stop")) {
            try session.execute("stop")
        }
        #expect(
            session.receive(text: greeting) == [.send(#"{"execute":"qmp_capabilities","id":1}"#.bytes + [0x0A])]
        )
        #expect(throws: QMPError.self) { try session.execute("stop") }
        #expect(session.receive(text: negotiated) == [.ready(parsedGreeting)])
        let request = try session.execute(QMPCommands.QOMGet(path: "/machine", property: "type"))
        let text = #"{"arguments":{"path":"/machine","property":"type"},"execute":"qom-get","id":2}"#
        #expect(request.bytes == text.bytes + [0x0A])
    }

    @Test func outOfBandIsAskedForOnlyWhenWantedAndOnOffer() throws {
        var options = QMPSession.Options()
        options.enablesOutOfBand = true
        options.firstRequestID = 900
        var session = QMPSession(options: options)
        let asked = #"{"arguments":{"enable":["oob"]},"execute":"qmp_capabilities","id":900}"#
        #expect(session.receive(text: greeting) == [.send(asked.bytes + [0x0A])])
        _ = session.receive(text: #"{"return": {}, "id": 900}"# + "\n")
        let request = try session.execute("migrate-pause", outOfBand: true)
        #expect(request.bytes == #"{"exec-oob":"migrate-pause","id":901}"#.bytes + [0x0A])

        var plain = readySession()
        #expect(throws: QMPError.self) { try plain.execute("migrate-pause", outOfBand: true) }
        var without = QMPSession(options: options)
        let actions = without.receive(text: greeting.replacing(#""oob""#, with: ""))
        #expect(actions == [.send(#"{"execute":"qmp_capabilities","id":900}"#.bytes + [0x0A])])
    }

    @Test func everyCutOfTheOpeningGivesTheSameActions() {
        for feed in everyFeed(of: (greeting + negotiated).bytes) {
            var session = QMPSession()
            let actions = feed.flatMap { session.receive($0) }
            let sent = #"{"execute":"qmp_capabilities","id":1}"#.bytes + [0x0A]
            #expect(actions == [.send(sent), .ready(parsedGreeting)])
        }
    }

    /// The talk of a machine started with `-S`: cont, a device that is not there, quit; as QEMU 7.2 holds it.
    @Test func everyCutOfATalkGivesTheSameActions() throws {
        let talk =
            #"{"timestamp": {"seconds": 1795469692, "microseconds": 936935}, "event": "RESUME"}"# + "\r\n"
            + #"{"return": {}, "id": 2}"# + "\r\n"
            + #"{"id": 3, "error": {"class": "DeviceNotFound", "desc": "Device 'nosuch' not found"}}"# + "\r\n"
            + #"{"timestamp": {"seconds": 1795469705, "microseconds": 356298}, "event": "SHUTDOWN", "#
            + #""data": {"guest": false, "reason": "host-qmp-quit"}}"# + "\r\n" + #"{"return": {}, "id": 4}"# + "\r\n"
        let resume = QMPEvent(
            name: "RESUME",
            timestamp: QMPEvent.Timestamp(seconds: 1_795_469_692, microseconds: 936_935),
            sequence: 0
        )
        let shutdown = QMPEvent(
            name: "SHUTDOWN",
            data: ["guest": false, "reason": "host-qmp-quit"],
            timestamp: QMPEvent.Timestamp(seconds: 1_795_469_705, microseconds: 356_298),
            sequence: 1
        )
        let refused = QMPError(command: "device_del", class: .deviceNotFound, description: "Device 'nosuch' not found")
        for feed in everyFeed(of: talk.bytes) {
            var session = readySession()
            let resumed = try session.execute(QMPCommands.Continue())
            let deleted = try session.execute(QMPCommands.DeviceDelete(id: "nosuch"))
            let quit = try session.execute(QMPCommands.Quit())
            let actions = feed.flatMap { session.receive($0) }
            let expected: [Action] = [
                .event(resume), .completed(resumed.id, .success([:])), .completed(deleted.id, .failure(refused)),
                .event(shutdown), .completed(quit.id, .success([:])),
            ]
            #expect(actions == expected)
        }
    }

    @Test func answersAreMatchedByIdInAnyOrder() throws {
        var session = readySession()
        let first = try session.execute("query-name")
        let second = try session.execute("query-kvm")
        let actions = session.receive(text: #"{"return": 2, "id": 3}"# + "\n" + #"{"return": 1, "id": 2}"# + "\n")
        #expect(actions == [.completed(second.id, .success(2)), .completed(first.id, .success(1))])
        #expect(session.pendingCount == 0)
    }

    @Test(arguments: [#"{"return": {}, "id": 77}"#, #"{"id": 77, "error": {"class": "GenericError", "desc": "x"}}"#])
    func answersToNoCommandAreReportedAndHarmless(line: String) throws {
        var session = readySession()
        let request = try session.execute("query-name")
        #expect(session.receive(text: line + "\n") == [.ignoredReply(id: 77)])
        #expect(session.receive(text: #"{"return": {}, "id": 2}"# + "\n") == [.completed(request.id, .success([:]))])
        #expect(session.receive(text: #"{"return": {}, "id": 2}"# + "\n") == [.ignoredReply(id: 2)])
        #expect(session.receive(text: #"{"return": {}, "id": "2"}"# + "\n") == [.ignoredReply(id: "2")])
    }

    @Test func abandonedCommandTimesOutOnceAndItsLateAnswerIsIgnored() throws {
        var session = readySession()
        let request = try session.execute("query-block")
        let error = QMPError(.timedOut, "execute query-block: no answer in time", command: "query-block")
        #expect(session.abandon(request.id) == [.completed(request.id, .failure(error))])
        #expect(session.abandon(request.id) == [])
        #expect(session.receive(text: #"{"return": [], "id": 2}"# + "\n") == [.ignoredReply(id: 2)])
        #expect(session.state == .ready)
    }

    @Test func closeFailsEveryWaitingCommandInOrder() throws {
        var session = readySession()
        let requests = try ["query-name", "stop", "query-block"].map { try session.execute($0) }
        let closed = session.close()
        #expect(closed.count == 3)
        for (action, request) in zip(closed, requests) {
            guard case .completed(request.id, .failure(let error)) = action else {
                Issue.record("\(action) is not the failure of \(request.id)")
                continue
            }
            #expect(error.code == .closed)
        }
        #expect(session.close() == [])
        #expect(session.receive(text: negotiated) == [])
        let error = #expect(throws: QMPError.self) { try session.execute("stop") }
        #expect(error?.code == .closed)
    }

    @Test func closeDuringNegotiationCompletesNothing() {
        var session = QMPSession()
        _ = session.receive(text: greeting)
        #expect(session.close() == [])
        #expect(session.state == .closed)
    }

    @Test(arguments: [
        (#"{"return": {}, "id""#, QMPError.Code.malformedMessage),
        ("garbage", .malformedMessage),
        ("[1]", .protocolViolation),
        (#"{"hello": 1}"#, .protocolViolation),
        (#"{"error": {"class": "GenericError", "desc": "JSON parse error"}}"#, .protocolViolation),
        (#"{"return": {}}"#, .protocolViolation),
        (#"{"id": 2, "error": "x"}"#, .protocolViolation),
        (#"{"event": "STOP"}"#, .unexpectedReply),
        (greeting, .protocolViolation),
    ])
    func messagesThatBreakTheProtocolEndTheSession(line: String, code: QMPError.Code) throws {
        var session = readySession()
        let request = try session.execute("stop")
        let actions = session.receive(text: line + "\r\n" + #"{"return": {}, "id": 2}"# + "\r\n")
        #expect(actions.count == 2)
        guard case .completed(request.id, .failure(let pending)) = actions.first,
            case .failed(let error) = actions.last
        else {
            Issue.record("\(actions)")
            return
        }
        #expect(pending.code == .closed)
        #expect(pending.command == "stop")
        #expect(error.code == code)
        #expect(session.state == .closed)
    }

    @Test(arguments: [negotiated, #"{"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 2}}"# + "\n", "{}\n"])
    func anythingBeforeTheGreetingEndsTheSession(line: String) {
        var session = QMPSession()
        guard case .failed(let error)? = session.receive(text: line).first else {
            Issue.record("the session goes on")
            return
        }
        #expect(error.code == .protocolViolation)
    }

    @Test func refusedNegotiationEndsTheSessionWithThePeersClass() {
        var session = QMPSession()
        _ = session.receive(text: greeting)
        let refusal = #"{"id": 1, "error": {"class": "CommandNotFound", "desc": "no"}}"# + "\n"
        let error = QMPError(command: "qmp_capabilities", class: .commandNotFound, description: "no")
        #expect(session.receive(text: refusal) == [.failed(error)])
        #expect(session.close() == [])
    }

    @Test func messageAtTheLimitIsTakenAndOneByteMoreEndsTheSession() throws {
        var options = QMPSession.Options()
        options.messageSizeLimit = 200
        var session = readySession(options)
        _ = try session.execute("query-name")
        func reply(_ size: Int) -> String {
            let frame = #"{"return": "", "id": 2}"#
            return frame.replacing(#""""#, with: "\"" + String(repeating: "x", count: size - frame.utf8.count) + "\"")
        }
        var copy = session
        #expect(copy.receive(text: reply(200) + "\n").count == 1)
        #expect(copy.state == .ready)
        // The line end is not awaited: a peer that never sends one must not fill the memory.
        let actions = session.receive(text: reply(201))
        guard case .failed(let error)? = actions.last else {
            Issue.record("\(actions)")
            return
        }
        #expect(error.code == .messageTooLarge)
    }

    @Test func emptyLinesAndBareLineFeedsAreTaken() throws {
        var session = readySession()
        let request = try session.execute("stop")
        let actions = session.receive(text: "\r\n\n" + #"{"return": {}, "id": 2}"# + "\n")
        #expect(actions == [.completed(request.id, .success([:]))])
    }

    @Test func noGarbageTraps() throws {
        var generator = SeededGenerator(seed: 20_261)
        let messages = [
            greeting, negotiated, #"{"return": [{"a": 1.5e3}], "id": 2}"# + "\r\n",
            #"{"id": 3, "error": {"class": "GenericError", "desc": "\u00e9"}}"# + "\r\n",
            #"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "SHUTDOWN", "data": {"guest": true}}"# + "\r\n",
        ].map(\.bytes)
        var failures = 0
        for _ in 0..<3_000 {
            var session = readySession()
            _ = try session.execute("query-name")
            _ = try session.execute("query-block")
            var bytes = garbage(of: messages, using: &generator)
            var actions: [Action] = []
            while !bytes.isEmpty {
                let count = Int.random(in: 1...bytes.count, using: &generator)
                actions += session.receive(bytes.prefix(count))
                bytes.removeFirst(count)
            }
            for case .event(let event) in actions { _ = event.kind }
            failures += session.state == .closed ? 1 : 0
            actions += session.close()
            let completed = actions.count { if case .completed = $0 { true } else { false } }
            #expect(completed == 2)
        }
        #expect(failures > 500)
    }
}
