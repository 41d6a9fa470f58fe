import Dispatch
import Synchronization

/// Makes chunks out of pieces of a stream on several threads, and gives them back in the order of the pieces.
///
/// While it holds up whoever brings the pieces it compresses faster and less. For one thread.
struct ChunkPress {
    /// How many chunks are made at once, or lie ready.
    private let capacity: Int
    private let make: @Sendable (_ contents: [UInt8], _ number: UInt32, _ haste: Int) -> [UInt8]
    private var number: UInt32 = 0
    private var begun: [Pressing] = []
    /// How much faster than well, as powers of two; see ``StateChunk/encode(_:number:stamp:haste:)``.
    private var haste = 0

    private static let queue = DispatchQueue(label: "roost.chunks", qos: .userInitiated, attributes: .concurrent)
    /// LZ4 looks at so few places then that it can hardly be faster.
    private static let mostHaste = 6

    /// - Parameter stamp: what tells the chunks from those of another file.
    init(stamp: UInt64) {
        // As many threads as the host has processors, at most.
        self.init(capacity: 8) { StateChunk.encode($0, number: $1, stamp: stamp, haste: $2) }
    }

    init(
        capacity: Int,
        make: @escaping @Sendable (_ contents: [UInt8], _ number: UInt32, _ haste: Int) -> [UInt8]
    ) {
        self.capacity = max(capacity, 1)
        self.make = make
    }

    /// Begins a chunk with these contents; returns an earlier one when there are enough of them, and waits for it.
    mutating func press(_ contents: [UInt8]) -> [UInt8]? {
        var ready: [UInt8]?
        if begun.count >= capacity {
            let first = begun.removeFirst()
            adapt(isBehind: !first.isDone)
            ready = first.wait()
        }
        let next = Pressing()
        begun.append(next)
        Self.queue.async { [make, number, haste] in next.end(make(contents, number, haste)) }
        number += 1
        return ready
    }

    /// Learns whether somebody has to wait for a chunk.
    mutating func adapt(isBehind: Bool) {
        haste = isBehind ? min(haste + 1, Self.mostHaste) : max(haste - 1, 0)
    }

    /// The next chunk, waiting for it; nil when all have been taken.
    mutating func next() -> [UInt8]? { begun.isEmpty ? nil : begun.removeFirst().wait() }
}

/// A chunk that is being made.
private final class Pressing: Sendable {
    private let result = Mutex<[UInt8]?>(nil)
    private let ended = DispatchSemaphore(value: 0)

    var isDone: Bool { result.withLock { $0 != nil } }

    func end(_ bytes: [UInt8]) {
        result.withLock { $0 = bytes }
        ended.signal()
    }

    /// To be called once.
    func wait() -> [UInt8] {
        ended.wait()
        return result.withLock { $0 ?? [] }
    }
}
