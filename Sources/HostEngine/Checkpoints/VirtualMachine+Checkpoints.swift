import ConfigStore
import Logging
package import RoostAPI
import RoostPrimitives
import VMConfiguration

/// The checkpoints of one machine; every change passes the machine's gate.
extension VirtualMachine {
    /// The configuration as the keeper of checkpoints reads and changes it, within the gate.
    private var kept: CheckpointKeeper.Machine {
        CheckpointKeeper.Machine(
            id: id,
            load: { try await self.load() },
            commit: { change in try await self.commit(change) }
        )
    }

    /// All checkpoints that count, in the order of their tree.
    package func checkpoints() async throws -> [CheckpointSummary] {
        try requireUsable("list the checkpoints of")
        return rows(current: try await load().currentCheckpoint)
    }

    /// One checkpoint with everything known of it.
    ///
    /// - Throws: `APIError` `.notFound`, and `.invalidArgument` for a name that several have.
    package func checkpoint(_ reference: String) async throws -> CheckpointDetail {
        try requireUsable("show a checkpoint of")
        let stored = try stored(reference)
        let store = host.keeper.store
        let configuration = try await onDisk { try store.load(id: stored.id, path: stored.path) }
        guard let row = rows(current: try await load().currentCheckpoint).first(where: { $0.id == stored.id }) else {
            throw APIError(.notFound, "the checkpoint \(stored.id) of \(name) has been removed")
        }
        return CheckpointDetail(
            summary: row,
            version: stored.version.description,
            notes: configuration.notes,
            memoryMiB: UInt64(clamping: configuration.memory.startup),
            processors: configuration.processors.count,
            disks: try await onDisk { stored.record.disks.map(CheckpointDetail.Disk.init) },
            receipt: CheckpointReceiptInfo(stored.record.receipt),
            configurationFile: stored.path
        )
    }

    /// Takes a checkpoint of a machine that is off; returns its identifier.
    package func createCheckpoint(_ request: CreateCheckpointRequest) async throws -> String {
        let wanted = request.name
        if let wanted { try Self.validate(checkpointName: wanted) }
        return try await gate.run {
            try requireOff("take a checkpoint of")
            let configuration = try await load()
            try require(request.kind, configuration)
            let seconds = secondsSinceEpoch()
            var record = CheckpointRecord(
                machine: id,
                parent: nil,
                name: wanted ?? "\(name) - (\(timestamp(seconds)))",
                // A guest that is off has no memory to keep.
                kind: .production,
                created: seconds,
                receipt: CheckpointReceipt()
            )
            record.receipt.consistency = .application
            let made = try await host.keeper.make(.random(), record, of: kept)
            publish("checkpoint.created", "the checkpoint \"\(made.record.name)\" of \(name) was taken")
            return made.id.uppercased
        }
    }

    /// Gives a checkpoint another name.
    package func renameCheckpoint(_ reference: String, _ request: UpdateCheckpointRequest) async throws
        -> CheckpointDetail
    {
        try Self.validate(checkpointName: request.name)
        let found = try await gate.run {
            try requireUsable("rename a checkpoint of")
            let stored = try stored(reference)
            let (store, newName) = (host.keeper.store, request.name)
            host.keeper.shelf.put(try await onDisk { try store.update(stored) { _, record in record.name = newName } })
            publish("checkpoint.changed", "a checkpoint of \(name) is called \"\(newName)\"")
            return stored.id
        }
        return try await checkpoint(found.uppercased)
    }

    /// Gives the machine, which is off, the state of a checkpoint; what it wrote since its last one is lost.
    ///
    /// - Parameter others: the files that other machines use; nil when nobody knows, and then none is given up.
    package func applyCheckpoint(
        _ reference: String,
        _ request: ApplyCheckpointRequest,
        besides others: Set<String>?,
        _ reporter: JobCenter.Reporter
    ) async throws {
        // Looked up first: behind the new checkpoint a name could mean two.
        let target = try stored(reference)
        if request.checkpointFirst == true {
            _ = try await createCheckpoint(CreateCheckpointRequest(name: "before \(target.record.name)".prefixed(100)))
        }
        try await gate.run {
            try requireOff("apply a checkpoint to")
            let stored = try stored(target.id.uppercased)
            try await host.keeper.apply(stored, to: kept, generationID: .random())
            knownVariables = nil
            publish("checkpoint.applied", "\(name) has the state of the checkpoint \"\(stored.record.name)\"")
            try await giveUpSpareDisks(besides: others, reporter)
        }
    }

