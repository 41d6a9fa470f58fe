import Dispatch
import Synchronization

/// Pieces of a stream on their way from the thread that gets them to the one that passes them on.
///
/// One thread at each end.
final class TransferQueue: Sendable {
    private struct State {
        var pieces: [[UInt8]] = []
        var isGivenUp = false
    }

    private let state = Mutex(State())
    /// Counts the places that are free, and the pieces that wait.
    private let room = DispatchSemaphore(value: 0)
    private let items = DispatchSemaphore(value: 0)

    init(capacity: Int) { for _ in 0..<capacity { room.signal() } }

    /// Adds a piece when there is a place for it; returns false when nobody takes it any more.
    func put(_ piece: [UInt8]) -> Bool {
        room.wait()
        let isWanted = state.withLock { state in
            if !state.isGivenUp { state.pieces.append(piece) }
            return !state.isGivenUp
        }
        if isWanted { items.signal() }
        return isWanted
    }

    /// The next piece; nil behind the last.
    func take() -> [UInt8]? {
        items.wait()
        let piece = state.withLock { $0.pieces.isEmpty ? nil : $0.pieces.removeFirst() }
        if piece != nil { room.signal() }
        return piece
    }

    /// Says that no more come.
    func end() {
        items.signal()
    }

    /// Says that no more are wanted.
    func giveUp() {
        state.withLock { $0.isGivenUp = true }
        room.signal()
    }
}
