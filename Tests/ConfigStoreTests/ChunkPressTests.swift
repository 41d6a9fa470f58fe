import Dispatch
import Testing

@testable import ConfigStore

@Suite struct ChunkPressTests {
    @Test func chunksComeInTheOrderOfTheirContents() {
        // The first of every three takes longest.
        let last = DispatchSemaphore(value: 0)
        var press = ChunkPress(capacity: 3) { contents, number, _ in
            if number % 3 == 0 { _ = last.wait(timeout: .now() + 5) }
            if number % 3 == 2 { last.signal() }
            return contents + [UInt8(number)]
        }
        var chunks: [[UInt8]] = []
        for number in 0..<9 { if let chunk = press.press([UInt8(100 + number)]) { chunks.append(chunk) } }
        #expect(chunks.count == 6)
        while let chunk = press.next() { chunks.append(chunk) }
        #expect(chunks == (0..<9).map { [UInt8(100 + $0), UInt8($0)] })
        #expect(press.next() == nil)
    }

    @Test func hurriesWhileItHoldsOthersUpAndOnlyThen() {
        var press = ChunkPress(capacity: 1) { _, _, haste in [UInt8(haste)] }
        var chunks: [[UInt8]?] = []
        for (isBehind, times) in [(true, 2), (true, 9), (false, 1), (false, 9)] {
            for _ in 0..<times { press.adapt(isBehind: isBehind) }
            _ = press.press([1])
            chunks.append(press.next())
        }
        #expect(chunks == [[2], [6], [5], [0]])
    }

    @Test(arguments: [0, 3, 6])
    func chunkOfAnyHasteIsReadAsItWasWritten(haste: Int) throws {
        let contents = (0..<400).flatMap { Array(repeating: UInt8(truncatingIfNeeded: $0), count: 250) }
        let bytes = StateChunk.encode(contents, number: 7, stamp: 9, haste: haste)
        let chunk = try #require(StateChunk(Array(bytes[..<StateChunk.headerSize])))
        #expect(chunk.number == 7 && chunk.stamp == 9 && chunk.storedSize < contents.count)
        let isSame = chunk.contents(Array(bytes[StateChunk.headerSize...])) == contents
        #expect(isSame)
    }

    @Test func onlyWhatBecomesHalfAsLargeIsCompressed() throws {
        var random = SystemRandomNumberGenerator()
        for (zeros, isCompressed) in [(400_000, false), (600_000, true)] {
            let noise = (zeros..<1_000_000).map { _ in UInt8.random(in: 0...255, using: &random) }
            let bytes = StateChunk.encode([UInt8](repeating: 0, count: zeros) + noise, number: 0, stamp: 1)
            let chunk = try #require(StateChunk(Array(bytes[..<StateChunk.headerSize])))
            #expect((chunk.storedSize < 1_000_000) == isCompressed, "\(zeros)")
        }
    }
}
