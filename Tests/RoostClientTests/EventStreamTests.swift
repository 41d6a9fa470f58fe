import RoostAPI
import RoostClient
import ScriptedRoostd
import Testing

@Suite struct EventStreamTests {
    private static func line(_ number: Int) -> String {
        #"{"sequence":\#(number),"time":"2026-01-02T03:04:05Z","kind":"vm.state","subject":"web","message":"m"}"# + "\n"
    }

    @Test func eventsComeInOrderHoweverTheyAreCut() async throws {
        let text = (1...20).map(Self.line).joined()
        try await ScriptedRoostd.run { connection, _ in
            try await connection.beginStream()
            var rest = text[...]
            while !rest.isEmpty {
                try await connection.chunk(String(rest.prefix(77)))
                rest = rest.dropFirst(77)
            }
            try await connection.chunk("")
        } _: { server in
            var numbers: [UInt64] = []
            for try await event in RoostClient(socketPath: server.socketPath).events() {
                numbers.append(event.sequence)
            }
            #expect(numbers == Array(1...20))
        }
    }

    @Test func eventIsDeliveredWhileTheStreamGoesOn() async throws {
        try await ScriptedRoostd.run { connection, _ in
            try await connection.beginStream()
            try await connection.chunk(Self.line(1))
            try await connection.waitForClose()
        } _: { server in
            for try await event in RoostClient(socketPath: server.socketPath).events() {
                #expect(event.sequence == 1)
                break
            }
        }
    }

    @Test func streamOutlivesTheDeadlineOfOrdinaryRequests() async throws {
        // Among many other tests a stream may not even begin within a second.
        for _ in 1...100 { if try await streamBegunInTimeOutlivesItsDeadline() { return } }
        Issue.record("no stream has begun within its deadline")
    }

    /// Returns false when the stream has not begun in time, and so nothing was seen.
    private func streamBegunInTimeOutlivesItsDeadline() async throws -> Bool {
        let (asked, ask) = AsyncStream.makeStream(of: Void.self)
        return try await ScriptedRoostd.run { connection, request in
            if request.name == "GET /v1/host" { return try await connection.waitForClose() }
            try await connection.beginStream()
            try await connection.chunk(Self.line(1))
            for await _ in asked { break }
            try await connection.chunk(Self.line(2))
            try await connection.chunk("")
        } _: { server in
            let client = RoostClient(socketPath: server.socketPath, timeoutSeconds: 1)
            var events = client.events().makeAsyncIterator()
            do {
                #expect(try await events.next()?.sequence == 1)
            } catch let error as APIError {
                guard error.code == .timeout else { throw error }
                ask.finish()
                return false
            }
            // A request with the same deadline, begun later, is over: so the stream's deadline would be, too.
            await #expect(throws: APIError.self) { try await client.host() }
            ask.yield()
            #expect(try await events.next()?.sequence == 2)
            let end = try await events.next()
            #expect(end == nil)
            return true
        }
    }

    @Test func leavingTheLoopClosesTheConnection() async throws {
        let (closed, close) = AsyncStream.makeStream(of: Void.self)
        try await ScriptedRoostd.run { connection, _ in
            try await connection.beginStream()
            try await connection.chunk(Self.line(1))
            try? await connection.waitForClose()
            close.yield()
        } _: { server in
            for try await _ in RoostClient(socketPath: server.socketPath).events() { break }
            for await _ in closed { break }
        }
    }

    @Test func garbageInTheStreamIsInternal() async throws {
        let error = try await failure(after: "{\"sequence\":\n")
        #expect(error.code == .internal)
    }

    @Test func endlessLineIsInternal() async throws {
        let error = try await failure(after: String(repeating: "x", count: 2 << 20), closes: false)
        #expect(error.code == .internal)
        #expect(error.message.contains("1048576"))
    }

    @Test func connectionThatBreaksIsUnavailable() async throws {
        let error = try await failure(after: "{\"sequ")
        #expect(error.code == .unavailable)
    }

    @Test func readerThatFallsBehindIsToldSo() async throws {
        let (closed, close) = AsyncStream.makeStream(of: Void.self)
        try await ScriptedRoostd.run { connection, _ in
            try await connection.beginStream()
            for number in 1...(RoostClient.eventBacklog + 1) { try await connection.chunk(Self.line(number)) }
            try? await connection.waitForClose()
            close.yield()
        } _: { server in
            let events = RoostClient(socketPath: server.socketPath).events()
            for await _ in closed { break }
            var count = 0
            let error = await #expect(throws: APIError.self) { for try await _ in events { count += 1 } }
            #expect(error?.code == .unavailable)
            #expect(error?.message.contains("since number 4096") == true)
            #expect(count == RoostClient.eventBacklog)
        }
    }

    private func failure(after text: String, closes: Bool = true) async throws -> APIError {
        try await ScriptedRoostd.run { connection, _ in
            try await connection.beginStream()
            try await connection.chunk(text)
            if !closes { try await connection.waitForClose() }
        } _: { server in
            let error = await #expect(throws: APIError.self) {
                for try await _ in RoostClient(socketPath: server.socketPath).events() {}
            }
            return try #require(error)
        }
    }
}
