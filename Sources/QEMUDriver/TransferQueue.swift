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

/// Gets the pieces of a stream on one thread and passes them on on another, which both may block.
///
/// - Parameters:
///   - get: the next piece; nil at the end.
///   - pass: what is done with each.
/// - Throws: what one of them throws, that of `pass` first; the other one ends then.
func transfer(
    get: @escaping @Sendable () throws -> [UInt8]?,
    pass: @escaping @Sendable ([UInt8]) throws -> Void
) async throws {
    let queue = TransferQueue(capacity: 4)
    async let got: Void = onThreadOfItsOwn {
        defer { queue.end() }
        while let piece = try get() { if !queue.put(piece) { return } }
    }
    async let passed: Void = onThreadOfItsOwn {
        do {
            while let piece = queue.take() { try pass(piece) }
        } catch {
            queue.giveUp()
            throw error
        }
    }
    var failure: (any Error)?
    do { try await passed } catch { failure = error }
    do { try await got } catch { failure = failure ?? error }
    if let failure { throw failure }
}
