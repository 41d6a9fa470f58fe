import Synchronization
import Testing

@testable import QEMUDriver

@Suite struct StateFeedTests {
    private struct Broken: Error {}

    /// Gives so many pieces, and fails behind them when it is to; counts how often it was asked.
    private final class Source: Sendable {
        let asked = Mutex(0)
        let count: Int
        let fails: Bool

        init(count: Int, fails: Bool = false) { (self.count, self.fails) = (count, fails) }

        func next() throws -> [UInt8]? {
            let number = asked.withLock { asked in
                asked += 1
                return asked
            }
            if number <= count { return [UInt8(number)] }
            if fails { throw Broken() }
            return nil
        }
    }

    @Test func piecesComeInOrderHoweverFewLieReady() async throws {
        for ahead in [1, 3, 100] {
            let source = Source(count: 50)
            let feed = StateFeed(ahead: ahead) { try source.next() }
            let taken = Mutex<[UInt8]>([])
            try await feed.pass { piece in taken.withLock { $0 += piece } }
            #expect(taken.withLock { $0 } == Array(1...50))
            feed.giveUp()
        }
    }

    @Test func manyThatStartAtOnceShareTheHostsMemory() {
        #expect([0, 1, 3, 15, 100].map(StateFeed.share) == [16, 8, 4, 4, 4])
    }

    @Test func whatReadingHasMetIsThrownBehindWhatCameBefore() async throws {
        let source = Source(count: 5, fails: true)
        let feed = StateFeed { try source.next() }
        let taken = Mutex(0)
        await #expect(throws: Broken.self) { try await feed.pass { _ in taken.withLock { $0 += 1 } } }
        #expect(taken.withLock { $0 } == 5)
    }

    @Test func nobodyReadsForWhoeverTakesNoMore() async throws {
        let refusing = Source(count: 1000)
        let feed = StateFeed(ahead: 2) { try refusing.next() }
        await #expect(throws: Broken.self) { try await feed.pass { _ in throw Broken() } }
        try await feed.pass { _ in }
        #expect(refusing.asked.withLock { $0 } < 10)

        let source = Source(count: 1000)
        let unused = StateFeed(ahead: 2) { try source.next() }
        unused.giveUp()
        // The reading has ended when there is nothing left to pass on.
        try await unused.pass { _ in }
        #expect(source.asked.withLock { $0 } < 10)
    }
}
