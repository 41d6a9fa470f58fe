package import HyperVStorage

#if canImport(Glibc)
    import Glibc
#endif

/// Durable file operations: each is on stable storage when it returns, and leaves the old or the new state when it throws.
package enum FileAccess {
    /// The largest file read into memory, in bytes: configurations take some ten thousand.
    package static let sizeLimit = 256 << 20

    /// Reads a whole regular file.
    ///
    /// - Parameter followingLinks: false where an untrusted user owns the folder, and a link could lead to a file that
    ///   the user cannot read.
    package static func read(
        _ path: String,
        limit: Int = sizeLimit,
        followingLinks: Bool = true
    ) throws(StoreError) -> [UInt8] {
        // Without O_NONBLOCK a pipe in the file's place would keep us waiting for ever.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (followingLinks ? 0 : O_NOFOLLOW))
        guard descriptor >= 0 else { throw systemError("cannot open \(path)") }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw systemError("cannot inspect \(path)") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw StoreError(.corrupt, "\(path) is not a regular file") }
        guard status.st_size <= limit else {
            throw StoreError(.corrupt, "\(path) has \(status.st_size) bytes, more than the \(limit) allowed")
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeMutableBytes { buffer in
                pread(descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, off_t(done))
            }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw systemError("cannot read \(path)") }
            if count == 0 { break }
            done += count
        }
        if done < bytes.count { bytes.removeLast(bytes.count - done) }
        return bytes
    }

    /// Makes or replaces a file as a whole: a temporary file, synced, renamed, and the folder synced.
    ///
    /// - Parameter replacing: false makes an existing file an error.
    package static func write(
        _ bytes: [UInt8],
        to path: String,
        mode: UInt32 = 0o600,
        replacing: Bool = true
    ) throws(StoreError) {
        if !replacing && access(path, F_OK) == 0 { throw StoreError(.exists, "\(path) exists already") }
        let temporary = "\(path).new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw systemError("cannot make \(temporary)") }
        do throws(StoreError) {
            defer { close(descriptor) }
            try write(bytes, at: 0, descriptor: descriptor, path: temporary)
            guard fchmod(descriptor, mode) == 0, fsync(descriptor) == 0 else {
                throw systemError("cannot write \(temporary)")
            }
        } catch {
            unlink(temporary)
            throw error
        }
        guard rename(temporary, path) == 0 else {
            let error = systemError("cannot rename \(temporary)")
            unlink(temporary)
            throw error
        }
        try syncFolder(of: path)
    }

    /// Carries out the writes and syncs of a transaction on an existing file.
    package static func perform(_ actions: [StorageAction], on path: String) throws(StoreError) {
        guard !actions.isEmpty else { return }
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw systemError("cannot open \(path) for writing") }
        defer { close(descriptor) }
        for action in actions {
            switch action {
            case .write(let offset, let bytes):
                try write(bytes, at: offset, descriptor: descriptor, path: path)
            case .sync:
                guard fdatasync(descriptor) == 0 else { throw systemError("cannot sync \(path)") }
            }
        }
    }

    /// Deletes a file when it exists, durably.
    package static func remove(_ path: String) throws(StoreError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw systemError("cannot delete \(path)") }
        try syncFolder(of: path)
    }

    /// Renames a file, durably; both names must be in one file system.
    package static func move(_ path: String, to target: String) throws(StoreError) {
        guard rename(path, target) == 0 else { throw systemError("cannot rename \(path) to \(target)") }
        try syncFolder(of: target)
    }

    /// Makes a folder and those above it as far as they are missing.
    package static func makeFolder(_ path: String, mode: UInt32) throws(StoreError) {
        if mkdir(path, mode) == 0 {
            chmod(path, mode)
            return try syncFolder(of: path)
        }
        switch errno {
        case EEXIST:
            var status = stat()
            guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
                throw StoreError(.failed, "\(path) is not a folder")
            }
        case ENOENT:
            let parent = folder(of: path)
            guard parent != path else { throw systemError("cannot make the folder \(path)") }
            try makeFolder(parent, mode: 0o755)
            try makeFolder(path, mode: mode)
        default:
            throw systemError("cannot make the folder \(path)")
        }
    }

    /// Makes a folder that only this process's user may use, or makes sure that an existing one is so.
    ///
    /// - Throws: `StoreError` `.permissionDenied` when the folder belongs to somebody else.
    package static func makePrivateFolder(_ path: String) throws(StoreError) {
        try makeFolder(path, mode: 0o700)
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid() else {
            throw StoreError(.permissionDenied, "the folder \(path) belongs to another user: move it away")
        }
        guard chmod(path, 0o700) == 0 else { throw systemError("cannot close the folder \(path) to others") }
    }

    /// Takes a folder for this process until the returned descriptor is closed.
    ///
    /// - Throws: `StoreError` `.busy` when another process has it.
    package static func lock(_ folder: String, _ what: String, remedy: String) throws(StoreError) -> Int32 {
        let path = "\(folder)/.lock"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw systemError("cannot open \(path)") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw StoreError(.busy, "another roostd uses \(what) \(folder): \(remedy)")
        }
        return descriptor
    }

    /// The names in a folder, without `.` and `..`, unsorted.
    package static func names(in path: String) throws(StoreError) -> [String] {
        guard let handle = opendir(path) else { throw systemError("cannot read the folder \(path)") }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    /// Syncs the folder that a path is in, so that a new or changed name survives a power cut.
    package static func syncFolder(of path: String) throws(StoreError) {
        let parent = folder(of: path)
        let descriptor = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw systemError("cannot open the folder \(parent)") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw systemError("cannot sync the folder \(parent)") }
    }

    /// The folder that a path is in.
    package static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func write(
        _ bytes: [UInt8],
        at offset: UInt64,
        descriptor: Int32,
        path: String
    ) throws(StoreError) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                pwrite(
                    descriptor,
                    buffer.baseAddress.map { $0 + done },
                    buffer.count - done,
                    off_t(offset) + off_t(done)
                )
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw systemError("cannot write \(path)") }
            done += count
        }
    }

    /// The error that `errno` stands for.
    package static func systemError(_ message: String) -> StoreError {
        let number = errno
        let code: StoreError.Code =
            switch number {
            case ENOENT, ENOTDIR: .notFound
            case EEXIST: .exists
            case EACCES, EPERM, EROFS: .permissionDenied
            case ENOSPC, EDQUOT: .noSpace
            default: .failed
            }
        return StoreError(code, message, cause: String(cString: strerror(number)))
    }
}

extension FileAccess {
    /// Adds bytes at the end of a file, made when it does not exist; not synced.
    package static func append(_ bytes: [UInt8], to path: String) throws(StoreError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw systemError("cannot open \(path)") }
        defer { close(descriptor) }
        let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        guard count == bytes.count else { throw systemError("cannot write \(path)") }
    }
}
