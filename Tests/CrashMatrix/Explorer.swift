import ConfigStore
import Synchronization

/// What became of the states of a scenario.
package struct Tally: Sendable {
    /// States that differ from each other or in what was expected of them.
    package var tried = 0
    /// States among them that differ in what is on the disk, before any block of it went bad.
    package var contents = 0
    /// States among them that were as expected.
    package var survived = 0
    /// What was wrong with the first others.
    package var findings: [String] = []
    /// States among them that were not as expected.
    package var lost: Int { tried - survived }

    mutating func add(_ other: Tally) {
        tried += other.tried
        contents += other.contents
        survived += other.survived
        findings += other.findings.prefix(max(0, 5 - findings.count))
    }
}

/// Cuts the power of a simulated disk behind every step, in many ways, and checks what is left.
final class Explorer: Sendable {
    /// Checks a disk after a power cut; nil when it is as expected.
    typealias Check = @Sendable (SimulatedDisk, _ extra: Bool) -> String?

    private struct State {
        var random: MatrixRandom
        var seen: Set<UInt64> = []
        var contents: Set<UInt64> = []
        var tally = Tally()
        var step = 0
        var check: Check?
        var phase: UInt64 = 0
        var damages = false

        mutating func note(_ fingerprint: UInt64) {
            if contents.insert(fingerprint).inserted { tally.contents += 1 }
        }
    }

    private let state: Mutex<State>
    private let thoroughness: Thoroughness
    private let seed: UInt64

    init(_ thoroughness: Thoroughness, seed: UInt64) {
        self.thoroughness = thoroughness
        self.seed = seed
        state = Mutex(State(random: MatrixRandom(seed: seed)))
    }

    var tally: Tally { state.withLock { $0.tally } }

    /// Sets what is expected from now on.
    ///
    /// - Parameter damages: whether one block of a machine's file may also go bad, which only a state that has been
    ///   acknowledged survives.
    func expect(damages: Bool = false, _ check: @escaping Check) {
        state.withLock {
            $0.check = check
            $0.phase += 1
            $0.damages = damages
        }
    }

    /// Tries the power cuts that may follow now.
    func explore(_ disk: SimulatedDisk) {
        let now = disk.state
        let cuts = state.withLock { state in
            state.step += 1
            return state.step % thoroughness.every == 0 ? thoroughness.cuts(now, &state.random) : []
        }
        for cut in cuts { tryOne(now, cut, disk.faults) }
    }

    private func tryOne(_ now: SimulatedDisk.State, _ cut: PowerCut, _ faults: Faults) {
        let disk = SimulatedDisk.cut(now, cut, faults: Faults())
        let (check, isNested, damage) = state.withLock { state -> (Check?, Bool, MatrixRandom?) in
            let isNew = state.seen.insert(disk.fingerprint ^ state.phase &* 0x9E37_79B9_7F4A_7C15).inserted
            guard isNew else { return (nil, false, nil) }
            state.note(disk.fingerprint)
            let random = MatrixRandom(seed: state.random.next())
            return (
                state.check, state.random.below(thoroughness.nested) == 0,
                state.damages && state.random.below(16) == 0 ? random : nil
            )
        }
        guard let check else { return }
        if faults.planted == .checksumSkipped { disk.forgeLogs() }
        if var damage { disk.damageOneBlock(&damage) }
        if isNested { disk.afterEachStep { self.exploreRepair($0, check) } }
        record(check(disk, isNested), damage != nil ? "with a bad block" : "")
    }

    /// Cuts the power once more while the last cut is being repaired; a few ways for each step.
    private func exploreRepair(_ disk: SimulatedDisk, _ check: Check) {
        let now = disk.state
        let cuts = state.withLock { state in
            Thoroughness(exhaustive: 2, samples: 4, torn: 1, nested: .max).cuts(now, &state.random)
        }
        for cut in cuts {
            let again = SimulatedDisk.cut(now, cut, faults: Faults())
            let isNew = state.withLock { state in
                let isNew = state.seen.insert(again.fingerprint &+ state.phase).inserted
                if isNew { state.note(again.fingerprint) }
                return isNew
            }
            guard isNew else { continue }
            record(check(again, false), "in the repair")
        }
    }

    /// Counts a state.
    func record(_ violation: String?, _ circumstances: String = "") {
        state.withLock { state in
            state.tally.tried += 1
            if let violation {
                if state.tally.findings.count < 5 {
                    state.tally.findings.append("seed \(seed) step \(state.step) \(circumstances): \(violation)")
                }
            } else {
                state.tally.survived += 1
            }
        }
    }
}

extension SimulatedDisk {
    /// Makes one block of a configuration's file or of a second copy bad.
    func damageOneBlock(_ random: inout MatrixRandom) {
        let names = state.names.keys.filter { $0.hasSuffix(".vmcx") || $0.hasSuffix(".copy") || $0.hasSuffix(".xml") }
            .sorted()
        guard !names.isEmpty else { return }
        let name = names[random.below(names.count)]
        let kind = random.below(2)
        let place = random.next()
        mutate(name) { bytes in
            guard !bytes.isEmpty else { return }
            let block = Int(place >> 33) % ((bytes.count + 4095) / 4096)
            for index in block * 4096..<min(bytes.count, block * 4096 + 4096) {
                bytes[index] = kind == 0 ? 0 : UInt8(truncatingIfNeeded: index &* 91 ^ 0x5C)
            }
        }
    }
}
