import ConfigStore
import QEMUDriver
import RoostAPI
import RoostPrimitives
import VMConfiguration

extension VirtualMachine {
    /// Has a look at a throw-away copy of what a checkpoint keeps, and writes what it finds into the receipt; returns that.
    ///
    /// - Throws: `APIError` `.corrupt` when the checkpoint does not pass; what keeps it from being tried.
    func verify(_ kept: KeptMachine, _ command: String?, within limit: Duration) async throws -> String {
        let trial = CheckpointTrial(
            host: host,
            configuration: kept.configuration,
            variables: kept.variables,
            memory: kept.memory
        )
        let checkpoint = kept.checkpoint
        let title = "the checkpoint \"\(checkpoint.record.name)\" of \(name)"
        let outcome: CheckpointTrial.Outcome
        do {
            outcome = try await trial.run(GuestCheck(command: command), within: limit)
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
}
