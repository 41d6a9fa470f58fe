import ConfigStore
import QEMUDriver
import RoostPrimitives
import Synchronization
import Testing
import VMConfiguration

@testable import HostEngine

/// A machine with one disk in a state directory of its own, and what its disk and its checkpoints have to hold.
final class CheckpointFixture: Sendable {
    /// The bytes of the disk's four regions.
    typealias Contents = [Int]

    /// Where a cut comes.
    enum Cut: Sendable, Hashable {
        case before(Int)
        case behind(Int)
    }

    struct CutOff: Error {}

    let directory: StateDirectory
    let store: ConfigurationStore
    let id: GUID
    /// The configuration's path; an upgrade gives it another one.
    var path: String { paths.withLock { $0 } }
    private let paths: Mutex<String>
    let disk: String
    private let folder = TemporaryFolder()
    private let commits = Mutex((count: 0, cut: Cut?.none))

    init(
        format: RoostSettings.DiskFormat = .qcow2,
        version: ConfigurationVersion = .v8_0
    ) async throws {
        directory = StateDirectory("\(folder.path)/state")
        try directory.prepare()
        store = ConfigurationStore(directory: directory, supportedVersions: ConfigurationVersion.known)
        disk = "\(directory.disks)/web.\(format == .raw ? "img" : format.rawValue)"
        try await DiskImages().create(disk, sizeBytes: 16 << 20, format: format.rawValue)
        var machine = try VirtualMachineConfiguration.new(NewVirtualMachine(name: "web", version: version))
        try machine.addDrive(Drive(location: DriveLocation(.scsi, 0, 0), kind: .hardDisk, path: disk))
        var settings = machine.roost
        settings.diskFormats = [disk: format]
        machine.roost = settings
        id = machine.id
        paths = Mutex(try store.create(machine))
    }

    /// Upgrades the machine to version 8.0.
    func upgrade() throws {
        let old = try configuration()
        let upgraded = try old.converted(to: .v8_0).configuration
        let path = try store.replace(id: id, path: path, version: old.version, with: upgraded)
        paths.withLock { $0 = path }
    }

    /// A keeper that knows what the files say, as that of another roostd would.
    func keeper() throws -> CheckpointKeeper {
        let shelf = CheckpointShelf(CheckpointStore(beside: store))
        try shelf.read()
        #expect(shelf.damaged.isEmpty)
        return CheckpointKeeper(
            shelf: shelf,
            directory: directory,
            images: try DiskImages(),
            user: try .resolve(name: "nobody")
        )
    }

    /// The machine; its transactions are cut off where ``cut(_:)`` says.
    var machine: CheckpointKeeper.Machine {
        CheckpointKeeper.Machine(
            id: id,
            load: { try self.configuration() },
            commit: { change in try self.commit(change) }
        )
    }

    private func commit(
        _ change: (inout VirtualMachineConfiguration) throws -> Void
    ) throws -> VirtualMachineConfiguration {
        let (number, cut) = commits.withLock { commits in
            commits.count += 1
            return (commits.count, commits.cut)
        }
        // Whoever is cut off does nothing any more.
        if case .before(let limit)? = cut, number >= limit { throw CutOff() }
        if case .behind(let limit)? = cut, number > limit { throw CutOff() }
        let changed = try store.update(id: id, path: path, change)
        if case .behind(number)? = cut { throw CutOff() }
        return changed
    }

    /// Cuts the next work off at one of its transactions, counted from 1; nil lets it come to its end.
    func cut(_ cut: Cut?) { commits.withLock { $0 = (0, cut) } }

    /// How many transactions there were since the last ``cut(_:)``.
    var commitCount: Int { commits.withLock { $0.count } }

    func configuration() throws -> VirtualMachineConfiguration { try store.load(id: id, path: path) }

    /// The file that the machine writes.
    func current() throws -> (path: String, format: String) {
        let configuration = try configuration()
        let path = try #require(configuration.drives.first?.path)
        return (path, configuration.roost.diskFormats[path]?.rawValue ?? "qcow2")
    }

    func make(_ name: String, _ keeper: CheckpointKeeper) async throws -> StoredCheckpoint {
        let record = CheckpointRecord(
            machine: id,
            parent: nil,
            name: name,
            kind: .production,
            created: Int64(keeper.shelf.checkpoints(of: id).count),
            receipt: CheckpointReceipt()
        )
        return try await keeper.make(.random(), record, of: machine)
    }

    /// As a guest would: a byte all over one of the four regions.
    func write(_ byte: Int, region: Int) async throws {
        let (path, format) = try current()
        let result = try await io(["-f", format, "-c", "write -P \(byte) \(region)M 1M", path])
        try #require(result.succeeded, "\(result)")
    }

    /// Whether a file reads as it has to.
    func holds(_ contents: Contents, _ path: String, _ format: String) async throws -> Bool {
        let reads = contents.indices.flatMap { ["-c", "read -P \(contents[$0]) \($0)M 1M"] }
        let result = try await io(["-r", "-f", format] + reads + [path])
        let words = String(decoding: result.output, as: UTF8.self) + result.errors
        return result.succeeded && !words.contains("verification failed")
    }

    private func io(_ arguments: [String]) async throws -> ToolResult {
        try await Tool(path: "/usr/bin/qemu-io", user: Tool.ownUser).run(arguments)
    }

    /// The names of all disk files.
    func files() throws -> Set<String> { Set(try FileAccess.names(in: directory.disks)) }

    /// Every file of the machine and its checkpoints reads as it has to, and is in order.
    func expect(
        _ machine: Contents,
        _ checkpoints: [GUID: Contents],
        _ keeper: CheckpointKeeper,
        _ comment: Comment
    ) async throws {
        let (path, format) = try current()
        #expect(try await holds(machine, path, format), "\(comment): the machine")
        let found = keeper.shelf.checkpoints(of: id)
        #expect(Set(found.map(\.id)) == Set(checkpoints.keys), "\(comment): the checkpoints")
        for checkpoint in found {
            let disk = try #require(checkpoint.record.disks.first)
            let kept = try keeper.store.load(id: checkpoint.id, path: checkpoint.path)
            #expect(kept.drives.first?.path == disk.path, "\(comment): \(checkpoint.record.name) names two files")
            #expect(try CheckpointKeeper.disk(disk.path, disk.format) == disk, "\(comment): \(disk.path) was changed")
            let contents = try #require(checkpoints[checkpoint.id])
            #expect(
                try await holds(contents, disk.path, disk.format.rawValue),
                "\(comment): \(checkpoint.record.name) in \(disk.path)"
            )
        }
        for name in try files() where name.hasSuffix(".qcow2") {
            let problem = try await keeper.images.problem(with: "\(directory.disks)/\(name)", format: "qcow2")
            #expect(problem == nil, "\(comment): \(name)")
        }
    }
}
