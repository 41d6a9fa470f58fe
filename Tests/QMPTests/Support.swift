@testable import QMP

/// A generator of the same numbers for the same seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}

/// Every way to feed bytes that a test has to try: cut in two at each place, and byte by byte.
func everyFeed(of bytes: [UInt8]) -> [[[UInt8]]] {
    (0...bytes.count).map { [Array(bytes[..<$0]), Array(bytes[$0...])] } + [bytes.map { [$0] }]
}

/// Bytes of a stream that nobody wrote: noise, and valid messages cut, repeated and damaged.
func garbage(of messages: [[UInt8]], using generator: inout SeededGenerator) -> [UInt8] {
    var bytes: [UInt8] = []
    for _ in 0..<Int.random(in: 1...6, using: &generator) {
        guard var message = messages.randomElement(using: &generator) else { continue }
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: message = (0..<20).map { _ in UInt8.random(in: 0...255, using: &generator) }
        case 1: message.removeLast(Int.random(in: 0...message.count, using: &generator))
        case 2:
            for index in message.indices where Int.random(in: 0..<30, using: &generator) == 0 {
                message[index] = UInt8.random(in: 0...255, using: &generator)
            }
        default: break
        }
        bytes += message
    }
    return bytes
}

extension String {
    var bytes: [UInt8] { Array(utf8) }
}
