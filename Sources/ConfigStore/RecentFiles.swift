import Synchronization

/// The files that were used last, read: changing one again need not begin with working out what stands where in it.
///
/// Nothing is taken from here unless the bytes on the disk are still the same.
final class RecentFiles: Sendable {
    /// How many files are remembered, and up to which size in bytes.
    static let capacity = 16
    static let largest = 1 << 20

    private let entries = Mutex<[(path: String, opened: MirroredFile.Opened)]>([])

    /// Takes what is known of a file; nobody else has it until it is put back.
    func take(_ path: String) -> MirroredFile.Opened? {
        entries.withLock { entries in
            guard let index = entries.firstIndex(where: { $0.path == path }) else { return nil }
            return entries.remove(at: index).opened
        }
    }

    /// Remembers a file in the place of the one that was used longest ago.
    func put(_ opened: MirroredFile.Opened, _ path: String) {
        guard let copyBytes = opened.copyBytes, opened.content.byteCount + copyBytes.count <= Self.largest else {
            return
        }
        entries.withLock { entries in
            entries.removeAll { $0.path == path }
            if entries.count >= Self.capacity { entries.removeFirst() }
            entries.append((path, opened))
        }
    }
}
