import DurableFiles
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// The host's files on a device that cannot read some of their blocks any more; a file made anew lies elsewhere.
final class BadBlocks: FileSystem {
    private struct State {
        var unreadable: [UInt64: Range<Int>] = [:]
        var failures = 0
    }

    private let state = Mutex(State())
    private let files = KernelFileSystem()

    /// Lets some bytes of a file be unreadable from now on, and no others of any file.
    func lose(_ range: Range<Int>, of path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return }
        state.withLock { [number = UInt64(status.st_ino)] in $0.unreadable[number] = range }
    }

    /// Lets the making of so many more files fail.
    func failMaking(_ count: Int) { state.withLock { $0.failures = count } }

    func open(_ path: String, for opening: FileOpening) throws(FileError) -> FileNumber {
        if case .making = opening {
            let fails = state.withLock { state in
                defer { state.failures = max(0, state.failures - 1) }
                return state.failures > 0
            }
            if fails { throw FileError(.noSpace, "cannot make \(path)") }
        }
        return try files.open(path, for: opening)
    }

    func read(_ file: FileNumber, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(FileError)
        -> Int
    {
        var status = stat()
        let wanted = Int(offset)..<Int(offset) + buffer.count
        if fstat(file.rawValue, &status) == 0,
            state.withLock({ [number = UInt64(status.st_ino)] in $0.unreadable[number]?.overlaps(wanted) }) == true
        {
            throw FileError("cannot read", number: EIO)
        }
        return try files.read(file, at: offset, into: buffer)
    }

    func close(_ file: FileNumber) { files.close(file) }
    func size(of file: FileNumber, path: String) throws(FileError) -> Int { try files.size(of: file, path: path) }
    func timeOfChange(of path: String) -> Int64 { files.timeOfChange(of: path) }
    func write(_ bytes: UnsafeRawBufferPointer, to file: FileNumber, at offset: UInt64) throws(FileError) -> Int {
        try files.write(bytes, to: file, at: offset)
    }
    func startWriting(_ file: FileNumber) { files.startWriting(file) }
    func sync(_ file: FileNumber) throws(FileError) { try files.sync(file) }
    func syncWithTime(_ file: FileNumber) throws(FileError) { try files.syncWithTime(file) }
    func rename(_ path: String, to target: String, replacing: Bool) throws(FileError) {
        try files.rename(path, to: target, replacing: replacing)
    }
    func link(_ path: String, to target: String) throws(FileError) { try files.link(path, to: target) }
    func remove(_ path: String) throws(FileError) { try files.remove(path) }
    func makeFolder(_ path: String, mode: UInt32) throws(FileError) { try files.makeFolder(path, mode: mode) }
    func removeFolder(_ path: String) throws(FileError) { try files.removeFolder(path) }
    func isFolder(_ path: String) -> Bool { files.isFolder(path) }
    func names(in folder: String) throws(FileError) -> [String] { try files.names(in: folder) }
    func syncFolder(_ folder: String) throws(FileError) { try files.syncFolder(folder) }
    func exists(_ path: String) -> Bool { files.exists(path) }
}
