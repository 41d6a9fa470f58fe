import ConfigStore
import QEMUDriver
package import RoostAPI
import RoostPrimitives
import VMConfiguration

extension VirtualMachine {
    /// Starts a throw-away copy of what a checkpoint keeps, has a look at it, and writes what it finds into the receipt;
    /// returns that.
    ///
    /// The machine may run, start and change meanwhile; checkpoints are neither applied nor removed.
    ///
    /// - Throws: `APIError` `.corrupt` when the checkpoint does not pass; what keeps it from being tried, and then nothing is
    ///   written.
    package func verifyCheckpoint(_ reference: String, _ request: VerifyCheckpointRequest) async throws -> String {
        let limit = request.timeoutSeconds ?? 300
        guard (1...86_400).contains(limit) else {
            throw APIError(.invalidArgument, "a time-out of \(limit) s is not within 1 to 86400")
        }
        let trial: CheckpointTrial
        let checkpoint: StoredCheckpoint
        (trial, checkpoint) = try await gate.run {
            try requireUsable("verify a checkpoint of")
            try requireDisksAtRest("verify a checkpoint of")
            let kept = try await self.kept(by: reference)
            let memory =
                kept.checkpoint.record.receipt.memoryInBytes == nil
                ? nil : host.directory.ofCheckpoints.savedState(kept.checkpoint.id)
            checkpointReaders += 1
            return (
                CheckpointTrial(
                    host: host,
                    configuration: kept.configuration,
                    variables: kept.variables,
                    memory: memory
                ), kept.checkpoint
            )
        }
        defer { checkpointReaders -= 1 }
        let title = "the checkpoint \"\(checkpoint.record.name)\" of \(name)"
        let outcome: CheckpointTrial.Outcome
        do {
            outcome = try await trial.run(GuestCheck(command: request.command), within: .seconds(limit))
        } catch let error as StoreError where error.code == .corrupt {
            outcome = .init(passed: false, detail: error.description)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            var translated = APIError(translating: error)
            translated.message = "cannot verify \(title): \(translated.message)"
            throw translated
        }
        try await note(outcome, checkpoint.id)
        publish("checkpoint.verified", "\(title) \(outcome.passed ? "passed" : "did not pass"): \(outcome.detail)")
        guard outcome.passed else {
            throw APIError(.corrupt, "\(title) did not pass", cause: outcome.detail)
        }
        return outcome.detail
    }

    /// Writes into a checkpoint's receipt what a trial has shown.
    private func note(_ outcome: CheckpointTrial.Outcome, _ id: GUID) async throws {
        try await gate.run {
            let stored = try stored(id.uppercased)
            let verification = CheckpointReceipt.Verification(
                time: secondsSinceEpoch(),
                passed: outcome.passed,
                detail: outcome.detail,
                bootInMilliseconds: outcome.bootTime.map { $0.microseconds / 1000 }
            )
            let changed = try await host.keeper.shelf.using { store in
                try store.update(stored) { _, record in record.receipt.verification = verification }
            }
            host.keeper.shelf.put(changed)
        }
    }

    /// Refuses what would change files that a trial reads.
    func requireCheckpointsUnread(_ what: String) throws {
        guard checkpointReaders > 0 else { return }
        throw APIError(
            .busy,
            "cannot \(what) \(name) while one of its checkpoints is verified: wait for that job, or cancel it ('roost job "
                + "list', 'roost job cancel')"
        )
    }
}
