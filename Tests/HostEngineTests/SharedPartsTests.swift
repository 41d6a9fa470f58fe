import ConfigStore
import HostEngine
import QEMUDriver
import RoostAPI
import RoostPrimitives
import Testing

@Suite struct EventHubTests {
    private func publish(_ hub: EventHub, _ count: Int) {
        for number in 0..<count { hub.publish("vm.changed", subject: "web", message: "\(number)") }
    }

    @Test func eventsReachEveryListenerInOrderWithoutGaps() async {
        let hub = EventHub()
        let streams = (0..<3).map { _ in hub.listen(since: nil) }
        await withDiscardingTaskGroup { group in
            for _ in 0..<8 { group.addTask { self.publish(hub, 100) } }
        }
        hub.finish()
        for stream in streams {
            var sequences: [UInt64] = []
            for await event in stream { sequences.append(event.sequence) }
            #expect(sequences == Array(1...800))
        }
    }

    @Test func lateListenerGetsWhatIsKeptAndThenWhatComes() async {
        let hub = EventHub()
        publish(hub, 2 * EventHub.kept + 7)
        let all = hub.listen(since: 0)
        let some = hub.listen(since: UInt64(2 * EventHub.kept + 5))
        let none = hub.listen(since: nil)
        publish(hub, 1)
        hub.finish()
        #expect(await all.reduce(0) { count, _ in count + 1 } == EventHub.kept + 1)
        #expect(await some.reduce([]) { $0 + [$1.sequence] } == [2006, 2007, 2008])
        #expect(await none.reduce([]) { $0 + [$1.sequence] } == [2008])
    }

    @Test func listenerWithANumberOfAnEarlierRunGetsAllThatIsKept() async {
        let hub = EventHub()
        for index in 0..<3 { hub.publish("test", subject: "\(index)", message: "") }
        let late = hub.listen(since: 500)
        let current = hub.listen(since: 3)
        hub.finish()
        #expect(await late.reduce(into: []) { $0.append($1.sequence) } == [1, 2, 3])
        #expect(await current.reduce(into: []) { $0.append($1.sequence) } == [])
    }

    @Test func listenerThatFallsBehindLosesTheNewestAndSeesAGap() async {
        let hub = EventHub()
        let stream = hub.listen(since: nil)
        publish(hub, 5000)
        hub.finish()
        #expect(await stream.reduce(0) { $1.sequence == $0 + 1 ? $1.sequence : .max } == 4096)
    }

    @Test func listenerWhoComesAfterTheEndIsNotKeptWaiting() async {
        let hub = EventHub()
        publish(hub, 1)
        hub.finish()
        #expect(await hub.listen(since: nil).reduce(0) { count, _ in count + 1 } == 0)
    }
}

@Suite struct RosterTests {
    @Test func rowsAreListedByNameWithTheUptime() throws {
        let roster = Roster()
        let (one, two, three) = (GUID.random(), GUID.random(), GUID.random())
        roster.set(.init(id: one, name: "web", state: .running), startedAt: secondsSinceEpoch() - 10)
        roster.set(.init(id: two, name: "db", state: .off), startedAt: nil)
        // What a damaged run record may hold.
        roster.set(.init(id: three, name: "odd", state: .running), startedAt: .min)
        #expect(roster.list().map(\.name) == ["db", "odd", "web"])
        #expect((10...12).contains(try #require(roster.summary(one)?.uptimeSeconds)))
        #expect(roster.summary(two)?.uptimeSeconds == nil)
        roster.remove(one)
        #expect(roster.summary(one) == nil)
    }
}