    /// Removes checkpoints of a machine that is off, and merges the disk files that nobody needs for themselves then.
    package func removeCheckpoint(
        _ reference: String,
        _ request: RemoveCheckpointRequest,
        besides others: Set<String>?,
        _ reporter: JobCenter.Reporter
    ) async throws {
        try await gate.run {
            try requireOff("remove a checkpoint of")
            let stored = try stored(reference)
            let ids = request.subtree == true ? Set(tree().subtree(stored.id)) : [stored.id]
            try await host.keeper.remove(ids, of: kept)
            publish(
                "checkpoint.removed",
                ids.count == 1
                    ? "the checkpoint \"\(stored.record.name)\" of \(name) was removed"
                    : "the checkpoint \"\(stored.record.name)\" of \(name) was removed, with \(ids.count - 1) that came from it"
            )
            try await giveUpSpareDisks(besides: others, reporter)
        }
    }

    /// Completes or undoes what an earlier roostd was doing; to be called within the gate, with the machine off.
    func settleCheckpoints() async throws {
        try await host.keeper.settle(kept)
    }

    /// The same for a machine that is off, at roostd's start; returns whether disk files are still to be merged.
    func settleCheckpointsAtStart() async -> Bool {
        guard cycle.damage == nil else { return false }
        do {
            return try await gate.run {
                guard !cycle.isActive else { return false }
                try await settleCheckpoints()
                return !(try await load().spareDisks.isEmpty)
            }
        } catch {
            // Tried again before the machine starts.
            host.log.error("cannot finish a checkpoint", metadata: ["machine": "\(name)", "error": "\(error)"])
            return false
        }
    }

    /// Merges the files that a removal which was cut off has left, unless the machine has been started.
    func mergeLeftovers(besides others: Set<String>?, _ reporter: JobCenter.Reporter) async throws {
        try await gate.run {
            guard !cycle.isActive, !isRemoved else { return }
            try await giveUpSpareDisks(besides: others, reporter)
        }
    }

    private func giveUpSpareDisks(besides others: Set<String>?, _ reporter: JobCenter.Reporter) async throws {
        guard let others else {
            await reporter.warn("a machine is broken, so nobody knows which disks it uses: files that are spare stay")
            return
        }
        let damaged = host.keeper.shelf.damaged
        if !damaged.isEmpty {
            await reporter.warn(
                "checkpoints cannot be read, so nobody knows which disks they need, and files that are spare stay: "
                    + damaged.keys.map(\.uppercased).sorted().joined(separator: ", ")
            )
            return
        }
        try await host.keeper.mergeSpareDisks(of: kept, besides: others) { await reporter.progress($0) }
    }

    private func publish(_ kind: String, _ message: String) {
        host.events.publish(kind, virtualMachine: id, subject: name, message: message)
    }

    // MARK: - Finding

    private func tree() -> CheckpointTree {
        CheckpointTree(
            host.keeper.shelf.checkpoints(of: id).map {
                .init(id: $0.id, parent: $0.record.parent, created: $0.record.created)
            }
        )
    }

    private func rows(current: GUID?) -> [CheckpointSummary] {
        let found = Dictionary(host.keeper.shelf.checkpoints(of: id).map { ($0.id, $0) }) { first, _ in first }
        return tree().rows.compactMap { row in
            found[row.id].map { CheckpointSummary($0, depth: row.depth, isCurrent: row.id == current) }
        }
    }

    private func stored(_ reference: String) throws -> StoredCheckpoint {
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

    private func require(_ kind: CheckpointKind?, _ configuration: VirtualMachineConfiguration) throws {
        let type = configuration.checkpointType
        guard type != .disabled else {
            throw APIError(
                .invalidState,
                "\(name) takes no checkpoints: 'roost vm set --checkpoint-type Production' lets it"
            )
        }
        if kind == .standard, type == .productionOnly {
            throw APIError(
                .invalidState,
                "\(name) takes production checkpoints only: 'roost vm set --checkpoint-type Production' allows others"
            )
        }
        guard configuration.drives.contains(where: { $0.kind == .hardDisk && $0.path != nil }) else {
            throw APIError(.invalidState, "\(name) has no disk that a checkpoint could keep")
        }
    }

    private static func validate(checkpointName name: String) throws {
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

extension String {
    /// The text's first characters.
    fileprivate func prefixed(_ count: Int) -> String { String(prefix(count)) }
}
