/// One step of the I/O that makes a change durable; steps are carried out in the order given.
public enum StorageAction: Hashable, Sendable {
    /// Write `bytes` at `offset`, extending the file where it ends before.
    case write(offset: UInt64, bytes: [UInt8])
    /// Wait until everything written so far has reached stable storage; nothing behind it may start before.
    case sync
}

extension StorageAction {
    /// Carries the writes out on bytes in memory; a gap behind their end is filled with zeros.
    package static func apply(_ actions: some Sequence<StorageAction>, to image: inout [UInt8]) {
        for case .write(let offset, let bytes) in actions {
            guard let start = Int(exactly: offset) else { continue }
            let end = start + bytes.count
            if end > image.count {
                image.append(contentsOf: repeatElement(0, count: end - image.count))
            }
            image.replaceSubrange(start..<end, with: bytes)
        }
    }
}

/// What opening a file found that a crash or a damaged block had left, and how to put it right.
public struct RecoveryReport: Hashable, Sendable {
    /// What became of the replay log.
    public enum Log: Hashable, Sendable {
        /// It was empty, as a finished transaction leaves it.
        case clean
        /// It held a committed transaction of `writes` writes, which was completed.
        case replayed(writes: Int)
        /// It held a transaction that was never committed, or was unreadable; `reason` says which check failed.
        case discarded(reason: String)
    }

    /// A file header copy that was not used.
    public struct Header: Hashable, Sendable {
        /// Which copy: 0 at the file's start, 1 at 0x1000.
        public var copy: Int
        /// Which check failed.
        public var reason: String
    }

    /// What became of the replay log.
    public var log: Log = .clean
    /// The file header copy that was damaged or stale; nil when both agreed.
    public var header: Header?
    /// What to write so that the next open finds a clean file.
    ///
    /// Safe to interrupt anywhere and to repeat.
    public var actions: [StorageAction] = []

    /// Whether there was nothing to recover.
    public var isClean: Bool { actions.isEmpty }
}
