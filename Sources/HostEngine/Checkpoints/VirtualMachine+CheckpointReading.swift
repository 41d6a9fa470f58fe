import ConfigStore
import HyperVStorage
import RoostAPI
import VMConfiguration

/// What a checkpoint keeps, for whoever makes something of it.
struct KeptMachine: Sendable {
    var checkpoint: StoredCheckpoint
    /// The configuration, as that of the machine itself.
    var configuration: VirtualMachineConfiguration
    /// The file with its UEFI variables.
    var variables: String?
    /// The file with its memory.
    var memory: String?
}

/// Reading what a checkpoint keeps while its machine goes on.
extension VirtualMachine {
    /// Runs `body` with what a checkpoint keeps.
    ///
    /// The machine may run, start and change meanwhile; its checkpoints are neither applied nor removed, so that all files
    /// stay as they are.
    ///
    /// - Throws: `APIError` `.notFound`, `.busy` while disk files are merged, `.corrupt` for disks that are not as they were;
    ///   whatever `body` throws.
    func withCheckpoint<Result: Sendable>(
        _ reference: String,
        _ what: String,
        _ body: @Sendable (KeptMachine) async throws -> Result
    ) async throws -> Result {
        let kept = try await gate.run {
            try requireUsable(what)
            try requireDisksAtRest(what)
            // What a cut has left could go at the next start, which does not wait for this.
            if !cycle.isActive || machine != nil { try await settleCheckpoints() }
            let kept = try await self.kept(by: reference)
            checkpointReaders += 1
            return kept
        }
        defer { checkpointReaders -= 1 }
        return try await body(kept)
    }

    private func kept(by reference: String) async throws -> KeptMachine {
        let stored = try stored(reference)
        let (keeper, id, name) = (host.keeper, id, name)
        try await keeper.requireUnchanged(stored)
        let receipt = stored.record.receipt
        let variables = receipt.hasVariables ? keeper.directory.ofCheckpoints.guestState(stored.id) : nil
        let configuration = try await keeper.shelf.using { store in
            if let variables { try store.configurations.checkKept(variables) }
            var kept = try store.load(id: stored.id, path: stored.path)
            kept.root = kept.root.withoutOrigins()
            kept.forgetCheckpoints()
            (kept.id, kept.name) = (id, name)
            return kept
        }
        return KeptMachine(
            checkpoint: stored,
            configuration: configuration,
            variables: variables,
            memory: receipt.memoryInBytes == nil ? nil : keeper.directory.ofCheckpoints.savedState(stored.id)
        )
    }

    /// Refuses what would change files that somebody reads.
    func requireCheckpointsUnread(_ what: String) throws {
        guard checkpointReaders > 0 else { return }
        throw APIError(
            .busy,
            "cannot \(what) \(name) while one of its checkpoints is verified, exported or copied: wait for that job, or cancel "
                + "it ('roost job list', 'roost job cancel')"
        )
    }
}
