import RoostAPI
import RoostClient
import ScriptedRoostd
import Testing

@Suite struct ExchangeTests {
    private let machine =
        #"{"id":"AC6B8DC1-3257-4A70-B1B2-A9C9215659AD","name":"web","state":"running","generation":2,"memoryMiB":512}"#

    @Test func answerIsDecodedHoweverItIsCutIntoPieces() async throws {
        let body = "[\(machine)]"
        let text = "HTTP/1.1 200 OK\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)"
        try await ScriptedRoostd.run { connection, _ in
            for character in text.unicodeScalars { try await connection.send(String(character)) }
        } _: { server in
            let machines = try await RoostClient(socketPath: server.socketPath).virtualMachines()
            #expect(machines.map(\.name) == ["web"])
            #expect(machines.first?.memoryMiB == 512)
        }
    }

    @Test func requestSaysItsLengthAndThatTheConnectionEnds() async throws {
        try await ScriptedRoostd.run { connection, _ in
            try await connection.answer("200 OK", "[]")
        } _: { server in
            _ = try await RoostClient(socketPath: server.socketPath).virtualMachines()
            let request = try #require(server.requests.first)
            #expect(request.lines.first == "GET /v1/vms HTTP/1.1")
            #expect(request.lines.contains("content-length: 0"))
            #expect(request.lines.contains("connection: close"))
        }
    }

    @Test(arguments: APIError.Code.allCases)
    func errorInAnAnswerIsThrownAsItIs(code: APIError.Code) async throws {
        let status = code.httpStatus
        try await ScriptedRoostd.run { connection, _ in
            let body = #"{"code":"\#(code.rawValue)","message":"cannot start web: why","cause":"deep"}"#
            try await connection.answer("\(status) Oops", body)
        } _: { server in
            await #expect(throws: APIError(code, "cannot start web: why", cause: "deep")) {
                try await RoostClient(socketPath: server.socketPath).startVirtualMachine("web")
            }
        }
    }

    @Test func failureStatusWithoutAnErrorIsInternal() async throws {
        let error = try await failure { connection in
            try await connection.answer("500 Oops", "<html>no JSON</html>")
        }
        #expect(error.code == .internal)
        #expect(error.message.contains("500"))
    }

    @Test func answerThatIsNotHTTPIsInternal() async throws {
        let error = try await failure { connection in
            try await connection.send("220 mail.example ESMTP\r\n\r\n")
        }
        #expect(error.code == .internal)
        #expect(error.message.contains("does not speak HTTP"))
    }

    @Test(arguments: ["", "{}", "[1]", #"[{"id":"no GUID","name":"x","state":"off"}]"#, "[\u{0}]"])
    func answerThatCannotBeDecodedIsInternal(body: String) async throws {
        let error = try await failure { connection in try await connection.answer("200 OK", body) }
        #expect(error.code == .internal)
        #expect(error.message.contains("GET /v1/vms"))
        #expect(error.cause != nil)
    }

    @Test(arguments: [
        "", "HTTP/1.1 200 OK\r\ncontent-le", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n[\r\n",
        "HTTP/1.1 500 Oops\r\ncontent-length: 100\r\n\r\n{",
    ])
    func connectionThatEndsBeforeTheAnswerDoesIsUnavailable(text: String) async throws {
        let error = try await failure { connection in
            if !text.isEmpty { try await connection.send(text) }
        }
        #expect(error.code == .unavailable)
        #expect(error.message.contains("GET /v1/vms"))
    }

    @Test func informationalAnswerIsSkipped() async throws {
        try await ScriptedRoostd.run { connection, _ in
            try await connection.send("HTTP/1.1 102 Processing\r\n\r\n")
            try await connection.answer("200 OK", "[]")
        } _: { server in
            let machines = try await RoostClient(socketPath: server.socketPath).virtualMachines()
            #expect(machines.isEmpty)
        }
    }

    @Test func silentServerIsATimeout() async throws {
        try await ScriptedRoostd.run { connection, _ in
            try await connection.waitForClose()
        } _: { server in
            let error = await #expect(throws: APIError.self) {
                try await RoostClient(socketPath: server.socketPath, timeoutSeconds: 0).virtualMachines()
            }
            #expect(error?.code == .timeout)
        }
    }

    @Test func cancelledTaskEndsTheRequest() async throws {
        let (started, continuation) = AsyncStream.makeStream(of: Void.self)
        try await ScriptedRoostd.run { connection, _ in
            continuation.yield()
            try await connection.waitForClose()
        } _: { server in
            let task = Task { try await RoostClient(socketPath: server.socketPath).virtualMachines() }
            for await _ in started { break }
            task.cancel()
            let error = await #expect(throws: APIError.self) { try await task.value }
            #expect(error?.code == .cancelled)
        }
    }

    @Test func missingSocketIsUnavailableAndNamed() async throws {
        let error = await #expect(throws: APIError.self) {
            try await RoostClient(socketPath: "/nonexistent/roost.sock").host()
        }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("/nonexistent/roost.sock: is it running?") == true)
    }

    @Test func socketThatNobodyListensOnIsUnavailable() async throws {
        let path = try await ScriptedRoostd.run { _, _ in
        } _: {
            $0.socketPath
        }
        let error = await #expect(throws: APIError.self) { try await RoostClient(socketPath: path).host() }
        #expect(error?.code == .unavailable)
    }

    @Test func tooLongSocketPathIsInvalid() async throws {
        let path = "/" + String(repeating: "x", count: 200)
        let error = await #expect(throws: APIError.self) { try await RoostClient(socketPath: path).host() }
        #expect(error?.code == .invalidArgument)
    }

    /// What asking for the machines throws when the server does as `script` says.
    private func failure(
        _ script: @escaping @Sendable (inout ScriptedConnection) async throws -> Void
    ) async throws -> APIError {
        try await ScriptedRoostd.run { connection, _ in
            try await script(&connection)
        } _: { server in
            let error = await #expect(throws: APIError.self) {
                try await RoostClient(socketPath: server.socketPath).virtualMachines()
            }
            return try #require(error)
        }
    }
}
