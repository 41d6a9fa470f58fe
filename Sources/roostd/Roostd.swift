import ArgumentParser
import CRoostLinux
import ConfigStore
import HostEngine
import Logging
import NIOPosix
import RoostAPI
import RoostServer
import ServiceLifecycle
import UnixSignals

#if canImport(Glibc)
    import Glibc
#endif

/// The daemon: owns the virtual machines of one host.
@main
struct Roostd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roostd",
        abstract: "Owns the virtual machines of this host and serves the API.",
        discussion: """
            Guests do not notice when roostd ends, in whatever way: the next roostd finds them again. Several can run on \
            one machine when each has a state and a run directory of its own.

            Example: roostd --state-dir /srv/roost --run-dir /run/roost
            """,
        version: roostVersion
    )

    @Option(help: "The root of configurations and disks.")
    var stateDir = "/var/lib/roost"

    @Option(help: "The folder of second copies, best on another disk. (default: in --state-dir)")
    var copyDir: String?

    @Option(help: "The root of sockets; at most 51 bytes long.")
    var runDir = "/run/roost"

    @Option(help: "The QEMU to use.")
    var qemu = "/usr/bin/qemu-system-x86_64"

    @Option(help: "The user that QEMU runs as when roostd is root.")
    var qemuUser = "roost-qemu"

    @Option(help: "The least severe messages to log: trace, debug, info, notice, warning, error, critical.")
    var logLevel = "info"

    @Flag(help: "Use software emulation without looking for KVM.")
    var emulate = false

    @Option(help: "How often to check every byte of Roost's own files and their copies, in hours; 0 for never.")
    var scrubInterval = 24.0

    @Option(help: "How long a guest may be frozen for a checkpoint, in seconds; then it thaws itself.")
    var freezeLease = 10

    @Option(help: .hidden)
    var bootId: String?

    func run() async throws {
        // Each arena keeps what its threads have freed: one for each thread costs 4 MiB and is no faster.
        roost_limit_arenas(2)
        guard let level = Logger.Level(rawValue: logLevel) else {
            throw ValidationError("there is no log level \"\(logLevel)\"")
        }
        guard scrubInterval >= 0, scrubInterval <= 24 * 366 else {
            throw ValidationError("a scrub interval of \(scrubInterval) hours is not within 0 to 8784")
        }
        guard (3...300).contains(freezeLease) else {
            throw ValidationError("a freeze lease of \(freezeLease) seconds is not within 3 to 300")
        }
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
        let log = Logger(label: "roostd")
        do {
            try await serve(log)
        } catch {
            let failure = APIError(translating: error)
            log.critical("roostd cannot run: \(failure)")
            throw ExitCode(failure.code.exitCode)
        }
    }

    private func serve(_ log: Logger) async throws {
        signal(SIGPIPE, SIG_IGN)
        umask(0o077)
        let group = MultiThreadedEventLoopGroup.singleton
        var options = HostOptions(
            stateDirectory: absolute(stateDir),
            runDirectory: absolute(runDir),
            qemuPath: qemu,
            qemuUser: qemuUser
        )
        options.bootID = bootId
        options.forcesEmulation = emulate
        options.freezeLeaseSeconds = freezeLease
        options.copyDirectory = copyDir.map(absolute)
        let directory = StateDirectory(options.stateDirectory, copies: options.copyDirectory)
        try directory.prepare()
        // Held until the process ends, in whatever way.
        _ = try directory.lock()
        do { try directory.noteCopies() } catch {
            log.warning("other programs will not find the second copies", metadata: ["error": "\(error)"])
        }
        let context = try await HostContext.discover(options, group: group, log: log)
        _ = try FileAccess.lock(
            options.runDirectory,
            "the run directory",
            remedy: "give this one its own --run-dir"
        )
        let host = Host(context)
        try await host.start()
        let socket = "\(options.runDirectory)/roost.sock"
        unlink(socket)
        let server = APIServer(host: host, socketPath: socket, log: log)
        log.info(
            "roostd is up",
            metadata: [
                "socket": "\(socket)", "accelerator": "\(host.info().accelerator)",
                "machines": "\(context.roster.list().count)",
            ]
        )
        var services: [any Service] = [ServerService(server: server, events: context.events)]
        services.append(ScheduleService(host: host))
        if scrubInterval > 0 { services.append(ScrubService(host: host, interval: .seconds(scrubInterval * 3600))) }
        var configuration = ServiceGroupConfiguration(
            services: services,
            gracefulShutdownSignals: [.sigterm, .sigint],
            logger: log
        )
        // Requests that wait for a job may wait for long; the job's outcome is not theirs.
        configuration.maximumGracefulShutdownDuration = .seconds(3)
        configuration.maximumCancellationDuration = .seconds(2)
        try await ServiceGroup(configuration: configuration).run()
        await host.settle()
        unlink(socket)
    }

    private func absolute(_ path: String) -> String {
        var full = path
        if !path.hasPrefix("/") {
            guard let folder = getcwd(nil, 0) else { return path }
            defer { free(folder) }
            full = "\(String(cString: folder))/\(path)"
        }
        // A folder has one name, as files are compared by theirs.
        return "/" + full.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
    }
}

/// Runs the server until roostd is told to end.
private struct ServerService: Service {
    let server: APIServer
    let events: EventHub

    func run() async throws {
        // Streams of events never end by themselves, so they are ended before the server waits for its requests.
        try await withGracefulShutdownHandler {
            try await server.run(group: MultiThreadedEventLoopGroup.singleton) {}
        } onGracefulShutdown: {
            events.finish()
        }
    }
}

/// Takes the checkpoints that machines' schedules ask for, until roostd is told to end.
private struct ScheduleService: Service {
    let host: Host

    func run() async throws {
        await cancelWhenGracefulShutdown { await host.runSchedules() }
    }
}

/// Looks at every byte of the host's files now and then, until roostd is told to end.
private struct ScrubService: Service {
    let host: Host
    let interval: Duration

    func run() async throws {
        await cancelWhenGracefulShutdown { await host.scrubRegularly(every: interval) }
    }
}
