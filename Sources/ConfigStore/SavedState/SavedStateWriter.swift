import DurableFiles
import HyperVStorage

/// Writes a saved state from a stream whose length nobody knows.
///
/// The file has its name only when it is complete and on stable storage. For one thread.
package final class SavedStateWriter {
    private let path: String
    private let temporary: String
    private let files: any FileSystem
    private let segmentSize: Int
    private var file: DurableFile
    private let stamp: UInt64
    private var press: ChunkPress
    /// What has come and is not a whole chunk yet.
    private var pending: [UInt8] = []
    /// How many chunks are written.
    private var number: UInt32 = 0
    private var streamSize: UInt64 = 0
    private var position = StorageFile.headSize
    private var segments: [Range<Int>] = []
    private var isFinished = false

    /// What a file is called until it is complete.
    package static func temporary(_ path: String) -> String { "\(path).partial" }

    /// Begins a file; what an earlier attempt has left goes.
    package convenience init(_ path: String) throws(StoreError) {
        try self.init(path, in: FileAccess.system, segmentSize: StorageFile.largestPlacedValue)
    }

    init(_ path: String, in files: any FileSystem, segmentSize: Int) throws(StoreError) {
        self.path = path
        self.files = files
        self.segmentSize = segmentSize
        stamp = UInt64.random(in: 1...UInt64.max)
        press = ChunkPress(stamp: stamp)
        let temporary = Self.temporary(path)
        self.temporary = temporary
        do throws(FileError) {
            if files.exists(temporary) { try files.remove(temporary) }
            file = try DurableFile(temporary, for: .making(mode: 0o600), in: files)
        } catch {
            throw StoreError(error)
        }
    }

    deinit {
        if !isFinished { _ = try? files.remove(temporary) }
    }

    /// Adds bytes of the stream.
    package func append(_ bytes: [UInt8]) throws(StoreError) {
        // As they come, as a rule.
        if pending.isEmpty, bytes.count == StateChunk.largest { return try begin(bytes) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = min(StateChunk.largest - pending.count, rest.count)
            pending.append(contentsOf: rest.prefix(count))
            rest = rest.dropFirst(count)
            if pending.count == StateChunk.largest { try beginPending() }
        }
    }

    private func beginPending() throws(StoreError) {
        guard !pending.isEmpty else { return }
        let contents = pending
        pending = []
        try begin(contents)
    }

    private func begin(_ contents: [UInt8]) throws(StoreError) {
        streamSize += UInt64(contents.count)
        if let chunk = press.press(contents) { try write(chunk) }
    }

    private func write(_ chunk: [UInt8]) throws(StoreError) {
        let isFull = segments.last.map { $0.count + chunk.count > segmentSize } ?? true
        if isFull {
            position = (position + 0xFFF) & ~0xFFF
            segments.append(position..<position)
        }
        try asStore { () throws(FileError) in try file.write(chunk, at: UInt64(position)) }
        position += chunk.count
        segments[segments.count - 1] = segments[segments.count - 1].lowerBound..<position
        number += 1
        // The device has less to do at the end.
        if number % 64 == 0 { file.startWriting() }
    }

    /// Completes the file, durably, in the place of one of its name.
    package func finish(_ info: SavedStateInfo) throws(StoreError) {
        try beginPending()
        while let chunk = press.next() { try write(chunk) }
        var info = info
        (info.stamp, info.streamSize, info.chunks) = (stamp, streamSize, UInt64(number))
        let named = segments.enumerated().map { ("\(SavedStateInfo.segment)\($0.offset)", $0.element) }
        let head: [UInt8]
        do throws(StorageError) {
            head = try StorageFile.head(
                tree: info.tree(segments: segments.count),
                placements: Dictionary(named) { first, _ in first }
            )
        } catch {
            throw StoreError(.failed, "cannot make \(path)", cause: error.message)
        }
        let headers = 0x2000
        let (end, length) = (position, (position + 0xFFF) & ~0xFFF)
        try asStore { () throws(FileError) in
            if length > end { try file.write(Array(repeating: 0, count: length - end), at: UInt64(end)) }
            try file.write(Array(head[headers...]), at: UInt64(headers))
            try file.sync()
            try file.write(Array(head[..<headers]), at: 0)
            try file.sync()
            try files.rename(temporary, to: path, replacing: true)
            isFinished = true
            try files.syncFolder(parentFolder(of: path))
        }
    }
}
