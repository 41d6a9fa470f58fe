package import DurableFiles
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// A file system in memory that knows what has reached the disk, and promises no more than POSIX.
///
/// - A write changes what is read at once. Each 512-byte sector of it reaches the disk at any time, in any order, or
///   never, until the file is synced. The same holds for a file's size: it may grow before its bytes arrive.
/// - Creating, renaming, linking and deleting a name are each atomic. Each reaches the disk at any time, in any order,
///   or never, until the folder is synced. Syncing a file does not store its name.
/// - Each change of a file's bytes has a later time than the one before. A file's time reaches the disk at any time, or never,
///   until it is synced with its time.
/// - A failed sync stores some of the sectors and loses the others for good, while reading still shows them all.
/// - Folders are made once, before the tests begin, and are durable.
package final class SimulatedDisk: FileSystem {
    /// Something that has not reached the disk for sure.
    enum Pending {
        /// Bytes of a file, inside one sector.
        case bytes(file: Int, offset: Int, [UInt8])
        /// A file's size.
        case size(file: Int, Int)
        /// Names that change together; no file stands for a deletion.
        case names(folder: String, [(path: String, file: Int?)])
    }

    /// All there is.
    struct State {
        /// What the processes see.
        var files: [[UInt8]] = []
        var names: [String: Int] = [:]
        /// What the disk holds.
        var storedFiles: [[UInt8]] = []
        /// When each file's bytes were last changed, for the processes and on the disk.
        var times: [Int64] = []
        var storedTimes: [Int64] = []
        var clock: Int64 = 0
        var storedNames: [String: Int] = [:]
        /// What is on its way, in order.
        var pending: [Pending] = []
        var folders: Set<String> = []
        var handles: [Int32: Int] = [:]
        var nextHandle: Int32 = 3
    }

    static let sector = 512

    private let guarded: Mutex<State>
    /// What goes wrong, and when; set before the disk is used.
    let faults: Faults
    /// Is called behind each step that a power cut may follow.
    private let hook: Mutex<(@Sendable (SimulatedDisk) -> Void)?> = Mutex(nil)

    package init(folders: [String]) {
        guarded = Mutex(State(folders: Set(folders)))
        faults = Faults()
    }

    init(_ state: State, faults: Faults) {
        guarded = Mutex(state)
        self.faults = faults
    }

    /// The state as it is now.
    var state: State { guarded.withLock { $0 } }

    /// Calls `body` behind each write, sync and change of names.
    func afterEachStep(_ body: (@Sendable (SimulatedDisk) -> Void)?) { hook.withLock { $0 = body } }

    private func step() { hook.withLock { $0 }?(self) }

    private func error(_ message: String, _ number: Int32) -> FileError { FileError(message, number: number) }

    // MARK: - Files

    package func open(_ path: String, for opening: FileOpening) throws(FileError) -> FileNumber {
        try faults.meet(.open, path)
        let result = guarded.withLock { state -> Result<FileNumber, FileError> in
            if case .making = opening {
                guard state.names[path] == nil else { return .failure(error("cannot open \(path)", EEXIST)) }
                guard state.folders.contains(parentFolder(of: path)) else {
                    return .failure(error("cannot open \(path)", ENOENT))
                }
                state.files.append([])
                state.storedFiles.append([])
                state.clock += 1
                state.times.append(state.clock)
                state.storedTimes.append(state.clock)
                state.change([(path, state.files.count - 1)], in: parentFolder(of: path))
            }
            guard let file = state.names[path] else { return .failure(error("cannot open \(path)", ENOENT)) }
            let handle = state.nextHandle
            state.nextHandle += 1
            state.handles[handle] = file
            return .success(FileNumber(handle))
        }
        if case .making = opening { step() }
        return try result.get()
    }

    package func close(_ file: FileNumber) { guarded.withLock { _ = $0.handles.removeValue(forKey: file.rawValue) } }

    package func size(of file: FileNumber, path: String) throws(FileError) -> Int {
        guarded.withLock { state in state.handles[file.rawValue].map { state.files[$0].count } ?? 0 }
    }

    package func timeOfChange(of path: String) -> Int64 {
        guarded.withLock { state in state.names[path].map { state.times[$0] } ?? 0 }
    }

    package func read(
        _ file: FileNumber,
        at offset: UInt64,
        into buffer: UnsafeMutableRawBufferPointer
    ) throws(FileError) -> Int {
        try faults.meet(.read, "")
        return guarded.withLock { state in
            guard let file = state.handles[file.rawValue] else { return 0 }
            let count = max(0, min(buffer.count, state.files[file].count - Int(offset)))
            state.files[file].withUnsafeBytes { bytes in
                buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[Int(offset)..<Int(offset) + count]))
            }
            return count
        }
    }

    package func write(
        _ bytes: UnsafeRawBufferPointer,
        to file: FileNumber,
        at offset: UInt64
    ) throws(FileError) -> Int {
        let count = try faults.count(ofWrite: bytes.count)
        let copy = Array(bytes.prefix(count))
        guarded.withLock { state in
            guard let number = state.handles[file.rawValue] else { return }
            let start = faults.offset(Int(offset), inFileOf: state.files[number])
            state.write(copy, to: number, at: start)
        }
        step()
        return count
    }

    package func startWriting(_ file: FileNumber) {}

    package func sync(_ file: FileNumber) throws(FileError) {
        let outcome = faults.outcomeOfSync()
        guarded.withLock { state in
            guard let number = state.handles[file.rawValue] else { return }
            switch outcome {
            case .done: state.store(file: number, leaving: faults.sectorsLeftBehind)
            case .nothing: break
            case .failed(var random): state.lose(file: number, &random)
            }
        }
        step()
        if case .failed = outcome { throw error("cannot sync", EIO) }
    }

    package func syncWithTime(_ file: FileNumber) throws(FileError) {
        try sync(file)
        guarded.withLock { state in
            if let number = state.handles[file.rawValue] { state.storedTimes[number] = state.times[number] }
        }
    }

    // MARK: - Names

    package func rename(_ path: String, to target: String, replacing: Bool) throws(FileError) {
        try faults.meet(.names, path)
        try change(path, target, replacing: replacing, keeping: false)
    }

    package func link(_ path: String, to target: String) throws(FileError) {
        try faults.meet(.names, path)
        try change(path, target, replacing: false, keeping: true)
    }

    private func change(_ path: String, _ target: String, replacing: Bool, keeping: Bool) throws(FileError) {
        let result = guarded.withLock { state -> Result<Void, FileError> in
            guard let file = state.names[path] else { return .failure(error("no \(path)", ENOENT)) }
            guard replacing || state.names[target] == nil else { return .failure(error("a \(target)", EEXIST)) }
            state.change((keeping ? [] : [(path, nil)]) + [(target, file)], in: parentFolder(of: target))
            return .success(())
        }
        try result.get()
        step()
    }

    package func remove(_ path: String) throws(FileError) {
        try faults.meet(.names, path)
        let found = guarded.withLock { state in
            guard state.names[path] != nil else { return false }
            state.change([(path, nil)], in: parentFolder(of: path))
            return true
        }
        guard found else { throw error("cannot delete \(path)", ENOENT) }
        step()
    }

    package func makeFolder(_ path: String, mode: UInt32) throws(FileError) {
        guard guarded.withLock({ $0.folders.insert(path).inserted }) else { throw error("a \(path)", EEXIST) }
    }

    package func removeFolder(_ path: String) throws(FileError) { throw error("\(path) stays", ENOTEMPTY) }

    package func isFolder(_ path: String) -> Bool { guarded.withLock { $0.folders.contains(path) } }

    package func names(in folder: String) throws(FileError) -> [String] {
        try faults.meet(.open, folder)
        let prefix = "\(folder)/"
        return guarded.withLock { state in
            state.names.keys.filter { $0.hasPrefix(prefix) && !$0.dropFirst(prefix.count).contains("/") }
                .map { String($0.dropFirst(prefix.count)) }.sorted()
        }
    }

    package func syncFolder(_ folder: String) throws(FileError) {
        try faults.meet(.folder, folder)
        guarded.withLock { $0.store(folder: folder) }
        step()
    }

    package func exists(_ path: String) -> Bool {
        guarded.withLock { $0.names[path] != nil || $0.folders.contains(path) }
    }
}

