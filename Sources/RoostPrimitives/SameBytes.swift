extension [UInt8] {
    /// Whether both have the same bytes: as `==`, eight at a time, for those who compare whole files.
    package func hasSameBytes(as other: [UInt8]) -> Bool {
        guard count == other.count else { return false }
        return withUnsafeBytes { mine in
            other.withUnsafeBytes { theirs in
                if mine.baseAddress == theirs.baseAddress { return true }
                let words = mine.count / 8
                // Without a way out inside a run, the compiler compares several words at once.
                for start in stride(from: 0, to: words, by: 512) {
                    var difference: UInt64 = 0
                    for word in start..<Swift.min(start + 512, words) {
                        difference |=
                            mine.loadUnaligned(fromByteOffset: 8 * word, as: UInt64.self)
                            ^ theirs.loadUnaligned(fromByteOffset: 8 * word, as: UInt64.self)
                    }
                    if difference != 0 { return false }
                }
                return (8 * words..<mine.count).allSatisfy { mine[$0] == theirs[$0] }
            }
        }
    }
}
