import Foundation
import RoostAPI
import RoostClient

/// A roostd with folders of its own, which can be killed and started again on them.
///
/// Made by ``withRoostd(_:_:)``, which leaves nothing behind but logs.
actor Roostd {
    nonisolated let label: String
    nonisolated let base: String
    nonisolated let stateDirectory: String
    nonisolated let runDirectory: String
    nonisolated let client: RoostClient
    private let log: FileHandle
    private var child: Child?

    /// Folders for a roostd; `stateDirectory` lies elsewhere when given, and the run directory's path has as many bytes as are.
    init(_ label: String, stateDirectory: String? = nil, runDirectoryLength: Int? = nil) throws {
        self.label = label
        // QEMU's user must be able to pass through to the disks, which rules out most temporary folders.
        base = Laboratory.unusedPath("/var/tmp/roost-test-")
        self.stateDirectory = stateDirectory ?? "\(base)/state"
        let path = Laboratory.unusedPath("/tmp/rt")
        runDirectory = path + String(repeating: "r", count: max(0, (runDirectoryLength ?? 0) - path.utf8.count))
        client = RoostClient(socketPath: "\(runDirectory)/roost.sock", timeoutSeconds: 60)
        let files = FileManager.default
        try files.createDirectory(
            atPath: base,
            withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o711]
        )
        try files.createDirectory(atPath: Laboratory.logs, withIntermediateDirectories: true)
        let logPath = "\(Laboratory.logs)/\(label).log"
        try Files.write("", logPath)
        log = try FileHandle(forWritingTo: URL(fileURLWithPath: logPath))
    }

    nonisolated var virtualMachines: String { "\(stateDirectory)/Virtual Machines" }
    nonisolated var disks: String { "\(stateDirectory)/Virtual Hard Disks" }
    nonisolated func configuration(_ id: String) -> String { "\(virtualMachines)/\(id).vmcx" }

    var processID: Int32? { child?.processID }

    /// Starts roostd and waits until it answers.
    func start(_ arguments: [String] = []) async throws {
        let child = try spawn(arguments)
        self.child = child
        try await eventually("roostd \(label) serves", within: 60) {
            guard child.isRunning else { throw Failure("roostd \(label) ended: see \(Laboratory.logs)/\(label).log") }
            return (try? await client.host()) != nil
        }
    }

    /// Starts roostd when it is expected to refuse; returns how it ended.
    func startExpectingEnd(_ arguments: [String] = []) async throws -> Exit {
        let child = try spawn(arguments)
        return try await within(60, "the end of roostd") { await child.exit() }
    }

    /// Starts roostd unless it runs already.
    func startIfNeeded() async throws {
        if child?.isRunning != true { try await start() }
    }

    private func spawn(_ arguments: [String]) throws -> Child {
        // All starts share one file: what happened before a crash is what one wants to read after it.
        try Child(
            Laboratory.roostd,
            ["--state-dir", stateDirectory, "--run-dir", runDirectory, "--log-level", "debug"] + arguments,
            output: log
        )
    }

    /// Kills roostd as a power cut would.
    func kill9() async {
        child?.signal(SIGKILL)
        _ = await child?.exit()
        child = nil
    }

    /// Ends roostd as systemd does.
    func terminate() async throws -> Exit {
        guard let child else { throw Failure("roostd \(label) does not run") }
        child.signal(SIGTERM)
        self.child = nil
        return try await within(30, "the end of roostd after SIGTERM") { await child.exit() }
    }

    /// What roostd has logged so far.
    nonisolated var logText: String {
        (try? String(contentsOfFile: "\(Laboratory.logs)/\(label).log", encoding: .utf8)) ?? ""
    }

    /// The QEMUs of this roostd, whether it knows them or not.
    nonisolated var qemus: [QEMUProcess] { QEMUProcess.all(runDirectory: runDirectory) }

    /// Ends everything and deletes the folders.
    func tearDown() async {
        if child != nil, let switches = try? await client.switches() {
            for item in switches where item.bridge != nil && item.type != .external {
                _ = try? await tool("ip", "link", "delete", "dev", item.bridge ?? "")
            }
        }
        await kill9()
        for qemu in qemus { kill(qemu.processID, SIGKILL) }
        _ = try? await eventually("the tests' QEMUs are gone") { qemus.isEmpty }
        for path in [base, runDirectory, stateDirectory] { try? FileManager.default.removeItem(atPath: path) }
        try? log.close()
    }
}

/// Runs a test with a roostd of its own that serves already, and removes every trace of it.
func withRoostd(
    _ label: String,
    arguments: [String] = [],
    _ body: (Roostd) async throws -> Void
) async throws {
    let roostd = try Roostd(label)
    do {
        try await roostd.start(arguments)
        try await body(roostd)
    } catch {
        await roostd.tearDown()
        throw error
    }
    await roostd.tearDown()
}