extension SimulatedDisk.State {
    mutating func write(_ bytes: [UInt8], to file: Int, at offset: Int) {
        Self.put(bytes[...], at: offset, into: &files[file])
        clock += 1
        times[file] = clock
        let size = files[file].count
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, start + SimulatedDisk.sector - (offset + start) % SimulatedDisk.sector)
            pending.append(.bytes(file: file, offset: offset + start, Array(bytes[start..<end])))
            start = end
        }
        if size > storedFiles[file].count, !pending.contains(where: { $0.isSize(size, of: file) }) {
            pending.append(.size(file: file, size))
        }
    }

    mutating func change(_ changes: [(path: String, file: Int?)], in folder: String) {
        for (path, file) in changes { names[path] = file }
        pending.append(.names(folder: folder, changes))
    }

    /// Stores what is pending of a file; the last sectors may be left behind, as if they came after the sync.
    mutating func store(file: Int, leaving: Int) {
        let mine = pending.indices.filter { pending[$0].isOf(file: file) }
        let stored = Set(mine.dropLast(leaving))
        for index in mine where stored.contains(index) { apply(pending[index]) }
        pending = pending.indices.filter { !stored.contains($0) }.map { pending[$0] }
    }

    /// Stores some of what is pending of a file and forgets the others.
    mutating func lose(file: Int, _ random: inout MatrixRandom) {
        for item in pending where item.isOf(file: file) && random.below(2) == 0 { apply(item) }
        pending.removeAll { $0.isOf(file: file) }
    }

    mutating func store(folder: String) {
        for item in pending {
            if case .names(folder, _) = item { apply(item) }
        }
        pending.removeAll { if case .names(folder, _) = $0 { true } else { false } }
    }

    /// Lets something reach the disk.
    mutating func apply(_ item: SimulatedDisk.Pending) {
        switch item {
        case .bytes(let file, let offset, let bytes): Self.put(bytes[...], at: offset, into: &storedFiles[file])
        case .size(let file, let size):
            let missing = size - storedFiles[file].count
            if missing > 0 { storedFiles[file].append(contentsOf: repeatElement(0, count: missing)) }
        case .names(_, let changes):
            for (path, file) in changes { storedNames[path] = file }
        }
    }

    static func put(_ bytes: ArraySlice<UInt8>, at offset: Int, into file: inout [UInt8]) {
        let end = offset + bytes.count
        if end > file.count { file.append(contentsOf: repeatElement(0, count: end - file.count)) }
        file.withUnsafeMutableBufferPointer { target in
            bytes.withUnsafeBufferPointer { source in
                for index in source.indices { target[offset + index] = source[index] }
            }
        }
    }
}

extension SimulatedDisk.Pending {
    /// The file whose bytes or size are on their way; nil for names.
    var file: Int? {
        switch self {
        case .bytes(let file, _, _), .size(let file, _): file
        case .names: nil
        }
    }

    func isOf(file: Int) -> Bool { self.file == file }

    func isSize(_ size: Int, of file: Int) -> Bool {
        if case .size(file, size) = self { true } else { false }
    }
}

extension SimulatedDisk {
    /// Changes the bytes of a file behind everybody's back.
    func mutate(_ path: String, _ body: (inout [UInt8]) -> Void) {
        guarded.withLock { state in
            guard let file = state.names[path] else { return }
            body(&state.files[file])
            state.storedFiles[file] = state.files[file]
        }
    }
}
