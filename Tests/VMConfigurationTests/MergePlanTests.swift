import Testing
import VMConfiguration

@Suite struct MergePlanTests {
    @Test func onlyChildGoesIntoTheFileThatNobodyBeginsWith() {
        let plan = MergePlan(parents: ["top": "base"], tops: ["top"], spare: ["base"], untouchable: [])
        #expect(plan.steps == [.merge(upper: "top", lower: "base")])
        #expect(plan.replacements == ["top": "base"])
    }

    @Test func chainBecomesOneFile() {
        let plan = MergePlan(
            parents: ["c": "b", "b": "a"],
            tops: ["c"],
            spare: ["a", "b"],
            untouchable: []
        )
        #expect(plan.steps == [.merge(upper: "b", lower: "a"), .merge(upper: "c", lower: "a")])
        #expect(plan.replacements == ["c": "a"])
    }

    @Test func leafIsDeleted() {
        let plan = MergePlan(
            parents: ["leaf": "base", "now": "base"],
            tops: ["base", "now"],
            spare: ["leaf"],
            untouchable: []
        )
        #expect(plan.steps == [.delete("leaf")])
        #expect(plan.replacements.isEmpty)
    }

    @Test func fileThatTwoStandOnStays() {
        let plan = MergePlan(parents: ["a": "base", "b": "base"], tops: ["a", "b"], spare: ["base"], untouchable: [])
        #expect(plan.steps.isEmpty)
    }

    @Test func brotherThatGoesLetsTheOtherMerge() {
        let plan = MergePlan(parents: ["a": "base", "b": "base"], tops: ["b"], spare: ["base", "a"], untouchable: [])
        #expect(plan.steps == [.delete("a"), .merge(upper: "b", lower: "base")])
        #expect(plan.replacements == ["b": "base"])
    }

    @Test(arguments: ["base", "top"])
    func fileThatSomebodyElseUsesStaysAsItIs(file: String) {
        let plan = MergePlan(parents: ["top": "base"], tops: ["top"], spare: ["base"], untouchable: [file])
        #expect(plan.steps.isEmpty)
    }

    @Test func statesThatStayReadTheSameInTheMiddleOfEveryStep() {
        var merges = 0
        for seed in 0..<400 as Range<UInt64> {
            var disks = LayeredDisks(seed: seed)
            for _ in 0..<30 { disks.doSomething() }
            while disks.states.count > 1 {
                let before = disks.states.mapValues { disks.content($0) }
                let gone = disks.giveUpSomeStates()
                let plan = MergePlan(
                    parents: disks.parents,
                    tops: Set(disks.states.values),
                    spare: Set(disks.files.keys).subtracting(disks.states.values),
                    untouchable: []
                )
                for step in plan.steps {
                    if case .merge = step { merges += 1 }
                    disks.carryOut(step) { disks in
                        for (state, file) in disks.states {
                            #expect(disks.content(file) == before[state], "seed \(seed), \(gone) given up")
                        }
                    }
                }
                // Every file that is left is begun with, or stood on by two.
                for file in disks.files.keys where !disks.states.values.contains(file) {
                    #expect(disks.parents.values.filter { $0 == file }.count > 1)
                }
            }
        }
        #expect(merges > 100)
    }
}

/// Disk files as layers of a few blocks, with states that begin with them.
private struct LayeredDisks {
    var files: [String: [Int: UInt64]] = ["disk": [0: 1, 1: 1, 2: 1]]
    var parents: [String: String] = [:]
    /// The files that the states begin with; the state 0 is the machine's own.
    var states = [0: "disk"]
    private var random: SeededGenerator
    private var made = 0

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    private mutating func draw(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &random) }

    func content(_ file: String) -> [Int: UInt64] {
        let below = parents[file].map { content($0) } ?? [:]
        return below.merging(files[file] ?? [:]) { _, upper in upper }
    }

    /// Writes, takes a checkpoint, or goes back to one.
    mutating func doSomething() {
        made += 1
        let current = states[0] ?? ""
        switch draw(4) {
        case 0, 1:
            let (block, value) = (draw(6), random.next())
            files[current]?[block] = value
        case 2:
            states[made] = current
            branch(from: current)
        default:
            let checkpoints = states.keys.filter { $0 != 0 }.sorted()
            guard !checkpoints.isEmpty, let file = states[checkpoints[draw(checkpoints.count)]] else { return }
            files[current] = nil
            parents[current] = nil
            branch(from: file)
        }
    }

    private mutating func branch(from file: String) {
        let next = "disk.\(made)"
        files[next] = [:]
        parents[next] = file
        states[0] = next
    }

    mutating func giveUpSomeStates() -> [Int] {
        let checkpoints = states.keys.filter { $0 != 0 }.sorted()
        var gone = checkpoints.filter { _ in draw(3) == 0 }
        if gone.isEmpty { gone = [checkpoints[draw(checkpoints.count)]] }
        for state in gone { states[state] = nil }
        return gone
    }

    /// Carries out a step block by block; `look` is called in between.
    mutating func carryOut(_ step: MergePlan.Step, look: (LayeredDisks) -> Void) {
        switch step {
        case .delete(let file):
            files[file] = nil
            parents[file] = nil
        case .merge(let upper, let lower):
            for (block, value) in (files[upper] ?? [:]).sorted(by: { $0.key < $1.key }) {
                files[lower]?[block] = value
                look(self)
            }
            for (file, parent) in parents where parent == upper {
                parents[file] = lower
                look(self)
            }
            for (state, file) in states where file == upper {
                states[state] = lower
                look(self)
            }
            files[upper] = nil
            parents[upper] = nil
        }
        look(self)
    }
}
