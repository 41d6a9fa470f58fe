import DurableFiles
import VMConfiguration

/// The matrix: named scenarios, each run with a number of seeds.
package struct CrashMatrix: Sendable {
    /// One row of the table.
    package struct Scenario: Sendable {
        package var name: String
        /// Runs it with a seed.
        package var run: @Sendable (_ seed: UInt64, Thoroughness, Faults.Planted?) throws -> Tally
        /// How many seeds a whole run takes.
        package var seeds: Int
    }

    /// The scenarios that a debug build gets through in a minute; the others are for `make crash-matrix`.
    package static var daily: [Scenario] {
        let slow = ["new tables", "has to grow", "chained", "short writes", "no space", "outgrows", "deleted"]
        return scenarios.filter { scenario in !slow.contains { scenario.name.contains($0) } }
    }

    /// All scenarios.
    package static let scenarios: [Scenario] =
        ModelMaker.Change.allCases.map { change in
            Scenario(
                name: "changes of one machine: \(change.rawValue)",
                run: { seed, thoroughness, planted in
                    try store(seed, .v8_0, thoroughness, planted) { scenario, _ in
                        try scenario.create()
                        for _ in 0..<(thoroughness.isShort ? 2 : 4) {
                            try scenario.change(scenario.machines[0], change)
                        }
                        try scenario.settle(scenario.machines[0])
                        try scenario.change(scenario.machines[0], change)
                    }
                },
                seeds: 2
            )
        } + [
            Scenario(name: "renamed machines and run records", run: renamesAndRecords, seeds: 1),
            Scenario(name: "the host's own record", run: hostRecord, seeds: 1),
            Scenario(name: "machines made, copied and removed", run: comingAndGoing, seeds: 1),
            Scenario(name: "random sequences of everything", run: everything(.v8_0, steps: 7), seeds: 6),
            Scenario(
                name: "random sequences of everything, version 5.0 (XML)",
                run: everything(.v5_0, steps: 3),
                seeds: 1
            ),
            Scenario(name: "one file without a copy: random changes", run: container, seeds: 6),
            Scenario(name: "one file without a copy: a log that has to grow", run: growth, seeds: 1),
            Scenario(name: "one file without a copy: chained object tables", run: chains, seeds: 1),
            Scenario(name: "failing calls: no space", run: faults(.noSpace), seeds: 1),
            Scenario(name: "failing calls: I/O errors, failed syncs", run: faults(.ioError), seeds: 1),
            Scenario(name: "failing calls: short writes", run: faults(.shortWrite), seeds: 1),
        ]

    private static func store(
        _ seed: UInt64,
        _ version: ConfigurationVersion,
        _ thoroughness: Thoroughness,
        _ planted: Faults.Planted?,
        _ body: (StoreScenario, inout MatrixRandom) throws -> Void
    ) throws -> Tally {
        let explorer = Explorer(thoroughness, seed: seed)
        let scenario = StoreScenario(seed: seed, version: version, explorer, faults: planted)
        var random = MatrixRandom(seed: seed &+ 77)
        do {
            try body(scenario, &random)
        } catch {
            explorer.record("\(error)", "without a power cut")
        }
        return explorer.tally
    }

    @Sendable private static func renamesAndRecords(
        _ seed: UInt64,
        _ thoroughness: Thoroughness,
        _ planted: Faults.Planted?
    ) throws -> Tally {
        try store(seed, .v8_0, thoroughness, planted) { scenario, _ in
            try scenario.create()
            for _ in 0..<3 {
                try scenario.record(scenario.machines[0])
                try scenario.rename(scenario.machines[0])
            }
        }
    }

    @Sendable private static func hostRecord(
        _ seed: UInt64,
        _ thoroughness: Thoroughness,
        _ planted: Faults.Planted?
    ) throws -> Tally {
        try store(seed, .v8_0, thoroughness, planted) { scenario, _ in
            for _ in 0..<(thoroughness.isShort ? 3 : 6) { try scenario.saveHost() }
        }
    }

    @Sendable private static func comingAndGoing(
        _ seed: UInt64,
        _ thoroughness: Thoroughness,
        _ planted: Faults.Planted?
    ) throws -> Tally {
        try store(seed, .v8_0, thoroughness, planted) { scenario, _ in
            try scenario.create()
            try scenario.create(copying: scenario.machines[0])
            try scenario.change(scenario.machines[1], .mixed)
            try scenario.remove(scenario.machines[0])
            try scenario.create()
            try scenario.remove(scenario.machines[1])
        }
    }

    private static func everything(
        _ version: ConfigurationVersion,
        steps: Int
    ) -> @Sendable (UInt64, Thoroughness, Faults.Planted?) throws -> Tally {
        { seed, thoroughness, planted in
            try store(seed, version, thoroughness, planted) { scenario, random in
                try scenario.create()
                for _ in 0..<(thoroughness.isShort ? steps : 2 * steps) {
                    let machines = scenario.machines
                    let machine = machines[random.below(machines.count)]
                    switch random.below(16) {
                    case 0 where machines.count < 3: try scenario.create()
                    case 1 where machines.count < 3: try scenario.create(copying: machine)
                    case 2 where machines.count > 1: try scenario.remove(machine)
                    case 3, 4: try scenario.record(machine)
                    case 5: try scenario.rename(machine)
                    case 6: try scenario.settle(machine)
                    default:
                        let kinds = ModelMaker.Change.allCases
                        try scenario.change(machine, kinds[random.below(kinds.count)])
                    }
                }
            }
        }
    }

    private static func faults(
        _ failure: Faults.Failure
    ) -> @Sendable (UInt64, Thoroughness, Faults.Planted?) throws -> Tally {
        { seed, thoroughness, planted in
            // The power is cut once behind each failed call: fewer ways are enough.
            var ways = thoroughness
            (ways.exhaustive, ways.samples) = (min(7, ways.exhaustive), max(6, ways.samples / 32))
            ways.torn = thoroughness.isShort ? 2 : 16
            let versions: [ConfigurationVersion] = thoroughness.isShort ? [.v8_0] : [.v8_0, .v5_0]
            var total = Tally()
            for version in versions {
                total.add(
                    try store(seed, version, ways, planted) { scenario, _ in
                        try scenario.create()
                        let kinds = ModelMaker.Change.allCases
                        for kind in thoroughness.isShort ? [kinds[0], kinds[2]] : kinds {
                            _ = scenario.changeWithFaults(scenario.machines[0], kind, failure)
                        }
                        scenario.settleWithFaults(scenario.machines[0], failure)
                        scenario.recordWithFaults(scenario.machines[0], failure)
                        scenario.comeAndGoWithFaults(failure)
                    }
                )
            }
            return total
        }
    }

    private static func containers(
        _ seed: UInt64,
        _ thoroughness: Thoroughness,
        _ planted: Faults.Planted?,
        keys: Int,
        scale: Int,
        _ body: (ContainerScenario, inout MatrixRandom) throws -> Void
    ) throws -> Tally {
        let explorer = Explorer(thoroughness, seed: seed)
        var random = MatrixRandom(seed: seed &+ 99)
        do {
            let scenario = try ContainerScenario(seed: seed, keys: keys, scale: scale, explorer, faults: planted)
            try body(scenario, &random)
        } catch {
            explorer.record("\(error)", "without a power cut")
        }
        return explorer.tally
    }

    @Sendable private static func container(
        _ seed: UInt64,
        _ thoroughness: Thoroughness,
        _ planted: Faults.Planted?
    ) throws -> Tally {
        try containers(seed, thoroughness, planted, keys: 40, scale: 1) { scenario, random in
            for _ in 0..<8 {
                let kinds = ModelMaker.Change.allCases
                try scenario.change(kinds[random.below(kinds.count)], settling: random.below(3) == 0)
            }
        }
    }

    @Sendable private static func growth(
        _ seed: UInt64,
        _ thoroughness: Thoroughness,
        _ planted: Faults.Planted?
    ) throws -> Tally {
        // The writes are many: few ways behind each are enough.
        var ways = thoroughness
        if ways.isShort { ways.every = 9 } else { ways.samples = 512 }
        return try containers(seed, ways, planted, keys: 8, scale: 4) { scenario, random in
            for _ in 0..<3 {
                try scenario.change(.many, settling: random.below(2) == 0)
                try scenario.change(.mixed, settling: false)
            }
        }
    }

    @Sendable private static func chains(
        _ seed: UInt64,
        _ thoroughness: Thoroughness,
        _ planted: Faults.Planted?
    ) throws -> Tally {
        // Each state is a file of two megabytes.
        var ways = thoroughness
        if ways.isShort { ways.every = 37 } else { (ways.samples, ways.torn) = (64, 8) }
        ways.exhaustive = 3
        return try containers(seed, ways, planted, keys: 20, scale: 1) { scenario, _ in
            try scenario.addLargeValues(1)
            for _ in 0..<3 { try scenario.addLargeValues(90) }
            try scenario.change(.delete, settling: true)
            try scenario.change(.mixed, settling: false)
        }
    }
}
