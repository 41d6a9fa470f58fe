import ConfigStore
import RoostAPI
import Synchronization

/// Takes a stream into a saved state; for any thread, one call at a time.
final class SavedStateSink: Sendable {
    // SAFETY: used while `turn` is held and nowhere else.
    nonisolated(unsafe) private let writer: SavedStateWriter
    private let turn = Mutex(0)
    private let path: String
    /// What is left to everybody else on the file system, in bytes.
    private static let reserve: UInt64 = 128 << 20

    init(_ path: String) throws {
        self.path = path
        writer = try SavedStateWriter(path)
    }

    func append(_ bytes: [UInt8]) throws {
        try turn.withLock { count in
            // The disks of other guests are on the same file system, as a rule.
            if count / (32 << 20) != (count + bytes.count) / (32 << 20),
                freeSpace(at: FileAccess.folder(of: path)) < Self.reserve
            {
                throw APIError(.insufficientResources, "the host's disk is too full to keep the memory in \(path)")
            }
            count += bytes.count
            try writer.append(bytes)
        }
    }

    func finish(_ info: SavedStateInfo) throws { try turn.withLock { _ in try writer.finish(info) } }
}

/// Gives a saved state piece by piece; for any thread, one call at a time.
final class SavedStateSource: Sendable {
    let info: SavedStateInfo
    private let reader: Mutex<SavedStateReader>

    init(_ path: String) throws {
        let opened = try SavedStateReader(path)
        info = opened.info
        reader = Mutex(opened)
    }

    func next() throws -> [UInt8]? { try reader.withLock { try $0.next() } }
}
