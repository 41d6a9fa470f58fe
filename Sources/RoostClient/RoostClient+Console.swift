import NIOCore
import NIOHTTP1
import RoostAPI

extension RoostClient {
    /// Returns the last 64 KiB that the guest wrote on its serial port.
    ///
    /// Maps to `GET /v1/vms/{vm}/console`.
    public func consoleLog(_ vm: String) async throws -> [UInt8] {
        try await bytes(Request(.get, ["vms", vm, "console"]))
    }

    /// Connects to a machine's serial port until `input` ends or the machine stops.
    ///
    /// - Parameters:
    ///   - vm: The machine's name or GUID.
    ///   - input: What is typed; read only as fast as roostd takes it.
    ///   - connected: Called once roostd has accepted the connection.
    ///   - output: Called with what the guest writes, from now on and in order; roostd waits while it runs.
    ///     What it throws ends the connection and is thrown on.
    ///
    /// Maps to `POST /v1/vms/{vm}/console`.
    public func console<Input: AsyncSequence & Sendable>(
        _ vm: String,
        input: Input,
        connected: @escaping @Sendable () -> Void = {},
        output: @escaping @Sendable ([UInt8]) throws -> Void
    ) async throws where Input.Element == [UInt8], Input.Failure == Never {
        let request = Request(.post, ["vms", vm, "console"], streamsBody: true)
        try await exchange(request) { response, writer in
            try await response.expectSuccess(of: request)
            try response.clearDeadline()
            connected()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await Self.send(input, through: writer) }
                while let chunk = try await response.next() {
                    do { try output(Array(buffer: chunk)) } catch { throw CallerError(error: error) }
                }
                group.cancelAll()
            }
        }
    }

    /// Sends chunks, then the end of the body.
    ///
    /// A failure to write is not reported: the connection is gone then, which the reading side reports with its cause.
    private static func send<Input: AsyncSequence>(
        _ input: Input,
        through writer: ResponseReader.Writer
    ) async where Input.Element == [UInt8], Input.Failure == Never {
        for await chunk in input where !chunk.isEmpty {
            do {
                try await writer.write(.body(.byteBuffer(ByteBuffer(bytes: chunk))))
            } catch {
                return
            }
        }
        guard !Task.isCancelled else { return }
        try? await writer.write(.end(nil))
    }
}
