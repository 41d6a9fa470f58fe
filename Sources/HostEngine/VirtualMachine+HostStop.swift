import Logging
import RoostAPI
import VMConfiguration

extension VirtualMachine {
    /// Does what the automatic stop action says; a guest that cannot be saved is asked to shut down.
    ///
    /// - Returns: What was done otherwise than the action says, a sentence each.
    func stopForHost(timeoutSeconds: Int) async -> [String] {
        // One that waits for a merge to end is about to run.
        if !cycle.isActive { await startsAhead.none() }
        guard cycle.isActive else { return [] }
        isStoppingForHost = true
        defer { isStoppingForHost = false }
        var deviations: [String] = []
        let action = (try? await load().automaticStopAction) ?? .shutDown
        // Somebody saves it already.
        if cycle.state == .saving { await waitForEnd(seconds: timeoutSeconds) }
        if action == .save, [.running, .paused].contains(cycle.state) {
            do {
                try await saveForHost(seconds: timeoutSeconds)
                return []
            } catch {
                host.log.warning("cannot save a guest", metadata: ["machine": "\(name)", "error": "\(error)"])
                deviations.append("\(name) was not saved: \(APIError(translating: error))")
            }
        }
        guard cycle.isActive else { return deviations }
        let asks = action != .turnOff
        do {
            if asks && cycle.state == .stopping {
                // Somebody has asked the guest already.
                await waitForEnd(seconds: timeoutSeconds)
            }
            if asks && cycle.state == .paused { try await perform(.resume) }
            guard cycle.isActive else { return deviations }
            let turnsOff = !asks || cycle.state != .running
            if asks, turnsOff { deviations.append("\(name) was turned off while it was \(cycle.state)") }
            try await perform(.stop(turnOff: turnsOff, timeoutSeconds: timeoutSeconds))
        } catch {
            host.log.warning(
                "turning off a guest that did not shut down",
                metadata: ["machine": "\(name)", "error": "\(error)"]
            )
            do {
                try await perform(.stop(turnOff: true, timeoutSeconds: 0))
                deviations.append("\(name) did not shut down, and was turned off: \(APIError(translating: error))")
            } catch {
                deviations.append("\(name) could not be turned off: \(APIError(translating: error))")
            }
        }
        return deviations
    }

    /// Saves the guest; gives it up when the time has passed.
    private func saveForHost(seconds: Int) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.perform(.save) }
            group.addTask {
                try await Task.sleep(for: .seconds(seconds))
                throw APIError(.timeout, "its memory was not written within \(seconds) s")
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Waits until the machine is off or crashed, or the time has passed.
    private func waitForEnd(seconds: Int) async {
        let changes = host.events.listen(since: nil)
        guard cycle.isActive else { return }
        let id = id
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for await event in changes where event.virtualMachine == id {
                    if !(await self.isActive) { return }
                }
            }
            group.addTask {
                // Cancelled means that the other one has ended first.
                _ = try? await Task.sleep(for: .seconds(seconds))
            }
            await group.next()
            group.cancelAll()
        }
    }
}
