internal import CRoostBytes

extension [UInt8] {
    /// Whether both have the same bytes: as `==`, by the C library, for those who compare whole files.
    package func hasSameBytes(as other: [UInt8]) -> Bool {
        guard count == other.count else { return false }
        return withUnsafeBytes { mine in
            other.withUnsafeBytes { theirs in
                guard let one = mine.baseAddress, let two = theirs.baseAddress else { return true }
                return roost_same_bytes(one, two, mine.count) != 0
            }
        }
    }
}
