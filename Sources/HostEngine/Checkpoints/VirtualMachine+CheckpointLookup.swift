import ConfigStore
import RoostAPI
import RoostPrimitives
import VMConfiguration

/// The checkpoints of one machine as users name them, and what its settings allow.
extension VirtualMachine {
    // MARK: - Finding

    func tree() -> CheckpointTree {
        CheckpointTree(
            host.keeper.shelf.checkpoints(of: id).map {
                .init(id: $0.id, parent: $0.record.parent, created: $0.record.created)
            }
        )
    }

    func rows(current: GUID?) -> [CheckpointSummary] {
        let found = Dictionary(host.keeper.shelf.checkpoints(of: id).map { ($0.id, $0) }) { first, _ in first }
        return tree().rows.compactMap { row in
            found[row.id].map { CheckpointSummary($0, depth: row.depth, isCurrent: row.id == current) }
        }
    }

    func stored(_ reference: String) throws -> StoredCheckpoint {
        let all = host.keeper.shelf.checkpoints(of: id)
        if let id = GUID(reference), let found = all.first(where: { $0.id == id }) { return found }
        let named = all.filter { $0.record.name == reference }
        guard let found = named.first else {
            throw APIError(
                .notFound,
                "\(name) has no checkpoint \"\(reference)\": see 'roost checkpoint list'"
            )
        }
        guard named.count == 1 else {
            throw APIError(
                .invalidArgument,
                "\(name) has \(named.count) checkpoints \"\(reference)\": choose one of "
                    + named.map(\.id.uppercased).joined(separator: ", ")
            )
        }
        return found
    }

    // MARK: - Requirements

    /// What kind of checkpoint to take, as the machine's checkpoint type allows.
    func kind(
        _ wanted: CheckpointKind?,
        _ configuration: VirtualMachineConfiguration
    ) throws -> CheckpointRecord.Kind {
        let type = configuration.checkpointType
        guard type != .disabled else {
            throw APIError(
                .invalidState,
                "\(name) takes no checkpoints: 'roost vm set --checkpoint-type Production' lets it"
            )
        }
        if wanted == .standard, type == .productionOnly {
            throw APIError(
                .invalidState,
                "\(name) takes production checkpoints only: 'roost vm set --checkpoint-type Production' allows others"
            )
        }
        guard configuration.drives.contains(where: { $0.kind == .hardDisk && $0.path != nil }) else {
            throw APIError(.invalidState, "\(name) has no disk that a checkpoint could keep")
        }
        if wanted == .production { try configuration.version.require(.productionCheckpoints) }
        if let wanted { return wanted == .standard ? .standard : .production }
        return type == .standard ? .standard : .production
    }

    static func validate(checkpointName name: String) throws {
        guard (1...100).contains(name.count), name.utf8.count <= 255,
            !name.unicodeScalars.contains(where: { $0.value < 32 || $0.value == 127 })
        else {
            throw APIError(
                .invalidArgument,
                "a checkpoint's name has 1 to 100 characters in at most 255 bytes, and no control characters"
            )
        }
        guard GUID(name) == nil else {
            throw APIError(
                .invalidArgument,
                "\"\(name)\" cannot be the name of a checkpoint: it would be taken for the identifier of one"
            )
        }
    }
}
