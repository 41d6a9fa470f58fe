package import HostEngine
import Hummingbird
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
    /// - Parameter onReady: Called once requests are answered.
    package func run(group: any EventLoopGroup, onReady: @escaping @Sendable () async -> Void) async throws {
        let path = socketPath
        let application = Application(
            router: router(), server: .http1(),
            configuration: .init(address: .unixDomainSocket(path: path), serverName: "roostd"),
            onServerRunning: { _ in
                Self.openToGroup(path)
                await onReady()
            }, eventLoopGroupProvider: .shared(group), logger: log)
        try await application.run()
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
        DiskRoutes(host: host).add(to: api)
        NetworkRoutes(host: host).add(to: api)
        JobRoutes(host: host).add(to: api)
        return router
    }
}

extension Host {
    /// Starts a job and answers with it: at once, or when it has ended if the request waits for that.
    nonisolated func answer(
        _ request: Request, _ kind: String, subject: String, machine: GUID? = nil,
        _ work: @escaping @Sendable (JobCenter.Reporter) async throws -> String?
    ) async throws -> Response {
        let seconds = try request.number("wait")
        var job = await context.jobs.run(kind, subject: subject, virtualMachine: machine, work)
        if let seconds { job = try await context.jobs.wait(job.id, seconds: seconds) }
        return try Response.json(job, status: job.state == .running ? .accepted : .ok)
    }
}