@Suite struct ClockTests {
    @Test(arguments: [
        (0, "1970-01-01T00:00:00Z"), (1_476_264_600, "2016-10-12T09:30:00Z"), (253_402_300_799, "9999-12-31T23:59:59Z"),
        (-1, "1969-12-31T23:59:59Z"),
    ])
    func momentIsWrittenInUTC(seconds: Int, text: String) { #expect(timestamp(Int64(seconds)) == text) }

    @Test(arguments: [Int64.min, .max])
    func momentBeyondTheCalendarIsNoTrap(seconds: Int64) { #expect(timestamp(seconds).hasSuffix("Z")) }
}

@Suite struct SeedImageTests {
    @Test(arguments: [
        ("web", "web"), ("My Server_1", "my-server-1"), ("--a--", "a"), ("é", "vm"), ("", "vm"),
        (String(repeating: "x", count: 80), String(repeating: "x", count: 63)),
        (String(repeating: "x", count: 62) + " y", String(repeating: "x", count: 62)),
    ])
    func hostNameKeepsWhatAHostNameMayHold(name: String, hostName: String) {
        #expect(SeedImage.hostName(name) == hostName)
    }
}

@Suite struct SerialGateTests {
    @Test func operationsPassOneAtATimeAndAFailureLetsTheNextIn() async throws {
        let gate = SerialGate()
        let counter = Counter()
        await withDiscardingTaskGroup { group in
            for number in 0..<50 {
                group.addTask {
                    _ = try? await gate.run {
                        await counter.enter()
                        await Task.yield()
                        await counter.leave()
                        if number % 2 == 0 { throw CancellationError() }
                    }
                }
            }
        }
        #expect(await counter.passed == 50)
        #expect(await counter.most == 1)
    }

    private actor Counter {
        var inside = 0
        var most = 0
        var passed = 0

        func enter() {
            inside += 1
            most = max(most, inside)
        }

        func leave() {
            inside -= 1
            passed += 1
        }
    }

    @Test func diskWorkOfACancelledTaskIsDone() async throws {
        let (done, continuation) = AsyncStream.makeStream(of: Int.self)
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            try await onDisk { _ = continuation.yield(1) }
            continuation.finish()
        }
        task.cancel()
        try await task.value
        #expect(await done.reduce(0, +) == 1)
    }
}

@Suite struct SwitchBoardTests {
    private let folder = TemporaryFolder()

    private var store: ConfigurationStore {
        ConfigurationStore(directory: StateDirectory(folder.path), supportedVersions: [])
    }

    private func board(_ names: [String] = []) async throws -> SwitchBoard {
        let store = try preparedStore()
        var record = HostRecord()
        record.switches = names.map {
            .init(id: .random(), name: $0, type: "private", bridge: "roost-none", interface: "", ownsBridge: false)
        }
        try store.save(record)
        return try await SwitchBoard(store: store)
    }

    private func preparedStore() throws -> ConfigurationStore {
        let store = store
        try store.directory.prepare()
        return store
    }

    @Test func damageOfTheRecordAndItsCopyCostsTheSwitchesAndNothingElse() async throws {
        let before = try await board(["Lab"])
        let (lab, directory) = (try await before.find(name: "Lab"), store.directory)
        let places = [directory.hostFile, directory.copy(of: directory.hostFile)]
        let sound = try places.map { try FileAccess.read($0) }
        for place in places { try FileAccess.write(Array(repeating: 0x5A, count: 70_000), to: place) }

        let board = try await SwitchBoard(store: try preparedStore())
        #expect(board.problem?.description.contains("roost file repair") == true)
        #expect(await board.list().map(\.name) == ["Default Switch"])
        #expect(try await board.find(name: "Default Switch").id == SwitchBoard.defaultSwitch.id)
        #expect(await board.lastBootID == "")
        try await board.note(bootID: "this run")
        // The next roostd of the same run is no start of the host.
        #expect(await (try SwitchBoard(store: try preparedStore())).lastBootID == "this run")
        for attempt in [
            { _ = try await board.find(name: "Lab") }, { _ = try await board.backend(for: lab.id, machine: "web") },
            { _ = try await board.create(CreateSwitchRequest(name: "new", type: .private)) },
            { try await board.remove(name: "Lab", usedBy: []) },
        ] as [@Sendable () async throws -> Void] {
            let error = await #expect(throws: StoreError.self) { try await attempt() }
            #expect(error?.code == .corrupt)
        }
        #expect(try FileAccess.read(places[0]).first == 0x5A)

        // What somebody repairs is used without a new start of roostd.
        for (place, bytes) in zip(places, sound) { try FileAccess.write(bytes, to: place) }
        #expect(try await board.find(name: "Lab").id == lab.id)
        #expect(board.problem == nil)
        #expect(try store.hostRecord().bootID == "this run" && store.hostRecord().switches.map(\.name) == ["Lab"])
    }

