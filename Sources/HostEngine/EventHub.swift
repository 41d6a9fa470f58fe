package import RoostAPI
package import RoostPrimitives
import Synchronization

/// Numbers what happens and passes it on, in order, to everybody who listens.
package final class EventHub: Sendable {
    private struct State {
        var next: UInt64 = 1
        var recent: [Event] = []
        var listeners: [Int: AsyncStream<Event>.Continuation] = [:]
        var nextListener = 0
        var isFinished = false
    }

    private let state = Mutex(State())
    /// How many events are kept for those who come late.
    package static let kept = 1000

    package init() {}

    /// Makes an event known.
    package func publish(
        _ kind: String,
        virtualMachine: GUID? = nil,
        subject: String,
        state machineState: VirtualMachineState? = nil,
        job: Int? = nil,
        message: String
    ) {
        // Listeners are served under the lock: two publishers must not overtake each other.
        state.withLock { state in
            let event = Event(
                sequence: state.next,
                time: timestamp(),
                kind: kind,
                virtualMachine: virtualMachine,
                subject: subject,
                state: machineState,
                job: job,
                message: message
            )
            state.next += 1
            state.recent.append(event)
            if state.recent.count > 2 * Self.kept { state.recent.removeFirst(state.recent.count - Self.kept) }
            for listener in state.listeners.values { listener.yield(event) }
        }
    }

    /// The events from number `since` + 1 as far as they are kept, then those to come; only those to come without it.
    ///
    /// A listener who falls 4,096 events behind loses the newest, which the gap in the numbers shows.
    package func listen(since: UInt64?) -> AsyncStream<Event> {
        let (stream, continuation) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .bufferingOldest(4096))
        let id = state.withLock { state in
            if let since {
                // A number that has not been given yet was given by an earlier roostd: everything is new to its owner.
                let since = since < state.next ? since : 0
                for event in state.recent.suffix(Self.kept) where event.sequence > since { continuation.yield(event) }
            }
            if state.isFinished { continuation.finish() }
            state.nextListener += 1
            state.listeners[state.nextListener] = continuation
            return state.nextListener
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { _ = $0.listeners.removeValue(forKey: id) }
        }
        return stream
    }

    /// Ends all streams, those to come too, when roostd stops.
    package func finish() {
        let listeners = state.withLock { state in
            defer { state.listeners = [:] }
            state.isFinished = true
            return Array(state.listeners.values)
        }
        for listener in listeners { listener.finish() }
    }
}
