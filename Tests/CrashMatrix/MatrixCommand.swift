import Dispatch
import Synchronization

/// The command `crash-matrix`.
package struct MatrixCommand {
    private let arguments: [String]

    package init(_ arguments: [String]) { self.arguments = arguments }

    private static let usage = """
        Usage: crash-matrix [--short] [--only TEXT] [--seed NUMBER] [--kills NUMBER --folder FOLDER]
               crash-matrix --planted
               crash-matrix --bench FOLDER MACHINES
        Prints, for each scenario, how many crash states were tried, survived and lost. Ends with 1 when one was lost;
        with --planted, when a planted fault was not noticed.
        """

    /// Runs it; returns the exit status.
    package func run() -> Int32 {
        if arguments.first == "--writer", arguments.count == 2 { return KillWriter(folder: arguments[1]).run() }
        if arguments.first == "--bench", arguments.count == 3 {
            return StoreBench(folder: arguments[1], machines: Int(arguments[2]) ?? 0).run()
        }
        var (thoroughness, only, first, planted) = (Thoroughness.full, "", UInt64(1), false)
        var (kills, folder) = (0, "/var/tmp")
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            switch argument {
            case "--short": thoroughness = .short
            case "--planted": planted = true
            case "--only": only = rest.popFirst() ?? ""
            case "--seed": first = rest.popFirst().flatMap { UInt64($0) } ?? 1
            case "--kills": kills = rest.popFirst().flatMap { Int($0) } ?? 0
            case "--folder": folder = rest.popFirst() ?? folder
            default:
                say(Self.usage)
                return argument == "--help" ? 0 : 64
            }
        }
        if planted { return Self.runPlanted() }
        return runTable(thoroughness, only, first, kills: kills, folder: folder)
    }

    private func runTable(
        _ thoroughness: Thoroughness,
        _ only: String,
        _ first: UInt64,
        kills: Int,
        folder: String
    ) -> Int32 {
        let scenarios = CrashMatrix.scenarios.filter { only.isEmpty || $0.name.contains(only) }
        let tallies = CrashMatrix.run(scenarios, thoroughness, first: first)
        say("| scenario | tried | survived | lost |")
        say("|---|---:|---:|---:|")
        var total = Tally()
        for (scenario, tally) in zip(scenarios, tallies) {
            say(row(scenario.name, tally))
            total.add(tally)
        }
        if kills > 0 {
            let tally = KillTest(folder: folder, kills: kills).run()
            say(row("a writing process killed, on a real file system", tally))
            total.add(tally)
        }
        say(row("**all**", total))
        say("\n" + sum(total))
        for finding in total.findings { say(finding, to: 2) }
        return total.lost == 0 ? 0 : 1
    }

    /// What a table of states comes to.
    private func sum(_ total: Tally) -> String {
        "Of these states \(grouped(total.contents)) differ in what is on the disk; of the others something else was expected, or they come "
            + "from kills and failing calls."
    }

    private func row(_ name: String, _ tally: Tally) -> String {
        "| \(name) | \(grouped(tally.tried)) | \(grouped(tally.survived)) | \(grouped(tally.lost)) |"
    }

    private func grouped(_ number: Int) -> String {
        var text = ""
        for (index, digit) in String(number).reversed().enumerated() {
            if index > 0, index % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return String(text.reversed())
    }

    /// Runs a few scenarios with each planted fault; each must lose states.
    private static func runPlanted() -> Int32 {
        say("| planted fault | tried | lost |")
        say("|---|---:|---:|")
        var missed = false
        for fault in Faults.Planted.allCases {
            let tally = CrashMatrix.tally(planted: fault, .short)
            say("| \(fault.rawValue) | \(tally.tried) | \(tally.lost) |")
            if tally.lost == 0 { missed = true }
        }
        return missed ? 1 : 0
    }
}

extension CrashMatrix {
    /// Runs scenarios with all their seeds, as many at a time as there are processors.
    package static func run(_ scenarios: [Scenario], _ thoroughness: Thoroughness, first: UInt64) -> [Tally] {
        let jobs = scenarios.indices.flatMap { index in
            (0..<(thoroughness.isShort ? 1 : scenarios[index].seeds)).map { (index, first + UInt64($0)) }
        }
        let tallies = Mutex(Array(repeating: Tally(), count: scenarios.count))
        DispatchQueue.concurrentPerform(iterations: jobs.count) { number in
            let (index, seed) = jobs[number]
            var tally = Tally()
            do {
                // No two scenarios begin with the same machine: their states are different ones.
                tally = try scenarios[index].run(seed &+ 1000 &* UInt64(index), thoroughness, nil)
            } catch {
                (tally.tried, tally.findings) = (1, ["\(error)"])
            }
            tallies.withLock { $0[index].add(tally) }
        }
        return tallies.withLock { $0 }
    }

    /// What the matrix finds with a planted fault, up to the first scenario that notices it.
    package static func tally(planted: Faults.Planted, _ thoroughness: Thoroughness) -> Tally {
        var total = Tally()
        for scenario in scenarios where scenario.name.contains("several") || scenario.name.contains("random changes") {
            for seed in 1...4 as ClosedRange<UInt64> {
                total.add((try? scenario.run(seed, thoroughness, planted)) ?? Tally())
                if total.lost > 0 { return total }
            }
        }
        return total
    }
}