    @Test(arguments: [false, true]) func damageBehindTheStartIsMadeGoodFromWhatIsKnown(scrubs: Bool) async throws {
        let board = try await board(["Lab"])
        try await board.note(bootID: "first run")
        let directory = store.directory
        let places = [directory.hostFile, directory.copy(of: directory.hostFile)]
        for place in places { try FileAccess.write(Array(repeating: 0x5A, count: 70_000), to: place) }
        if scrubs {
            #expect(try await board.scrub().map(\.action) == [.remade(keptAs: "\(places[0]).damaged-1")])
        } else {
            try await board.note(bootID: "next run")
        }
        #expect(board.problem == nil)
        let stored = try store.hostRecord()
        #expect(stored.switches.map(\.name) == ["Lab"] && stored.bootID == (scrubs ? "first run" : "next run"))
        for place in places { #expect(try FileAccess.read("\(place).damaged-1").allSatisfy { $0 == 0x5A }) }
        #expect(try await board.scrub().isEmpty)
    }

    @Test func defaultSwitchComesFirstAndBelongsToTheHost() async throws {
        let board = try await board(["zoo", "Lab"])
        #expect(await board.list().map(\.name) == ["Default Switch", "Lab", "zoo"])
        #expect(try await board.backend(for: SwitchBoard.defaultSwitch.id, machine: "web") == .nat)
        let error = await #expect(throws: APIError.self) { try await board.remove(name: "Default Switch", usedBy: []) }
        #expect(error?.code == .invalidArgument)
    }

    @Test func unknownSwitchNamesThoseThereAre() async throws {
        let board = try await board(["Lab"])
        let error = await #expect(throws: APIError.self) { _ = try await board.find(name: "lab") }
        #expect(error?.message == "there is no virtual switch \"lab\": choose \"Default Switch\", \"Lab\"")
    }

    @Test(arguments: [
        (CreateSwitchRequest(name: "", type: .private), APIError.Code.invalidArgument),
        (CreateSwitchRequest(name: "a/b", type: .private), .invalidArgument),
        (CreateSwitchRequest(name: "Lab", type: .private), .exists),
        (CreateSwitchRequest(name: "Default Switch", type: .private), .exists),
        (CreateSwitchRequest(name: "x", type: .nat), .unsupported),
        (CreateSwitchRequest(name: "x", type: .external), .invalidArgument),
        (CreateSwitchRequest(name: "x", type: .external, bridge: "br0", interface: "eth0"), .invalidArgument),
        (CreateSwitchRequest(name: "x", type: .internal, bridge: "br0"), .invalidArgument),
        (CreateSwitchRequest(name: "x", type: .external, bridge: "-delete"), .invalidArgument),
        (CreateSwitchRequest(name: "x", type: .external, bridge: "../../etc"), .invalidArgument),
        (CreateSwitchRequest(name: "x", type: .external, interface: "name-of-17-bytes!"), .invalidArgument),
        (CreateSwitchRequest(name: "x", type: .external, bridge: "roost-none"), .notFound),
    ])
    func requestThatCannotBeMetIsRefused(request: CreateSwitchRequest, code: APIError.Code) async throws {
        let board = try await board(["Lab"])
        let error = await #expect(throws: APIError.self) { _ = try await board.create(request) }
        #expect(error?.code == code)
        #expect(await board.list().count == 2)
    }

    @Test func switchInUseStaysAndNamesItsUsers() async throws {
        let board = try await board(["Lab"])
        let error = await #expect(throws: APIError.self) { try await board.remove(name: "Lab", usedBy: ["db", "web"]) }
        #expect(error?.message.hasPrefix("the switch \"Lab\" is in use by db, web: ") == true)
    }

    @Test func changesAtOnceAreAllKept() async throws {
        let names = (0..<20).map { "switch \($0)" }
        let board = try await board(names)
        try await withThrowingDiscardingTaskGroup { group in
            for name in names { group.addTask { try await board.remove(name: name, usedBy: []) } }
            group.addTask { try await board.note(bootID: "now") }
        }
        #expect(await board.list().count == 1)
        let stored = try store.hostRecord()
        #expect(stored.switches.isEmpty && stored.bootID == "now")
    }
}
