import Synchronization

/// The pieces of a state on its way to QEMU or from it, read ahead on a thread of its own.
///
/// QEMU takes a tenth of a second to come up, in which the first ones are read.
package final class StateFeed: Sendable {
    private let queue: TransferQueue
    private let reading: Task<Void, any Error>

    /// How many feeds are being read into, of those that do not say how far.
    private static let readers = Atomic(0)

    /// Begins to read.
    ///
    /// - Parameters:
    ///   - ahead: how many pieces, of a MiB each as a rule, lie ready at most; nil for a few, and fewer still when other
    ///     machines start, too. More were measured to cost processor time, and to save none.
    ///   - next: called for the next piece, on a thread that it may block; nil at the end.
    package init(ahead: Int? = nil, _ next: @escaping @Sendable () throws -> [UInt8]?) {
        let others = ahead == nil ? Self.readers.wrappingAdd(1, ordering: .relaxed).oldValue : 0
        let queue = TransferQueue(capacity: ahead ?? Self.share(beside: others))
        self.queue = queue
        reading = Task {
            defer { if ahead == nil { Self.readers.wrappingSubtract(1, ordering: .relaxed) } }
            try await onThreadOfItsOwn {
                defer { queue.end() }
                while let piece = try next() { if !queue.put(piece) { return } }
            }
        }
    }

    /// How many pieces lie ready beside so many others.
    static func share(beside others: Int) -> Int { max(4, 16 / (others + 1)) }

    /// Passes all pieces on, on a thread of its own.
    ///
    /// - Throws: what `take` throws, else what reading has met; both have ended then.
    func pass(to take: @escaping @Sendable ([UInt8]) throws -> Void) async throws {
        let queue = queue
        do {
            try await onThreadOfItsOwn { while let piece = queue.take() { try take(piece) } }
        } catch {
            queue.giveUp()
            _ = try? await reading.value
            throw error
        }
        try await reading.value
    }

    /// Ends the reading when nobody wants the pieces any more; nothing to do behind the last.
    package func giveUp() { queue.giveUp() }
}
