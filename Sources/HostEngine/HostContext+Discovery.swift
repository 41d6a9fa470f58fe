import ConfigStore
import FoundationEssentials
package import Logging
package import NIOCore
import QEMUDriver
import RoostAPI
import RoostPrimitives
import Synchronization
import VMConfiguration

/// What roostd is told when it starts.
package struct HostOptions: Sendable {
    package var stateDirectory: String
    /// Where second copies of configurations are; nil for a folder of the state directory.
    package var copyDirectory: String?
    package var runDirectory: String
    package var qemuPath: String
    package var qemuUser: String
    /// Another value than the kernel's makes a roostd believe that the host has restarted.
    package var bootID: String?
    /// Skips the proof and uses software emulation.
    package var forcesEmulation = false
    /// How long a guest may be frozen for a checkpoint, in seconds.
    package var freezeLeaseSeconds = 10

    package init(stateDirectory: String, runDirectory: String, qemuPath: String, qemuUser: String) {
        self.stateDirectory = stateDirectory
        self.runDirectory = runDirectory
        self.qemuPath = qemuPath
        self.qemuUser = qemuUser
    }
}

extension HostContext {
    /// Looks at the host: prepares the folders, inspects QEMU, proves the accelerator; what is slow is remembered.
    package static func discover(
        _ options: HostOptions,
        group: any EventLoopGroup,
        log: Logger
    ) async throws -> HostContext {
        let directory = StateDirectory(options.stateDirectory, copies: options.copyDirectory)
        try await onDisk { try directory.prepare() }
        let longest = options.runDirectory.utf8.count + MachineFolder.longestName.utf8.count
        guard longest <= unixSocketPathMaximum else {
            throw APIError(
                .invalidArgument,
                "the run directory \(options.runDirectory) is too long for Unix sockets: at most "
                    + "\(unixSocketPathMaximum - MachineFolder.longestName.utf8.count) bytes"
            )
        }
        try await onDisk {
            try FileAccess.makeFolder(options.runDirectory, mode: 0o755)
            try FileAccess.makePrivateFolder("\(options.runDirectory)/vm")
        }
        let user = try QEMUUser.resolve(name: options.qemuUser)
        let findings = try await HostFindings.load(options, user: user, directory: directory)
        let installation = findings.installation
        guard let level = FunctionalLevel.highest(forQEMU: (installation.version.major, installation.version.minor))
        else {
            throw APIError(.unsupported, "QEMU \(installation.version) is too old: Roost needs 5.2 or newer")
        }
        let events = EventHub()
        let store = ConfigurationStore(
            directory: directory,
            supportedVersions: level.supportedConfigurationVersions,
            report: { [seen = Mutex<Set<String>>([])] report in
                // A copy that cannot be written is news once, not at every look.
                let isNew = seen.withLock { seen in
                    if report.action == .failed { return seen.insert(report.path).inserted }
                    seen.remove(report.path)
                    return true
                }
                if isNew { publish(report, events, log) }
            }
        )
        let switches = try await SwitchBoard(store: store)
        if let problem = switches.problem { log.error("the virtual switches are unknown: \(problem)") }
        guard let bootID = options.bootID ?? ProcessIdentity.currentBootID() else {
            throw APIError(.unsupported, "the host has no /proc/sys/kernel/random/boot_id")
        }
        let images = try DiskImages()
        let keeper = CheckpointKeeper(
            shelf: CheckpointShelf(CheckpointStore(beside: store)),
            directory: directory,
            images: images,
            user: user
        )
        var context = HostContext(
            directory: directory,
            runDirectory: options.runDirectory,
            store: store,
            installation: installation,
            level: level,
            verdict: findings.verdict,
            processorModel: findings.processorModel,
            user: user,
            events: events,
            jobs: JobCenter(events: events, file: directory.jobsFile),
            roster: Roster(),
            switches: switches,
            group: group,
            log: log,
            bootID: bootID,
            images: images,
            keeper: keeper,
            schedules: ScheduleBook { keeper.shelf.lastAutomatic(of: $0) }
        )
        context.freezeLeaseSeconds = options.freezeLeaseSeconds
        return context
    }
}

