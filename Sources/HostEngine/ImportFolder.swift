import ConfigStore
import HyperVStorage
import QEMUDriver
import RoostAPI
import RoostPrimitives
import VMConfiguration

#if canImport(Glibc)
    import Glibc
#endif

/// A configuration of another host with what lies around it, as read from the disk; every function blocks.
struct ImportFolder: Sendable {
    /// The configuration's path.
    let path: String
    /// What the file holds.
    let source: ImportSource
    /// What was tolerated in it.
    let remarks: [String]

    /// The largest configuration that is read, in bytes.
    private static let sizeLimit = 64 << 20
    /// The largest run record that is looked into; one with a saved state holds the guest's memory.
    private static let runRecordLimit = 16 << 20

    /// Finds and reads a configuration: a file, or the only one in an exported folder.
    ///
    /// - Throws: `APIError` `.notFound` when there is none, `.invalidArgument` when there are several, `.corrupt` and
    ///   `.unsupported` for what cannot be read.
    init(_ path: String) throws {
        self.path = try Self.configuration(at: path)
        let bytes = try FileAccess.read(self.path, limit: Self.sizeLimit)
        var remarks: [String] = []
        let root: KeyNode
        do {
            if self.path.lowercased().hasSuffix(".xml") {
                let document = try ConfigurationXML.parse(bytes)
                root = document.root
                remarks = document.remarks.map(\.description)
            } else {
                let file = try StorageFile(parsing: bytes)
                guard let configuration = file.tree["configuration"] else {
                    throw APIError(.corrupt, "\(self.path) holds no configuration of a virtual machine")
                }
                root = configuration
            }
            source = try ImportSource(root: root)
        } catch let error as StorageError {
            throw APIError(.corrupt, "cannot read \(self.path)", cause: error.message)
        } catch let error as ConfigurationError {
            var translated = APIError(translating: error)
            translated.cause = translated.message
            translated.message = "cannot read \(self.path)"
            throw translated
        }
        self.remarks = remarks
    }

    /// The folder that the configuration lies in.
    private var folder: String { FileAccess.folder(of: path) }

    /// The folder of the whole export: the one above `Virtual Machines`.
    private var base: String {
        Self.lastName(of: folder).lowercased() == "virtual machines" ? FileAccess.folder(of: folder) : folder
    }

    private static func lastName(of path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? ""
    }

    // MARK: - Finding the configuration

