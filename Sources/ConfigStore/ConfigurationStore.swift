package import DurableFiles
import HyperVStorage
package import RoostPrimitives
import Synchronization
package import VMConfiguration

/// What is found at start: one entry for each configuration file, readable or not.
package enum StoredMachine: Sendable {
    case readable(ConfigurationSummary, path: String)
    /// Nobody can use the file, which stays as it is; the reason says why.
    case broken(id: GUID, path: String, reason: StoreError)
}

/// Reads and writes the configurations of a state directory.
///
/// Each has a second copy in another folder. Whatever is damaged in one is put right from the other when it is read, and
/// reported. Every function blocks on the disk: call it from a thread that may. Writes are durable, in both, when they
/// return. One caller at a time per machine: the machine's owner sees to that.
package struct ConfigurationStore: Sendable {
    package let directory: StateDirectory
    /// The configuration versions that the host runs; a file of any other is left alone.
    package let supportedVersions: [ConfigurationVersion]
    let files: any FileSystem
    private let distrusted = DistrustedFiles()
    private let recent = RecentFiles()
    private(set) var report: @Sendable (StorageReport) -> Void

    /// The store of a state directory.
    ///
    /// - Parameters:
    ///   - files: where the directory is.
    ///   - report: is called, on the caller's thread, for everything that was found wrong and put right.
    package init(
        directory: StateDirectory,
        supportedVersions: [ConfigurationVersion],
        files: any FileSystem = FileAccess.system,
        report: @escaping @Sendable (StorageReport) -> Void = { _ in }
    ) {
        self.directory = directory
        self.supportedVersions = supportedVersions
        self.files = files
        self.report = report
    }

    /// The paths of all configuration files, with the machine each belongs to; a file that is missing beside its second
    /// copy is among them.
    package func list() throws(StoreError) -> [(id: GUID, path: String)] {
        let names = try asStore { () throws(FileError) in try files.names(in: directory.virtualMachines) }
        var found = Set(names.filter { id(ofFile: $0) != nil })
        // A folder of copies that cannot be read costs the copies, not the machines.
        for name in (try? files.names(in: directory.copies)) ?? [] where name.hasSuffix(".copy") {
            found.insert(String(name.dropLast(".copy".count)))
        }
        return found.compactMap { name in id(ofFile: name).map { ($0, "\(directory.virtualMachines)/\(name)") } }
            .sorted { ($0.0, $0.1) < ($1.0, $1.1) }
    }

    private func id(ofFile name: String) -> GUID? {
        guard name.hasSuffix(".vmcx") || name.hasSuffix(".xml"), let dot = name.lastIndex(of: ".") else { return nil }
        return GUID(name[..<dot])
    }

    /// Reads one file for the list of machines; never throws, so that one bad file hides no other.
    ///
    /// All checksums of the file are verified, and a file with values outside its tables is compared with its second copy;
    /// unused blocks and the copy's contents only by ``load(id:path:)`` and ``scrub(id:path:)``.
    package func inspect(id: GUID, path: String) -> StoredMachine {
        do throws(StoreError) {
            let file = mirrored(path, of: id)
            // The devices, most of the keys, say nothing that a list shows.
            var tree = file.overview(leavingOut: UInt8(ascii: "_"))
            if tree == nil { tree = try file.open(.listing).content.tree }
            let summary = try Self.understand(tree?["configuration"], of: path) { (root) throws(ConfigurationError) in
                try ConfigurationSummary(root: root)
            }
            try check(summary.id, summary.version, id: id, path)
            return .readable(summary, path: path)
        } catch {
            return .broken(id: id, path: path, reason: error)
        }
    }

    /// Reads a configuration as far as ``inspect(id:path:)`` does: without its devices.
    func glance(id: GUID, path: String) throws(StoreError) -> VirtualMachineConfiguration {
        let file = mirrored(path, of: id)
        var tree = file.overview(leavingOut: UInt8(ascii: "_"))
        if tree == nil { tree = try file.open(.listing).content.tree }
        let configuration = try Self.understand(tree?["configuration"], of: path) { (root) throws(ConfigurationError) in
            try VirtualMachineConfiguration(root: root)
        }
        try check(configuration.id, configuration.version, id: id, path)
        return configuration
    }

    /// A store of another directory that is like this one.
    func inDirectory(_ directory: StateDirectory) -> ConfigurationStore {
        ConfigurationStore(
            directory: directory,
            supportedVersions: supportedVersions,
            files: files,
            report: report
        )
    }

    /// Reads a configuration, and checks every block of its file against the second copy.
    ///
    /// - Throws: `StoreError` `.corrupt` for a damaged file whose second copy cannot help or one that belongs to another
    ///   machine, `.unsupported` for a configuration version that the host does not know, `.notFound` for a file that is
    ///   missing.
    package func load(id: GUID, path: String) throws(StoreError) -> VirtualMachineConfiguration {
        let (opened, configuration) = try open(id: id, path: path, .whole)
        recent.put(opened, path)
        return configuration
    }

    /// Checks every byte of a configuration's file and of its second copy, and puts right what is damaged.
    ///
    /// - Returns: what was found and put right; it is reported as ever, too.
    /// - Throws: as ``load(id:path:)``.
    @discardableResult
    package func scrub(id: GUID, path: String) throws(StoreError) -> [StorageReport] {
        let (store, found) = noting()
        _ = try store.open(id: id, path: path, .scrub)
        return found.reports
    }

    /// The same for a machine's run record, if it has one.
    package func scrubRunRecord(of id: GUID) throws(StoreError) -> [StorageReport] {
        let (store, found) = noting()
        do throws(StoreError) {
            _ = try store.recordFile(id).open(.scrub)
        } catch  where error.code == .notFound {
            return []
        }
        return found.reports
    }

    /// This store with its reports also kept.
    func noting() -> (store: ConfigurationStore, found: NotedReports) {
        let found = NotedReports()
        var store = self
        store.report = { [report] in
            report($0)
            found.add($0)
        }
        return (store, found)
    }

    /// Makes the file of a new machine.
    ///
    /// - Throws: `StoreError` `.exists` when there is one.
    package func create(_ configuration: VirtualMachineConfiguration) throws(StoreError) -> String {
        let path = directory.configuration(configuration.id, configuration.version.fileFormat)
        try mirrored(path).create(KeyNode("", children: [configuration.root]))
        return path
    }

    /// Deletes a configuration with its second copy.
    package func remove(path: String) throws(StoreError) {
        try mirrored(path).remove()
    }

    /// Takes a configuration out of the store and keeps its file, when there is one, under another name.
    package func setAside(path: String, as kept: String) throws(StoreError) {
        try asStore { () throws(FileError) in
            // The copy goes first: alone it would stand for a missing file. It keeps what can be saved of it.
            let copy = directory.copy(of: path)
            let name = kept[(kept.lastIndex(of: "/").map { kept.index(after: $0) } ?? kept.startIndex)...]
            if files.exists(copy) { try files.moveDurably(copy, to: "\(directory.copies)/\(name).kept") }
            if files.exists(path) { try files.moveDurably(path, to: kept) }
        }
    }

    /// Changes a configuration in one transaction and returns it as it is now.
    ///
    /// When `change` throws, or leaves the configuration as it was, nothing is written.
    package func update(
        id: GUID,
        path: String,
        _ change: (inout VirtualMachineConfiguration) throws -> Void
    ) throws -> VirtualMachineConfiguration {
        var handles: MirroredFile.Handles?
        let file = try mirrored(path, of: id).openForChange(&handles)
        var (opened, configuration) = try understand(file, id: id, path: path)
        let before = configuration.root
        try change(&configuration)
        guard configuration.id == id else {
            throw StoreError(.corrupt, "the identifier of \(path) must not change")
        }
        guard configuration.root != before else {
            recent.put(opened, path)
            return configuration
        }
        var tree = opened.content.tree
        guard let index = tree.children.firstIndex(where: { $0.name == configuration.root.name }) else {
            throw StoreError(.corrupt, "\(path) holds no configuration")
        }
        tree.children[index] = configuration.root.takingGeneration(of: tree.children[index])
        try Self.check(configuration, path)
        tree = tree.with(generation: opened.content.generation + 1)
        try mirrored(path).commit(tree, to: &opened, &handles)
        // The same keys, which know where they are stored now; those that have stayed where they were know it already.
        if !opened.content.tree.sharesChildren(with: tree),
            let root = opened.content.tree.withoutGeneration()["configuration"]
        {
            configuration.root = root
        }
        opened.configuration = configuration
        recent.put(opened, path)
        return configuration
    }

    /// Empties the replay log of a configuration's file, so that other programs find a file at rest.
    ///
    /// Call it when a machine is idle and before roostd ends; nothing is lost when it never happens.
    package func settle(path: String) throws(StoreError) {
        try mirrored(path).settle()
    }

    /// The same for a machine's run record.
    package func settleRunRecord(of id: GUID) throws(StoreError) {
        try mirrored(directory.runRecord(id)).settle()
    }

    /// Refuses a configuration that nobody could read again.
    private static func check(_ configuration: VirtualMachineConfiguration, _ path: String) throws(StoreError) {
        do throws(ConfigurationError) {
            _ = try VirtualMachineConfiguration(root: configuration.root)
        } catch {
            throw StoreError(.failed, "\(path) is not changed, as it could not be read again", cause: error.message)
        }
    }

    // MARK: - Opening

    /// A file with its second copy.
    func mirrored(_ path: String) -> MirroredFile {
        MirroredFile(
            path: path,
            copyPath: directory.copy(of: path),
            files: files,
            distrusted: distrusted,
            recent: recent,
            report: report
        )
    }

    /// The configuration of a machine: another one's, and one that the host cannot use, is not touched.
    private func mirrored(_ path: String, of id: GUID) -> MirroredFile {
        var file = mirrored(path)
        file.admits = { [self] (tree) throws(StoreError) in
            let root = tree.withoutGeneration()["configuration"]
            let found = try Self.understand(root, of: path) { (root) throws(ConfigurationError) in
                try VirtualMachineConfiguration(root: root)
            }
            try check(found.id, found.version, id: id, path)
        }
        return file
    }

    private func open(
        id: GUID,
        path: String,
        _ depth: MirroredFile.Depth
    ) throws(StoreError) -> (opened: MirroredFile.Opened, configuration: VirtualMachineConfiguration) {
        try understand(try mirrored(path, of: id).open(depth), id: id, path: path)
    }

    private func understand(
        _ file: MirroredFile.Opened,
        id: GUID,
        path: String
    ) throws(StoreError) -> (opened: MirroredFile.Opened, configuration: VirtualMachineConfiguration) {
        var opened = file
        if let known = opened.configuration { return (opened, known) }
        let root = opened.content.tree.withoutGeneration()["configuration"]
        let configuration = try Self.understand(root, of: path) { (root) throws(ConfigurationError) in
            try VirtualMachineConfiguration(root: root)
        }
        try check(configuration.id, configuration.version, id: id, path)
        opened.configuration = configuration
        return (opened, configuration)
    }

    /// Makes something of a configuration's keys.
    private static func understand<Value>(
        _ root: KeyNode?,
        of path: String,
        _ read: (KeyNode) throws(ConfigurationError) -> Value
    ) throws(StoreError) -> Value {
        guard let root else { throw StoreError(.corrupt, "\(path) holds no configuration") }
        do throws(ConfigurationError) {
            return try read(root)
        } catch {
            throw StoreError(
                error.code == .unknownVersion ? .unsupported : .corrupt,
                "cannot use \(path)",
                cause: error.message
            )
        }
    }

    /// Refuses the configuration of another machine, and one of a version that the host does not run.
    private func check(
        _ found: GUID,
        _ version: ConfigurationVersion,
        id: GUID,
        _ path: String
    ) throws(StoreError) {
        guard found == id else {
            throw StoreError(.corrupt, "\(path) holds the configuration of \(found), another virtual machine")
        }
        guard supportedVersions.contains(version) else {
            throw StoreError(
                .unsupported,
                "\(path) has configuration version \(version), which this host does not run; it runs "
                    + supportedVersions.map(\.description).joined(separator: ", ")
            )
        }
    }
}

/// The reports of one look at a file.
final class NotedReports: Sendable {
    private let noted = Mutex<[StorageReport]>([])

    var reports: [StorageReport] { noted.withLock { $0 } }
    func add(_ report: StorageReport) { noted.withLock { $0.append(report) } }
}
