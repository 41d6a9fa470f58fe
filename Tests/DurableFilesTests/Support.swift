import DurableFiles
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// A folder of its own for a test, deleted with its files at the end.
final class TemporaryFolder: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/roost-files-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/nonexistent"
    }

    deinit {
        for name in (try? KernelFileSystem().names(in: path)) ?? [] { unlink("\(path)/\(name)") }
        rmdir(path)
    }
}

/// The host's file system with faults.
final class FaultyFileSystem: FileSystem {
    private struct Faults {
        var failsSync = false
        var syncs = 0
        var most = Int.max
        var unreadable = 0..<0
    }

    private let faults = Mutex(Faults())
    private let system = KernelFileSystem()

    var failsSync: Bool {
        get { faults.withLock { $0.failsSync } }
        set { faults.withLock { $0.failsSync = newValue } }
    }
    var syncs: Int { faults.withLock { $0.syncs } }
    /// The most bytes of one call.
    var most: Int {
        get { faults.withLock { $0.most } }
        set { faults.withLock { $0.most = newValue } }
    }
    /// Bytes of every file that cannot be read.
    var unreadable: Range<Int> {
        get { faults.withLock { $0.unreadable } }
        set { faults.withLock { $0.unreadable = newValue } }
    }

    func open(_ path: String, for opening: FileOpening) throws(FileError) -> FileNumber {
        try system.open(path, for: opening)
    }
    func close(_ file: FileNumber) { system.close(file) }
    func size(of file: FileNumber, path: String) throws(FileError) -> Int { try system.size(of: file, path: path) }
    func timeOfChange(of path: String) -> Int64 { system.timeOfChange(of: path) }
    func read(_ file: FileNumber, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(FileError)
        -> Int
    {
        let count = min(buffer.count, most)
        guard !unreadable.overlaps(Int(offset)..<Int(offset) + count) else {
            throw FileError("cannot read", number: EIO)
        }
        return try system.read(file, at: offset, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
    }
    func write(_ bytes: UnsafeRawBufferPointer, to file: FileNumber, at offset: UInt64) throws(FileError) -> Int {
        try system.write(
            UnsafeRawBufferPointer(rebasing: bytes[..<min(bytes.count, most)]),
            to: file,
            at: offset
        )
    }
    func startWriting(_ file: FileNumber) {}
    func sync(_ file: FileNumber) throws(FileError) {
        faults.withLock { $0.syncs += 1 }
        if failsSync { throw FileError("cannot sync", number: EIO) }
        try system.sync(file)
    }
    func syncWithTime(_ file: FileNumber) throws(FileError) { try sync(file) }
    func rename(_ path: String, to target: String, replacing: Bool) throws(FileError) {
        try system.rename(path, to: target, replacing: replacing)
    }
    func link(_ path: String, to target: String) throws(FileError) { try system.link(path, to: target) }
    func remove(_ path: String) throws(FileError) { try system.remove(path) }
    func makeFolder(_ path: String, mode: UInt32) throws(FileError) { try system.makeFolder(path, mode: mode) }
    func removeFolder(_ path: String) throws(FileError) { try system.removeFolder(path) }
    func isFolder(_ path: String) -> Bool { system.isFolder(path) }
    func names(in folder: String) throws(FileError) -> [String] { try system.names(in: folder) }
    func syncFolder(_ folder: String) throws(FileError) { try system.syncFolder(folder) }
    func exists(_ path: String) -> Bool { system.exists(path) }
}
