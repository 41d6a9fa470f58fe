#if canImport(Glibc)
    import Glibc
#endif

/// The number of processors that the host has online.
func onlineProcessors() -> Int { sysconf(Int32(_SC_NPROCESSORS_ONLN)) }

/// roostd's own process id.
func ownProcessID() -> Int32 { getpid() }

/// What tells one state of a file from another without a look into it.
struct FileStamp: Hashable, Sendable {
    private let inode: UInt64
    private let size: Int64
    private let seconds: Int
    private let nanoseconds: Int

    /// The file's present state; nil when there is no such file, and for one that changed in this second or the one
    /// before: another change of it might not show.
    init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0, time(nil) - status.st_mtim.tv_sec > 1 else { return nil }
        inode = UInt64(status.st_ino)
        size = Int64(status.st_size)
        (seconds, nanoseconds) = (status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
    }
}

/// A file's size in bytes, and when it was last changed, in nanoseconds since 1970; nil when it cannot be inspected.
func fileStatus(_ path: String) -> (size: UInt64, changed: Int64)? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    let changed = Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
    return (UInt64(clamping: status.st_size), changed)
}

/// Whether a path leads to a regular file; devices of the host say nothing of their changes.
func isRegularFile(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
}

/// Which file a path leads to, whatever it is called.
struct FileIdentity: Hashable, Sendable {
    private let device: UInt64
    private let number: UInt64

    init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        (device, number) = (UInt64(status.st_dev), UInt64(status.st_ino))
    }
}

/// The space that anybody may use on the file system of a folder, in bytes; all there could be when nobody can tell.
func freeSpace(at folder: String) -> UInt64 {
    var status = statvfs()
    guard statvfs(folder, &status) == 0 else { return .max }
    return UInt64(status.f_bavail) * UInt64(status.f_frsize)
}
