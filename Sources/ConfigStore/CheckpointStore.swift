import HyperVStorage
package import RoostPrimitives
package import VMConfiguration

/// A checkpoint as its file tells.
package struct StoredCheckpoint: Hashable, Sendable, Identifiable {
    package var id: GUID
    package var path: String
    package var record: CheckpointRecord
    /// The configuration version of what is kept.
    package var version: ConfigurationVersion
}

/// What is found in the checkpoints' folder: one entry for each file, readable or not.
package enum FoundCheckpoint: Sendable {
    case readable(StoredCheckpoint)
    /// Nobody can use the file, which stays as it is; the reason says why.
    case broken(id: GUID, path: String, reason: StoreError)
}

/// Reads and writes the checkpoints of a state directory.
///
/// A checkpoint is a whole configuration, with what ``CheckpointRecord`` says on top, in a file of its own: it is
/// stored, copied and, when it is read, checked and repaired as every other configuration is. The rules of
/// ``ConfigurationStore`` hold: every function blocks on the disk, writes are durable in both places when they return,
/// one caller at a time per checkpoint.
package struct CheckpointStore: Sendable {
    /// The store of the files, for looking after them.
    package let configurations: ConfigurationStore
    /// The store of the machines that they are checkpoints of.
    package let machines: ConfigurationStore

    /// The checkpoints beside a store of machines.
    package init(beside machines: ConfigurationStore) {
        self.machines = machines
        configurations = machines.inDirectory(machines.directory.ofCheckpoints)
    }

    /// All checkpoints; one bad file hides no other.
    package func list() throws(StoreError) -> [FoundCheckpoint] {
        try configurations.list().map { inspect(id: $0.id, path: $0.path) }
    }

    /// Reads a checkpoint's record alone.
    package func inspect(id: GUID, path: String) -> FoundCheckpoint {
        do throws(StoreError) {
            let configuration = try configurations.glance(id: id, path: path)
            return .readable(try Self.stored(configuration, id, path))
        } catch {
            return .broken(id: id, path: path, reason: error)
        }
    }

    /// Reads what a checkpoint keeps: the configuration as it was, its record among it.
    ///
    /// - Throws: as ``ConfigurationStore/load(id:path:)``, and `.corrupt` for a configuration that is no checkpoint's.
    package func load(id: GUID, path: String) throws(StoreError) -> VirtualMachineConfiguration {
        let configuration = try configurations.load(id: id, path: path)
        _ = try Self.stored(configuration, id, path)
        return configuration
    }

    /// Keeps a configuration as a checkpoint with an identifier of its own.
    ///
    /// - Throws: `StoreError` `.exists` when there is one of that identifier.
    package func create(
        _ id: GUID,
        _ configuration: VirtualMachineConfiguration,
        _ record: CheckpointRecord
    ) throws(StoreError) -> StoredCheckpoint {
        var kept = configuration
        kept.id = id
        kept.checkpoint = record
        let path = try configurations.create(kept)
        return StoredCheckpoint(id: id, path: path, record: record, version: configuration.version)
    }

    /// Changes a checkpoint's record and what it keeps, in one transaction.
    package func update(
        _ checkpoint: StoredCheckpoint,
        _ change: (inout VirtualMachineConfiguration, inout CheckpointRecord) throws -> Void
    ) throws -> StoredCheckpoint {
        let (id, path) = (checkpoint.id, checkpoint.path)
        let changed = try configurations.update(id: id, path: path) { configuration in
            var record = try Self.stored(configuration, id, path).record
            try change(&configuration, &record)
            configuration.checkpoint = record
        }
        return try Self.stored(changed, id, path)
    }

    /// Deletes a checkpoint's file with its second copy; nothing is said of disks.
    package func remove(_ checkpoint: StoredCheckpoint) throws(StoreError) {
        try configurations.remove(path: checkpoint.path)
    }

    private static func stored(
        _ configuration: VirtualMachineConfiguration,
        _ id: GUID,
        _ path: String
    ) throws(StoreError) -> StoredCheckpoint {
        guard let record = configuration.checkpoint else {
            throw StoreError(.corrupt, "\(path) is no checkpoint: it says neither of which machine nor what it keeps")
        }
        return StoredCheckpoint(id: id, path: path, record: record, version: configuration.version)
    }
}
