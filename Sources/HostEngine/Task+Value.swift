extension Task where Failure == any Error {
    /// Waits for the outcome, and cancels the task when whoever waits is cancelled.
    func valueOrCancelled() async throws -> Success {
        try await withTaskCancellationHandler {
            try await value
        } onCancel: {
            cancel()
        }
    }
}
