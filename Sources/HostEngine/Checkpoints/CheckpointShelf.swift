import ConfigStore
import RoostPrimitives
import Synchronization
import VMConfiguration

/// The checkpoints of all machines, as their files told when they were last read or written.
///
/// Each belongs to one machine, whose owner alone changes it.
final class CheckpointShelf: Sendable {
    let store: CheckpointStore
    private let found = Mutex<[GUID: StoredCheckpoint]>([:])
    private let broken = Mutex<[GUID: StoreError]>([:])

    private let hasFailed = Mutex(false)
    /// One call of the store at a time: reading repairs what is damaged, so it must not meet a change half done.
    private let gate = SerialGate()

    init(_ store: CheckpointStore) { self.store = store }

    /// Whether all checkpoints are known, and so which files they need.
    var isComplete: Bool { damaged.isEmpty && !hasFailed.withLock { $0 } }

    /// Calls the store, off the caller's thread.
    func using<Value: Sendable>(
        _ body: @escaping @Sendable (CheckpointStore) throws -> Value
    ) async throws -> Value {
        try await gate.run { [store] in try await onDisk { try body(store) } }
    }

    /// Reads all checkpoints; blocks on the disk.
    func read() throws {
        hasFailed.withLock { $0 = true }
        let all = try store.list()
        hasFailed.withLock { $0 = false }
        for checkpoint in all {
            switch checkpoint {
            case .readable(let stored): put(stored)
            case .broken(let id, _, let reason): broken.withLock { $0[id] = reason }
            }
        }
    }

    /// The checkpoints that cannot be used, with the reasons.
    var damaged: [GUID: StoreError] { broken.withLock { $0 } }

    /// The checkpoints of a machine that count, the oldest first.
    func checkpoints(of machine: GUID) -> [StoredCheckpoint] { all(of: machine).filter { !$0.record.isArmed } }

    /// The checkpoints of a machine whose making was cut off.
    func armed(of machine: GUID) -> [StoredCheckpoint] { all(of: machine).filter(\.record.isArmed) }

    private func all(of machine: GUID) -> [StoredCheckpoint] {
        found.withLock { $0.values.filter { $0.record.machine == machine } }
            .sorted { ($0.record.created, $0.id) < ($1.record.created, $1.id) }
    }

    /// When the newest automatic checkpoint of a machine was taken; nil when it has none.
    func lastAutomatic(of machine: GUID) -> Int64? {
        found.withLock { found in
            found.values.filter { $0.record.machine == machine && $0.record.isAutomatic }.map(\.record.created).max()
        }
    }

    /// The files that the checkpoints of a machine rely on.
    func disks(of machine: GUID) -> Set<String> { Set(all(of: machine).flatMap { $0.record.disks.map(\.path) }) }

    /// The files that the checkpoints of all machines but one rely on.
    func disks(besides machine: GUID) -> Set<String> {
        found.withLock { found in
            Set(found.values.filter { $0.record.machine != machine }.flatMap { $0.record.disks.map(\.path) })
        }
    }

    /// A checkpoint that relies on a file; nil when none does.
    func checkpoint(relyingOn path: String) -> StoredCheckpoint? {
        found.withLock { $0.values.first { $0.record.disks.contains { $0.path == path } } }
    }

    /// What is known of a file that a checkpoint relies on; nil when none does.
    func known(_ path: String) -> (checkpoint: StoredCheckpoint, disk: CheckpointRecord.Disk)? {
        guard let checkpoint = checkpoint(relyingOn: path),
            let disk = checkpoint.record.disks.first(where: { $0.path == path })
        else { return nil }
        return (checkpoint, disk)
    }

    /// The machines with a checkpoint whose making was cut off.
    var machinesWithArmed: Set<GUID> {
        found.withLock { Set($0.values.filter(\.record.isArmed).map(\.record.machine)) }
    }

    /// The machines that have checkpoints.
    var machines: Set<GUID> { found.withLock { Set($0.values.map(\.record.machine)) } }

    func put(_ checkpoint: StoredCheckpoint) { found.withLock { $0[checkpoint.id] = checkpoint } }

    func take(_ id: GUID) { found.withLock { _ = $0.removeValue(forKey: id) } }
}
