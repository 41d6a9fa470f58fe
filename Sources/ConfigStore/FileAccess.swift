package import DurableFiles

#if canImport(Glibc)
    import Glibc
#endif

/// Durable operations on the host's files, for those who need no other file system: each is on stable storage when it
/// returns, and leaves the old or the new state when it throws.
package enum FileAccess {
    /// The largest file read into memory, in bytes: configurations take some ten thousand.
    package static let sizeLimit = 256 << 20
    /// Where the host's files are.
    package static let system = KernelFileSystem()

    /// Reads a whole regular file.
    ///
    /// - Parameter followingLinks: false where an untrusted user owns the folder, and a link could lead to a file that
    ///   the user cannot read.
    package static func read(
        _ path: String,
        limit: Int = sizeLimit,
        followingLinks: Bool = true
    ) throws(StoreError) -> [UInt8] {
        try asStore { () throws(FileError) in
            try system.contents(of: path, limit: limit, followingLinks: followingLinks)
        }
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
        try asStore { () throws(FileError) in
            try system.replace(path, with: bytes, mode: mode, replacing: replacing)
        }
    }

    /// Deletes a file when it exists, durably.
    package static func remove(_ path: String) throws(StoreError) {
        try asStore { () throws(FileError) in try system.removeDurably(path) }
    }

    /// Renames a file, durably; both names must be in one file system.
    package static func move(_ path: String, to target: String) throws(StoreError) {
        try asStore { () throws(FileError) in try system.moveDurably(path, to: target) }
    }

    /// Makes a folder and those above it as far as they are missing.
    package static func makeFolder(_ path: String, mode: UInt32) throws(StoreError) {
        try asStore { () throws(FileError) in try system.makeFolders(path, mode: mode) }
    }

    /// Deletes an empty folder.
    package static func removeFolder(_ path: String) throws(StoreError) {
        try asStore { () throws(FileError) in try system.removeFolder(path) }
    }

    /// The names in a folder, without `.` and `..`, unsorted.
    package static func names(in path: String) throws(StoreError) -> [String] {
        try asStore { () throws(FileError) in try system.names(in: path) }
    }

    /// Gives a file a second name, durably, which must be new.
    package static func link(_ path: String, to target: String) throws(StoreError) {
        try asStore { () throws(FileError) in
            try system.link(path, to: target)
            try system.syncFolder(parentFolder(of: target))
        }
    }

    /// Makes a copy of a file, durably; nothing is left of it when it throws.
    package static func copy(_ path: String, to target: String) throws(StoreError) {
        let temporary = "\(target).partial"
        do {
            try asStore { () throws(FileError) in
                if system.exists(temporary) { try system.remove(temporary) }
                let from = try DurableFile(path, for: .reading(followingLinks: false), in: system)
                var to = try DurableFile(temporary, for: .making(mode: 0o600), in: system)
                let size = try from.size()
                var offset = 0
                while offset < size {
                    let bytes = try from.read(at: UInt64(offset), count: min(1 << 20, size - offset))
                    try to.write(bytes, at: UInt64(offset))
                    offset += bytes.count
                }
                try to.sync()
                try system.rename(temporary, to: target, replacing: true)
                try system.syncFolder(parentFolder(of: target))
            }
        } catch {
            _ = try? system.remove(temporary)
            throw error
        }
    }

    /// Gives a file another name in its folder, durably, in the place of one of that name.
    package static func rename(_ path: String, to target: String) throws(StoreError) {
        try asStore { () throws(FileError) in
            try system.rename(path, to: target, replacing: true)
            try system.syncFolder(parentFolder(of: target))
        }
    }

    /// Syncs the folder that a path is in, so that a new or changed name survives a power cut.
    package static func syncFolder(of path: String) throws(StoreError) {
        try asStore { () throws(FileError) in try system.syncFolder(parentFolder(of: path)) }
    }

    /// The folder that a path is in.
    package static func folder(of path: String) -> String { parentFolder(of: path) }

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

    /// Adds bytes at the end of a file, made when it does not exist; not synced.
    package static func append(_ bytes: [UInt8], to path: String) throws(StoreError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw systemError("cannot open \(path)") }
        defer { close(descriptor) }
        let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        guard count == bytes.count else { throw systemError("cannot write \(path)") }
    }

    /// The error that `errno` stands for.
    package static func systemError(_ message: String) -> StoreError {
        StoreError(FileError(message, number: errno))
    }
}

/// Gives what `body` returns, with errors of files as errors of the store.
func asStore<Result>(_ body: () throws(FileError) -> Result) throws(StoreError) -> Result {
    do throws(FileError) {
        return try body()
    } catch {
        throw StoreError(error)
    }
}