/// Tells everybody what the store found wrong and put right.
private func publish(_ report: StorageReport, _ events: EventHub, _ log: Logger) {
    let file = report.path.split(separator: "/").last.map(String.init) ?? report.path
    let kind: String
    let level: Logger.Level
    switch report.action {
    case .restored, .remade: (kind, level) = ("storage.restored", .warning)
    case .completed: (kind, level) = ("storage.completed", .notice)
    case .copyRefreshed: (kind, level) = ("storage.copyRefreshed", .notice)
    case .changeAccepted: (kind, level) = ("storage.changeAccepted", .notice)
    case .blocksNoted: (kind, level) = ("storage.blocksNoted", .warning)
    case .headerRepaired: (kind, level) = ("storage.headerRepaired", .warning)
    case .failed: (kind, level) = ("storage.failed", .error)
    }
    log.log(level: level, "\(report)")
    events.publish(
        kind,
        virtualMachine: GUID(file.prefix { $0 != "." }),
        subject: file,
        message: report.description
    )
}

/// What takes a second to find out about a host, and is remembered until QEMU, the kernel or /dev/kvm changes.
private struct HostFindings {
    var installation: QEMUInstallation
    var verdict: AcceleratorVerdict
    var processorModel: String

    private struct Cache: Codable {
        var key: String
        var version: [Int]
        var machineTypes: [String]
        /// Nil as long as the accelerator has not been proved.
        var accelerator: String?
        var reason: String
        var processorModel: String
    }

    static func load(_ options: HostOptions, user: QEMUUser, directory: StateDirectory) async throws -> HostFindings {
        let probe = AcceleratorProbe(qemuPath: options.qemuPath, user: user)
        let file = "\(directory.cache)/host.json"
        let key = probe.cacheKey
        if let key, let cached = read(file), cached.key == key, cached.version.count == 3 {
            let version = QEMUVersion(cached.version[0], cached.version[1], cached.version[2])
            let installation = QEMUInstallation(
                path: options.qemuPath,
                version: version,
                machineTypes: Set(cached.machineTypes),
                firmware: UEFIFirmware.find()
            )
            if options.forcesEmulation { return emulated(installation) }
            if let accelerator = cached.accelerator.flatMap({ Accelerator(rawValue: $0) }) {
                return HostFindings(
                    installation: installation,
                    verdict: .init(accelerator: accelerator, reason: cached.reason),
                    processorModel: cached.processorModel
                )
            }
        }
        let installation = try await QEMUInstallation.inspect(path: options.qemuPath, user: user)
        var findings = emulated(installation)
        if !options.forcesEmulation {
            findings.verdict = await probe.verdict(folder: directory.cache)
            findings.processorModel = await installation.processorModel(
                for: findings.verdict.accelerator,
                user: user
            )
        }
        if let key {
            let version = installation.version
            let cache = Cache(
                key: key,
                version: [version.major, version.minor, version.micro],
                machineTypes: installation.machineTypes.sorted(),
                accelerator: options.forcesEmulation ? nil : findings.verdict.accelerator.rawValue,
                reason: findings.verdict.reason,
                processorModel: findings.processorModel
            )
            if let data = try? JSONEncoder().encode(cache) {
                // Without the cache the next start takes a second longer.
                _ = try? await onDisk { try FileAccess.write(Array(data), to: file) }
            }
        }
        return findings
    }

    private static func emulated(_ installation: QEMUInstallation) -> HostFindings {
        HostFindings(
            installation: installation,
            verdict: AcceleratorVerdict(accelerator: .tcg, reason: "software emulation was asked for"),
            processorModel: "qemu64"
        )
    }

    private static func read(_ file: String) -> Cache? {
        guard let bytes = try? FileAccess.read(file) else { return nil }
        return try? JSONDecoder().decode(Cache.self, from: Data(bytes))
    }
}
