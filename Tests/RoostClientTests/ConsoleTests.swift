import RoostAPI
import RoostClient
import ScriptedRoostd
import Synchronization
import Testing

@Suite struct ConsoleTests {
    /// What a console printed, for tests that wait for it.
    private final class Printed: Sendable {
        let text = Mutex("")
        let (changes, continuation) = AsyncStream.makeStream(of: String.self)

        func append(_ bytes: [UInt8]) {
            let text = text.withLock { text in
                text += String(decoding: bytes, as: UTF8.self)
                return text
            }
            continuation.yield(text)
        }

        func wait(for text: String) async {
            for await current in changes where current == text { return }
        }
    }

    @Test func bothDirectionsFlowAtOnceUntilTheInputEnds() async throws {
        let printed = Printed()
        let (input, keys) = AsyncStream.makeStream(of: [UInt8].self)
        try await ScriptedRoostd.run { connection, request in
            #expect(request.lines.contains("transfer-encoding: chunked"))
            try await connection.beginStream()
            try await connection.chunk("login: ")
            #expect(try await connection.receive(until: "\r\n") == "4\r\n")
            #expect(try await connection.receive(until: "\r\n") == "root\r\n")
            try await connection.chunk("root!")
            #expect(try await connection.receive(until: "\r\n\r\n") == "0\r\n\r\n")
            try await connection.chunk("")
        } _: { server in
            let client = RoostClient(socketPath: server.socketPath)
            let task = Task { try await client.console("web", input: input) { printed.append($0) } }
            await printed.wait(for: "login: ")
            keys.yield(Array("root".utf8))
            await printed.wait(for: "login: root!")
            keys.finish()
            try await task.value
        }
    }

    @Test func machineThatStopsEndsTheConsoleAlthoughInputIsOpen() async throws {
        let printed = Printed()
        let (input, keys) = AsyncStream.makeStream(of: [UInt8].self)
        try await ScriptedRoostd.run { connection, _ in
            try await connection.beginStream()
            try await connection.chunk("Power down.")
            try await connection.chunk("")
        } _: { server in
            try await RoostClient(socketPath: server.socketPath).console("web", input: input) { printed.append($0) }
        }
        keys.finish()
        #expect(printed.text.withLock { $0 } == "Power down.")
    }

    @Test func refusalIsThrownBeforeAnythingIsTyped() async throws {
        let connected = Mutex(false)
        try await ScriptedRoostd.run { connection, _ in
            try await connection.answer("409 Conflict", #"{"code":"invalidState","message":"web is off"}"#)
        } _: { server in
            await #expect(throws: APIError(.invalidState, "web is off")) {
                try await RoostClient(socketPath: server.socketPath).console(
                    "web",
                    input: AsyncStream<[UInt8]> { [1] },
                    connected: { connected.withLock { $0 = true } },
                    output: { _ in }
                )
            }
        }
        #expect(connected.withLock { $0 } == false)
    }

    @Test func connectionThatBreaksIsUnavailable() async throws {
        let (input, keys) = AsyncStream.makeStream(of: [UInt8].self)
        try await ScriptedRoostd.run { connection, _ in
            try await connection.beginStream()
        } _: { server in
            let error = await #expect(throws: APIError.self) {
                try await RoostClient(socketPath: server.socketPath).console("web", input: input) { _ in }
            }
            #expect(error?.code == .unavailable)
        }
        keys.finish()
    }

    @Test func errorOfTheOutputIsThrownAsItIs() async throws {
        struct Full: Error {}
        let (input, keys) = AsyncStream.makeStream(of: [UInt8].self)
        try await ScriptedRoostd.run { connection, _ in
            try await connection.beginStream()
            try await connection.chunk("x")
            try await connection.waitForClose()
        } _: { server in
            await #expect(throws: Full.self) {
                try await RoostClient(socketPath: server.socketPath).console("web", input: input) { _ in throw Full() }
            }
        }
        keys.finish()
    }
}
