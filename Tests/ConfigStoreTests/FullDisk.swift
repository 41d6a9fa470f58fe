import DurableFiles
import Synchronization

/// The host's files on a disk with no room for another one: files that are there can be written.
final class FullDisk: FileSystem {
    /// Where there is no room; everywhere when it is empty.
    private let folder: String
    /// How many files more there is no room for.
    private let failures: Mutex<Int>
    private let files = KernelFileSystem()

    init(folder: String = "", failures: Int = .max) {
        self.folder = folder
        self.failures = Mutex(failures)
    }

    func open(_ path: String, for opening: FileOpening) throws(FileError) -> FileNumber {
        if case .making = opening, path.hasPrefix(folder) {
            let fails = failures.withLock { left in
                defer { left = max(0, left - 1) }
                return left > 0
            }
            if fails { throw FileError(.noSpace, "cannot make \(path)") }
        }
        return try files.open(path, for: opening)
    }

    func close(_ file: FileNumber) { files.close(file) }
    func size(of file: FileNumber, path: String) throws(FileError) -> Int { try files.size(of: file, path: path) }
    func timeOfChange(of path: String) -> Int64 { files.timeOfChange(of: path) }
    func read(_ file: FileNumber, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(FileError)
        -> Int
    {
        try files.read(file, at: offset, into: buffer)
    }
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
    func makeFolder(_ path: String, mode: UInt32) throws(FileError) { throw FileError(.noSpace, "cannot make \(path)") }
    func removeFolder(_ path: String) throws(FileError) { try files.removeFolder(path) }
    func isFolder(_ path: String) -> Bool { files.isFolder(path) }
    func names(in folder: String) throws(FileError) -> [String] { try files.names(in: folder) }
    func syncFolder(_ folder: String) throws(FileError) { try files.syncFolder(folder) }
    func exists(_ path: String) -> Bool { files.exists(path) }
}
