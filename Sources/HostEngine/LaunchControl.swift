import QEMUDriver
import Synchronization

/// Lets somebody else end a start that is under way.
final class LaunchControl: Sendable {
    private struct State {
        var process: SpawnedProcess?
        var isCancelled = false
    }

    private let state = Mutex(State())

    /// Whether the start was given up.
    var isCancelled: Bool { state.withLock { $0.isCancelled } }

    /// Notes the process, and ends it at once when the start was given up before.
    func spawned(_ process: SpawnedProcess) {
        let isCancelled = state.withLock { state in
            state.process = process
            return state.isCancelled
        }
        if isCancelled { process.signal(9) }
    }

    /// Gives the start up.
    func cancel() {
        let process = state.withLock { state in
            state.isCancelled = true
            return state.process
        }
        process?.signal(9)
    }
}
