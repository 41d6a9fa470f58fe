/// Which of the pending things reach the disk when the power is cut.
struct PowerCut {
    /// For each pending thing, whether it arrives.
    var arrives: [Bool]
    /// One sector that arrives in part: which, and which of its bytes.
    var torn: (index: Int, bytes: Range<Int>)?
}

extension SimulatedDisk {
    /// The disk after a power cut: what arrived is durable, all else has never been.
    static func cut(_ state: State, _ cut: PowerCut, faults: Faults) -> SimulatedDisk {
        var after = state
        for (index, item) in state.pending.enumerated() {
            if let torn = cut.torn, torn.index == index, case .bytes(let file, let offset, let bytes) = item {
                let range = torn.bytes.clamped(to: 0..<bytes.count)
                State.put(bytes[range], at: offset + range.lowerBound, into: &after.storedFiles[file])
            } else if cut.arrives[index] {
                after.apply(item)
            }
        }
        after.pending = []
        after.handles = [:]
        after.files = after.storedFiles
        // Old or new, whatever else has arrived.
        if cut.arrives.count(where: { $0 }) % 2 == 1 { after.storedTimes = after.times }
        after.times = after.storedTimes
        after.names = after.storedNames
        return SimulatedDisk(after, faults: faults)
    }

    /// A number that tells different contents apart.
    var fingerprint: UInt64 {
        let state = state
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for (name, file) in state.names.sorted(by: { $0.key < $1.key }) {
            for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
            hash = Self.hash(state.files[file], hash)
        }
        return hash
    }

    private static func hash(_ bytes: [UInt8], _ start: UInt64) -> UInt64 {
        bytes.withUnsafeBytes { buffer in
            var hash = (start ^ UInt64(buffer.count)) &* 0x9E37_79B9_7F4A_7C15
            var offset = 0
            while offset + 8 <= buffer.count {
                hash = (hash ^ buffer.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) &* 0x9E37_79B9_7F4A_7C15
                hash ^= hash >> 29
                offset += 8
            }
            while offset < buffer.count {
                hash = (hash ^ UInt64(buffer[offset])) &* 0x100_0000_01B3
                offset += 1
            }
            return hash
        }
    }
}

/// How thoroughly the states behind each step are tried.
package struct Thoroughness: Sendable {
    /// Up to this many pending things every subset is tried.
    package var exhaustive: Int
    /// How many random subsets are tried beyond.
    package var samples: Int
    /// How many of the states behind each step also have a torn sector.
    package var torn: Int
    /// In how many of the states the repair is cut off too: one in so many.
    package var nested: Int

    /// Behind which steps the power is cut: every one, or one in so many.
    package var every = 1

    /// All of it.
    package static let full = Thoroughness(exhaustive: 12, samples: 4096, torn: 256, nested: 64)
    /// A sample for every day.
    package static let short = Thoroughness(exhaustive: 3, samples: 6, torn: 2, nested: 32)

    /// Whether this is no more than a sample.
    var isShort: Bool { samples < 1000 }

    /// The power cuts to try with `count` things pending.
    func cuts(_ state: SimulatedDisk.State, _ random: inout MatrixRandom) -> [PowerCut] {
        let count = state.pending.count
        var cuts: [PowerCut] = []
        if count <= exhaustive {
            for bits in 0..<1 << count { cuts.append(PowerCut(arrives: (0..<count).map { bits >> $0 & 1 == 1 })) }
        } else {
            for number in 0..<samples { cuts.append(PowerCut(arrives: subset(count, number, &random))) }
            cuts += wholeFiles(state.pending)
        }
        let sectors = state.pending.indices.filter { if case .bytes = state.pending[$0] { true } else { false } }
        guard !sectors.isEmpty else { return cuts }
        for number in 0..<torn {
            let index = sectors[random.below(sectors.count)]
            let at = random.below(SimulatedDisk.sector)
            // The first bytes, or the last.
            let bytes = random.below(2) == 0 ? 0..<at : at..<SimulatedDisk.sector
            cuts.append(PowerCut(arrives: subset(count, number, &random), torn: (index, bytes)))
        }
        return cuts
    }

    /// All that is pending of one file alone, and of all others alone: a device may well store files one by one.
    private func wholeFiles(_ pending: [SimulatedDisk.Pending]) -> [PowerCut] {
        let files = Set(pending.compactMap(\.file))
        guard files.count > 1 else { return [] }
        return files.sorted().flatMap { file in
            [true, false].map { mine in PowerCut(arrives: pending.map { ($0.file == file) == mine }) }
        }
    }

    /// Few, some or most of the things; all but one; or one alone.
    private func subset(_ count: Int, _ number: Int, _ random: inout MatrixRandom) -> [Bool] {
        switch number % 8 {
        case 0:
            let missing = random.below(count)
            return (0..<count).map { $0 != missing }
        case 1:
            let only = random.below(count)
            return (0..<count).map { $0 == only }
        case 2:
            let end = random.below(count + 1)
            return (0..<count).map { $0 < end }
        default:
            let likelihood = [5, 25, 50, 75, 95][random.below(5)]
            return (0..<count).map { _ in random.below(100) < likelihood }
        }
    }
}
