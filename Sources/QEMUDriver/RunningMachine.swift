package import NIOCore
import QMP
package import VMConfiguration

#if canImport(Glibc)
    import Glibc
#endif

/// A QEMU with its connections: just started, or found again after a restart of roostd.
package struct RunningMachine: Sendable {
    package var process: SpawnedProcess
    package var monitor: MonitorConnection
    package var agent: GuestAgentConnection
    package var console: SerialConsole
    package var folder: MachineFolder
    package var version: QEMUVersion

    /// What a start needs besides the configuration.
    package struct LaunchRequest: Sendable {
        package var qemuPath: String
        package var user: QEMUUser
        package var folder: MachineFolder
        package var configuration: VirtualMachineConfiguration
        /// Builds the plan, given QEMU's descriptors of the monitor, agent and serial sockets.
        package var plan: @Sendable (_ monitor: Int, _ agent: Int, _ serial: Int) -> MachinePlan
        /// Further descriptors for QEMU (tap devices); the first becomes ``firstFreeDescriptor``.
        package var descriptors: [OwnedDescriptor] = []
        package var deadline = Duration.seconds(30)

        package init(
            qemuPath: String,
            user: QEMUUser,
            folder: MachineFolder,
            configuration: VirtualMachineConfiguration,
            plan: @escaping @Sendable (Int, Int, Int) -> MachinePlan
        ) {
            self.qemuPath = qemuPath
            self.user = user
            self.folder = folder
            self.configuration = configuration
            self.plan = plan
        }
    }

    /// The number that the first of a request's further descriptors has in QEMU.
    package static let firstFreeDescriptor = 6

    /// Starts QEMU with the guest's processors stopped, and connects to it.
    ///
    /// - Parameter onSpawn: Called once the process exists, before QEMU has come up.
    /// - Throws: `EngineError` with QEMU's last words; no process is left then.
    package static func launch(
        _ request: LaunchRequest,
        group: any EventLoopGroup,
        onSpawn: @Sendable (SpawnedProcess) -> Void
    ) async throws -> RunningMachine {
        let folder = request.folder
        try folder.prepare(for: request.user)
        let process = try start(request)
        onSpawn(process)
        do {
            return try await connect(to: { process }, folder: folder, group: group, deadline: request.deadline)
        } catch {
            process.signal(SIGKILL)
            let end = await process.end()
            throw EngineError(
                (error as? EngineError)?.code == .timeout ? .timeout : .failed,
                "QEMU did not start (\(end))",
                cause: folder.lastWords() ?? "\(error)"
            )
        }
    }

    private static func start(_ request: LaunchRequest) throws(EngineError) -> SpawnedProcess {
        let folder = request.folder
        let monitor = try listenOnUnixSocket(folder.monitorSocket)
        let agent = try listenOnUnixSocket(folder.agentSocket)
        let serial = try listenOnUnixSocket(folder.serialSocket)
        let plan = request.plan(3, 4, 5)
        // The folder belongs to QEMU's user, so what lies there is not followed elsewhere.
        let log = try openFile(folder.log, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW)
        let null = try openFile("/dev/null", O_RDWR)
        let owned = [null, log, log, monitor, agent, serial] + request.descriptors
        defer { withExtendedLifetime(owned) {} }
        return try spawn(
            SpawnRequest(
                path: request.qemuPath,
                arguments: MachineArguments.build(request.configuration, plan),
                environment: ["PATH=/usr/bin:/bin", "LC_ALL=C", "HOME=/nonexistent"],
                directory: folder.path,
                descriptors: owned.map(\.number),
                user: request.user
            )
        )
    }

    private static func openFile(_ path: String, _ flags: Int32) throws(EngineError) -> OwnedDescriptor {
        let number = open(path, flags | O_CLOEXEC, 0o600)
        guard number >= 0 else { throw EngineError(.failed, "cannot open \(path)", cause: systemErrorText(errno)) }
        return OwnedDescriptor(number)
    }

    /// Connects to a QEMU that runs.
    ///
    /// - Parameter find: Names its process once the monitor has answered; only then is it sure that the program runs,
    ///   and its arguments can be looked at.
    /// - Throws: `EngineError` `.notFound` when nobody listens or the process is not found, `.timeout`, `.failed`.
    package static func connect(
        to find: @Sendable () -> SpawnedProcess?,
        folder: MachineFolder,
        group: any EventLoopGroup,
        deadline: Duration
    ) async throws -> RunningMachine {
        let (monitor, greeting) = try await MonitorConnection.connect(
            path: folder.monitorSocket,
            group: group,
            deadline: deadline
        )
        var agent: GuestAgentConnection?
        do {
            let agentChannel = try await GuestAgentConnection.connect(path: folder.agentSocket, group: group)
            agent = agentChannel
            let console = try await SerialConsole.connect(path: folder.serialSocket, group: group)
            guard let process = find() else {
                console.close()
                throw EngineError(.notFound, "no process belongs to the sockets in \(folder.path)")
            }
            return RunningMachine(
                process: process,
                monitor: monitor,
                agent: agentChannel,
                console: console,
                folder: folder,
                version: QEMUVersion(greeting.version)
            )
        } catch {
            monitor.close()
            agent?.close()
            throw error
        }
    }

    /// Finds the process of a machine whose start was cut off before its id was recorded: the one of QEMU's user that
    /// works in the machine's folder and has its identifier among its arguments.
    package static func findUnrecorded(folder: MachineFolder, uuid: String, user: QEMUUser) -> SpawnedProcess? {
        guard let processes = opendir("/proc") else { return nil }
        defer { closedir(processes) }
        while let entry = readdir(processes) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard let number = Int32(name), isMachine(number, folder: folder, uuid: uuid, user: user),
                let identity = ProcessIdentity.current(processID: number)
            else { continue }
            return SpawnedProcess.find(identity)
        }
        return nil
    }

    private static func isMachine(_ process: Int32, folder: MachineFolder, uuid: String, user: QEMUUser) -> Bool {
        var status = stat()
        guard stat("/proc/\(process)", &status) == 0, status.st_uid == user.userID,
            let commandLine = readSmallFile("/proc/\(process)/cmdline"),
            String(decoding: commandLine, as: UTF8.self).split(separator: "\0").contains(Substring(uuid))
        else { return false }
        var own = stat()
        var its = stat()
        return stat(folder.path, &own) == 0 && stat("/proc/\(process)/cwd", &its) == 0
            && own.st_dev == its.st_dev && own.st_ino == its.st_ino
    }

    /// Lets go of the connections; QEMU goes on.
    package func disconnect() {
        monitor.close()
        agent.close()
        console.close()
    }
}