    private static func configuration(at path: String) throws -> String {
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw APIError(.notFound, "there is nothing at \(path)", cause: String(cString: strerror(errno)))
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            guard isConfiguration(lastName(of: path)) else {
                throw APIError(.invalidArgument, "\(path) is no configuration: name a .vmcx or .xml file, or a folder")
            }
            return path
        }
        let trimmed = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
        var folders = [trimmed]
        for name in try FileAccess.names(in: trimmed) where name.lowercased() == "virtual machines" {
            folders.append("\(trimmed)/\(name)")
        }
        var found: [String] = []
        for folder in folders {
            // Both kinds of files are called by the machine's identifier.
            found += try FileAccess.names(in: folder).filter { isConfiguration($0) && GUID(stem($0)) != nil }
                .map { "\(folder)/\($0)" }
        }
        guard let only = found.first else {
            throw APIError(
                .notFound,
                "no configuration (<GUID>.vmcx or <GUID>.xml) in \(folders.joined(separator: " or "))"
            )
        }
        guard found.count == 1 else {
            throw APIError(
                .invalidArgument,
                "there are \(found.count) configurations in \(path): name one of "
                    + found.sorted().joined(separator: ", ")
            )
        }
        return only
    }

    private static func isConfiguration(_ name: String) -> Bool {
        [".vmcx", ".xml"].contains { name.lowercased().hasSuffix($0) }
    }

    private static func stem(_ name: String) -> String { name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name }

    // MARK: - What lies around it

    /// The facts that can be found on the disk.
    func facts(disksFolder: String?, user: QEMUUser) throws -> ImportFacts {
        var facts = ImportFacts()
        var folders: [String] = []
        func add(_ path: String) { if !folders.contains(path) { folders.append(path) } }
        add(folder)
        add(base)
        for name in try FileAccess.names(in: base).sorted() where name.lowercased() == "virtual hard disks" {
            add("\(base)/\(name)")
        }
        for path in folders { facts.folders.append(.init(path: path, names: try FileAccess.names(in: path))) }
        if let disksFolder {
            let path =
                disksFolder.count > 1 && disksFolder.hasSuffix("/") ? String(disksFolder.dropLast()) : disksFolder
            facts.folders.append(.init(path: path, names: try FileAccess.names(in: path)))
        }
        for recorded in source.recordedPaths where recorded.hasPrefix("/") {
            guard fileExists(recorded) else { continue }
            if facts.folders.contains(where: { $0.path == FileAccess.folder(of: recorded) }) {
                facts.usablePaths.insert(recorded)
                continue
            }
            // A configuration of a stranger must not lay hands on files that no guest could open.
            do {
                try user.requireAccess(to: recorded, writable: false)
                facts.usablePaths.insert(recorded)
            } catch {
                facts.refusedPaths[recorded] = error.message
            }
        }
        facts.savedStateFiles = try savedStateFiles()
        return facts
    }

    /// The files of a saved state beside the configuration: `<GUID>/*.bin` and `*.vsv`, or a run record that holds one.
    private func savedStateFiles() throws -> [String] {
        let stem = Self.stem(Self.lastName(of: path))
        var found: [String] = []
        for name in try FileAccess.names(in: folder) where Self.stem(name).lowercased() == stem.lowercased() {
            let other = "\(folder)/\(name)"
            if name.lowercased().hasSuffix(".vmrs") {
                if runRecordHoldsState(other) { found.append(other) }
            } else if GUID(name) != nil {
                let inner = (try? FileAccess.names(in: other)) ?? []
                found += inner.filter { $0.lowercased().hasSuffix(".bin") || $0.lowercased().hasSuffix(".vsv") }
                    .map { "\(other)/\($0)" }
            }
        }
        return found.sorted()
    }

    private func runRecordHoldsState(_ path: String) -> Bool {
        var status = stat()
        guard stat(path, &status) == 0 else { return false }
        guard status.st_size <= Self.runRecordLimit else { return true }
        guard let bytes = try? FileAccess.read(path, limit: Self.runRecordLimit),
            let file = try? StorageFile(parsing: bytes)
        else { return false }
        return file.tree["savedstate"]?.children.isEmpty == false
    }

    /// The file with UEFI variables beside the configuration; nil when there is none.
    func guestStateFile() throws -> String? {
        let wanted = "\(Self.stem(Self.lastName(of: path))).vmgs".lowercased()
        return try FileAccess.names(in: folder).first { $0.lowercased() == wanted }.map { "\(folder)/\($0)" }
    }
}

/// Whether a path is a symbolic link.
func isSymbolicLink(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
}

/// Whether a path, its links followed, is a folder.
func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
}

/// Refuses a VHD that holds only what differs from another file, which QEMU would read as if it were whole.
func refuseDifferencingVHD(_ path: String) throws {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileAccess.systemError("cannot open \(path)") }
    defer { close(descriptor) }
    let size = lseek(descriptor, 0, SEEK_END)
    guard size >= VirtualHardDiskFooter.size else { throw APIError(.corrupt, "\(path) is no VHD: it is too short") }
    var bytes = [UInt8](repeating: 0, count: VirtualHardDiskFooter.size)
    let count = pread(descriptor, &bytes, bytes.count, size - off_t(bytes.count))
    guard count == bytes.count else { throw FileAccess.systemError("cannot read \(path)") }
    if VirtualHardDiskFooter.isDifferencing(bytes) {
        throw APIError(.unsupported, "\(path) holds only what differs from another disk: merge them in Hyper-V first")
    }
}
