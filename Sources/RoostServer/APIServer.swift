package import HostEngine
import Hummingbird
import HummingbirdCore
package import Logging
package import NIOCore
import RoostAPI
import RoostPrimitives

#if canImport(Glibc)
    import Glibc
#endif

/// Serves the HTTP API: decodes, calls the engine, encodes; it decides nothing itself.
package struct APIServer: Sendable {
    typealias Context = BasicRequestContext

    private let host: Host
    private let socketPath: String
    private let log: Logger

    /// A server for a host on a Unix socket.
    package init(host: Host, socketPath: String, log: Logger) {
        self.host = host
        self.socketPath = socketPath
        self.log = log
    }

    /// Serves until the task is cancelled.
    ///
    /// The server is put together here: Hummingbird's `Application` would wake up every second for its `Date` field.
    ///
    /// - Parameter onReady: Called once requests are answered.
    package func run(group: any EventLoopGroup, onReady: @escaping @Sendable () async -> Void) async throws {
        let path = socketPath
        let log = log
        let responder = router().buildResponder()
        let channel = HTTP1Channel { request, writer, channel in
            let context = Context(source: ApplicationRequestContextSource(channel: channel, logger: log))
            try await Self.answer(request, context, responder, writer)
        }
        let server = Server(
            childChannelSetup: channel,
            configuration: ServerConfiguration(address: .unixDomainSocket(path: path)),
            onServerRunning: { _ in
                Self.openToGroup(path)
                await onReady()
            },
            eventLoopGroup: group,
            logger: log
        )
        try await server.run()
    }

    private static func answer(
        _ request: Request,
        _ context: Context,
        _ responder: RouterResponder<Context>,
        _ writer: consuming ResponseWriter
    ) async throws {
        var response: Response
        do {
            response = try await responder.respond(to: request, context: context)
        } catch {
            // The middleware answers errors; none is left over.
            response = .failure(APIError(translating: error))
        }
        response.headers[.date] = httpDate()
        response.headers[.server] = "roostd"
        do {
            try await writer.write(response: response.head, body: response.body)
        } catch {
            throw BrokenAnswer(cause: error)
        }
    }

    /// Gives the socket to the group `roost`, when the host has one: its members may do what roostd may do.
    private static func openToGroup(_ path: String) {
        if let group = getgrnam("roost") { chown(path, UInt32.max, group.pointee.gr_gid) }
        chmod(path, 0o660)
    }

    /// All routes; see `docs/api/http.md`.
    func router() -> Router<Context> {
        let router = Router(context: Context.self)
        router.add(middleware: ErrorMiddleware())
        let api = router.group("v1")
        HostRoutes(host: host).add(to: api)
        MachineRoutes(host: host).add(to: api)
        ImportRoutes(host: host).add(to: api)
        CheckpointRoutes(host: host).add(to: api)
        DiskRoutes(host: host).add(to: api)
        NetworkRoutes(host: host).add(to: api)
        JobRoutes(host: host).add(to: api)
        return router
    }
}

extension Host {
    /// Starts a job and answers with it: at once, or when it has ended if the request waits for that.
    nonisolated func answer(
        _ request: Request,
        _ kind: String,
        subject: String,
        machine: GUID? = nil,
        _ work: @escaping @Sendable (JobCenter.Reporter) async throws -> String?
    ) async throws -> Response {
        // Read first: a request that is refused begins nothing.
        _ = try request.number("wait")
        return try await answer(
            request,
            await context.jobs.run(kind, subject: subject, virtualMachine: machine, work)
        )
    }

    /// Answers with a job that has begun, ended as far as the request waits for it.
    nonisolated func answer(_ request: Request, _ started: Job) async throws -> Response {
        var job = started
        if let seconds = try request.number("wait") { job = try await context.jobs.wait(job.id, seconds: seconds) }
        return try Response.json(job, status: job.state == .running ? .accepted : .ok)
    }
}

/// An answer that could not be written to its end; no second one may follow on the connection.
private struct BrokenAnswer: Error {
    var cause: any Error
}

/// The time now as the `Date` field has it (RFC 9110, section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
func httpDate(_ secondsSinceEpoch: Int = time(nil)) -> String {
    var seconds = secondsSinceEpoch
    var parts = tm()
    gmtime_r(&seconds, &parts)
    // roostd never leaves the C locale, so the names are English.
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 32) { buffer in
        let count = strftime(buffer.baseAddress, buffer.count, "%a, %d %b %Y %H:%M:%S GMT", &parts)
        return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
