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
    private let stamp = UInt64.random(in: 1...UInt64.max)
    /// What has come and is not a whole chunk yet.
    private var pending: [UInt8] = []
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
        let temporary = Self.temporary(path)
        self.temporary = temporary
        do throws(FileError) {
            if files.exists(temporary) { try files.remove(temporary) }
            file = try DurableFile(temporary, for: .making(mode: 0o600), in: files)
        } catch {
            throw StoreError(error)
        }
        pending.reserveCapacity(StateChunk.largest)
    }

    deinit {
        if !isFinished { _ = try? files.remove(temporary) }
    }

    /// Adds bytes of the stream.
    package func append(_ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        var rest = bytes
        while !rest.isEmpty {
            let count = min(StateChunk.largest - pending.count, rest.count)
            pending.append(contentsOf: rest[..<count])
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            if pending.count == StateChunk.largest { try writeChunk() }
        }
    }

    private func writeChunk() throws(StoreError) {
        guard !pending.isEmpty else { return }
        let bytes = pending.withUnsafeBytes { StateChunk.encode($0, number: number, stamp: stamp) }
        let isFull = segments.last.map { $0.count + bytes.count > segmentSize } ?? true
        if isFull {
            position = (position + 0xFFF) & ~0xFFF
            segments.append(position..<position)
        }
        try asStore { () throws(FileError) in try file.write(bytes, at: UInt64(position)) }
        position += bytes.count
        segments[segments.count - 1] = segments[segments.count - 1].lowerBound..<position
        streamSize += UInt64(pending.count)
        number += 1
        pending.removeAll(keepingCapacity: true)
        // The device has less to do at the end.
        if number % 64 == 0 { file.startWriting() }
    }

    /// Completes the file, durably, in the place of one of its name.
    package func finish(_ info: SavedStateInfo) throws(StoreError) {
        try writeChunk()
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
