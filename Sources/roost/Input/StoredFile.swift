import ConfigStore
import RoostAPI
import RoostPrimitives

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Where a file lies: in roostd's state directory, with a second copy, or anywhere else.
struct StoredFile {
    /// The file's path without symbolic links; the file itself may be missing.
    let path: String
    /// The state directory that the file is in; nil for any other place.
    let directory: StateDirectory?

    init(_ path: String) {
        let absolute = Files.absolute(path)
        let folder = Self.real(FileAccess.folder(of: absolute)) ?? FileAccess.folder(of: absolute)
        let name = absolute[(absolute.lastIndex(of: "/").map { absolute.index(after: $0) } ?? absolute.startIndex)...]
        self.path = Self.real(absolute) ?? (folder == "/" ? "/\(name)" : "\(folder)/\(name)")
        directory = Self.stateDirectory(of: self.path)
    }

    /// The path of the second copy that belongs to the file, whether there is one or not; nil for what an upgrade has
    /// sealed, whose copy has another form and is roostd's to look after.
    var copy: String? {
        let name = path[(path.lastIndex(of: "/") ?? path.startIndex)...]
        return name.contains(".sealed") ? nil : directory?.copy(of: path)
    }

    /// What upgrades have sealed beside a machine's configuration.
    func sealed() throws(APIError) -> [String] {
        guard let directory, path.hasSuffix(".vmcx") || path.hasSuffix(".xml") else { return [] }
        let name = path.dropFirst(directory.virtualMachines.count + 1)
        guard let id = GUID(String(name.prefix { $0 != "." })) else { return [] }
        do throws(StoreError) {
            return try ConfigurationStore(directory: directory, supportedVersions: []).sealed(id).map(\.path)
        } catch {
            throw APIError(error)
        }
    }

    /// The path of the second copy that is there.
    var existingCopy: String? { copy.flatMap { access($0, F_OK) == 0 ? $0 : nil } }

    /// Hyper-V calls its folders so too, so something else must show that it is roostd's.
    private static func stateDirectory(of path: String) -> StateDirectory? {
        let folder = FileAccess.folder(of: path)
        let isCheckpoint = folder.hasSuffix("/Snapshots")
        let isMachine = folder.hasSuffix("/Virtual Machines") || isCheckpoint
        var directory = StateDirectory(existing: isMachine ? FileAccess.folder(of: folder) : folder)
        guard isMachine || path == directory.hostFile else { return nil }
        if isCheckpoint { directory = directory.ofCheckpoints }
        let marks = [directory.copies, "\(directory.root)/.lock"]
        return marks.contains { access($0, F_OK) == 0 } ? directory : nil
    }

    private static func real(_ path: String) -> String? {
        guard let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        return String(cString: real)
    }

    // MARK: - Changing

    /// Makes sure that writing the file harms nobody: roostd does not run, and the owner does not change.
    ///
    /// roostd's state directory stays taken until this process ends.
    func claim() throws(APIError) {
        try checkOwner()
        guard let directory else { return }
        do throws(StoreError) {
            // Closed when the process ends, in whatever way.
            _ = try directory.lock()
        } catch {
            guard error.code == .busy else { throw APIError(error) }
            throw APIError(
                .busy,
                "\(path) was not touched, as roostd uses the state directory \(directory.root): stop it first with "
                    + "systemctl stop roostd; the guests run on"
            )
        }
    }

    private func checkOwner() throws(APIError) {
        let exists = access(path, F_OK) == 0
        guard exists || directory != nil else { return }
        let subject = exists ? path : FileAccess.folder(of: path)
        var status = stat()
        guard stat(subject, &status) == 0 else {
            throw APIError(FileAccess.systemError("cannot inspect \(subject)"))
        }
        guard status.st_uid == geteuid() else {
            throw APIError(
                .permissionDenied,
                "\(path) was not touched, as \(subject) belongs to the user with the number \(status.st_uid): "
                    + "run roost as that user, or the file would change hands"
            )
        }
    }

    /// Whether something other than a regular file is at the path, which is never replaced.
    var isSpecial: Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFREG
    }

    /// The access rights of the file; those of a private file when it is missing.
    var mode: UInt32 {
        var status = stat()
        return stat(path, &status) == 0 ? UInt32(status.st_mode & 0o777) : 0o600
    }
}
