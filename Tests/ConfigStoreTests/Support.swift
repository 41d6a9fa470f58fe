import ConfigStore

#if canImport(Glibc)
    import Glibc
#endif

/// A folder of its own for a test, deleted with its files at the end.
final class TemporaryFolder: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/roost-store-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/nonexistent"
    }

    deinit { Self.remove(path) }

    private static func remove(_ path: String) {
        for name in (try? FileAccess.names(in: path)) ?? [] where unlink("\(path)/\(name)") != 0 {
            remove("\(path)/\(name)")
        }
        rmdir(path)
    }
}

/// A state directory with its folders.
func makeDirectory(_ folder: TemporaryFolder) throws -> StateDirectory {
    let directory = StateDirectory("\(folder.path)/state")
    try directory.prepare()
    return directory
}

/// Whether something is at a path.
func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

/// Changes a byte of a file as a failing disk would: its time stays.
func damage(_ path: String, at offset: Int, flipping mask: UInt8 = 0x5A) throws {
    var status = stat()
    guard stat(path, &status) == 0, chmod(path, 0o600) == 0 else { throw FileAccess.systemError("cannot open \(path)") }
    let descriptor = open(path, O_RDWR)
    guard descriptor >= 0 else { throw FileAccess.systemError("cannot open \(path)") }
    defer { close(descriptor) }
    var byte: UInt8 = 0
    guard pread(descriptor, &byte, 1, off_t(offset)) == 1 else { throw FileAccess.systemError("cannot read \(path)") }
    byte ^= mask
    guard pwrite(descriptor, &byte, 1, off_t(offset)) == 1 else { throw FileAccess.systemError("cannot write \(path)") }
    var times = [status.st_atim, status.st_mtim]
    guard futimens(descriptor, &times) == 0, fchmod(descriptor, status.st_mode & 0o777) == 0 else {
        throw FileAccess.systemError("cannot set the time of \(path)")
    }
}

/// The access rights of a file.
func permissions(_ path: String) -> UInt32 {
    var status = stat()
    return stat(path, &status) == 0 ? UInt32(status.st_mode & 0o777) : 0
}
