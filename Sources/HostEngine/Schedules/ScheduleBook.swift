import RoostPrimitives
import Synchronization
import VMConfiguration

/// When each machine is to take its next automatic checkpoint, kept by the machines themselves, so that looking for those
/// that are due asks nobody.
final class ScheduleBook: Sendable {
    /// An automatic checkpoint that was not taken.
    struct Miss: Hashable, Sendable {
        /// How many were left out since roostd started.
        var count = 0
        /// When the last one was, in seconds since 1970.
        var time: Int64 = 0
        var reason = ""
    }

    private struct Entry {
        var schedule: CheckpointSchedule
        /// When something was last tried that gave no checkpoint, and when to try again.
        var nextTry: Int64?
        var isRunning = false
        var failures = 0
        /// The due time that was last counted as missed.
        var missedDue: Int64?
        var miss: Miss?

        mutating func count(_ more: Int, _ reason: String, at now: Int64) {
            miss = Miss(count: (miss?.count ?? 0) + more, time: now, reason: reason)
        }
    }

    private struct State {
        var entries: [GUID: Entry] = [:]
        var sleeper: Task<Void, Never>?
        var isAwake = false
    }

    private let state = Mutex(State())
    /// When a machine took its last automatic checkpoint; nil when it has none.
    private let last: @Sendable (GUID) -> Int64?

    init(last: @escaping @Sendable (GUID) -> Int64?) { self.last = last }

    /// Sets or removes the schedule of a machine.
    func set(_ id: GUID, _ schedule: CheckpointSchedule?) {
        let isChanged = state.withLock { state in
            guard state.entries[id]?.schedule != schedule else { return false }
            guard let schedule else {
                state.entries[id] = nil
                return false
            }
            if state.entries[id] == nil { state.entries[id] = Entry(schedule: schedule) }
            state.entries[id]?.schedule = schedule
            state.entries[id]?.nextTry = nil
            return true
        }
        if isChanged { wake() }
    }

    /// When a machine's next one is due, in seconds since 1970; nil when it has no schedule.
    func next(_ id: GUID) -> Int64? { state.withLock { $0.entries[id] }.map { time(of: $0, id) } }

    /// What a machine has missed since roostd started.
    func miss(_ id: GUID) -> Miss? { state.withLock { $0.entries[id]?.miss } }

    /// Takes the machines of which one is due, at most some of them; each is left alone until ``end(_:_:)``.
    func take(at now: Int64, atMost limit: Int) -> [(id: GUID, due: Int64)] {
        let entries = state.withLock { $0.entries }
        let due = entries.filter { !$0.value.isRunning }.map { (id: $0.key, due: time(of: $0.value, $0.key)) }
            .filter { $0.due <= now }
            .sorted { ($0.due, $0.id) < ($1.due, $1.id) }
            .prefix(max(0, limit - entries.values.count(where: \.isRunning)))
        state.withLock { state in for (id, _) in due { state.entries[id]?.isRunning = true } }
        return Array(due)
    }

    /// The outcome of one that was due.
    enum Outcome: Sendable {
        case taken
        /// The machine is off and has written nothing since its last checkpoint.
        case nothingNew
        case failed(reason: String)
    }

    /// Says what became of one; returns whether it counts as missed, which each that was due does once.
    @discardableResult
    func end(_ id: GUID, _ outcome: Outcome, at now: Int64) -> Bool {
        let lastTaken = last(id)
        let isMissed = state.withLock { state in
            guard var entry = state.entries[id] else { return false }
            defer { state.entries[id] = entry }
            entry.isRunning = false
            switch outcome {
            case .taken: (entry.nextTry, entry.failures) = (nil, 0)
            case .nothingNew: (entry.nextTry, entry.failures) = (entry.schedule.next(after: now, failures: 0), 0)
            case .failed(let reason):
                entry.failures += 1
                entry.nextTry = entry.schedule.next(after: now, failures: entry.failures)
                let due = entry.schedule.lastDue(after: lastTaken, at: now)
                guard entry.missedDue != due else { return false }
                entry.missedDue = due
                entry.count(1, reason, at: now)
                return true
            }
            return false
        }
        wake()
        return isMissed
    }

    /// Counts some that nobody took.
    func note(missed count: Int, _ id: GUID, reason: String, at now: Int64) {
        state.withLock { $0.entries[id]?.count(count, reason, at: now) }
    }

    private func time(of entry: Entry, _ id: GUID) -> Int64 {
        max(entry.schedule.due(after: last(id)), entry.nextTry ?? 0)
    }

    // MARK: - Waiting

    /// Waits until one is due or something has changed; an hour at most, since clocks are set.
    func wait(at now: Int64) async {
        let entries = state.withLock { $0.entries }
        let next = entries.filter { !$0.value.isRunning }.map { time(of: $0.value, $0.key) }.min() ?? .max
        // One that is due already waits for its turn, which the end of another brings.
        let seconds = next <= now ? 3600 : min(next - now, 3600)
        let sleeper = state.withLock { state -> Task<Void, Never>? in
            if state.isAwake {
                state.isAwake = false
                return nil
            }
            let sleeper = Task { _ = try? await Task.sleep(for: .seconds(seconds)) }
            state.sleeper = sleeper
            return sleeper
        }
        guard let sleeper else { return }
        await withTaskCancellationHandler {
            await sleeper.value
        } onCancel: {
            sleeper.cancel()
        }
        state.withLock { ($0.sleeper, $0.isAwake) = (nil, false) }
    }

    private func wake() {
        state.withLock { state in
            state.isAwake = true
            state.sleeper?.cancel()
        }
    }
}
