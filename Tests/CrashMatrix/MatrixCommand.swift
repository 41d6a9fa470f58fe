import Dispatch
import Synchronization


/// The command `crash-matrix`.
package struct MatrixCommand {
    private let arguments: [String]

    package init(_ arguments: [String]) { self.arguments = arguments }

    private static let usage = """
        Usage: crash-matrix [--short] [--only TEXT] [--seed NUMBER] [--kills NUMBER --folder FOLDER]
               crash-matrix --planted
        Prints, for each scenario, how many crash states were tried, survived and lost. Ends with 1 when one was lost;
        with --planted, when a planted fault was not noticed.
        """

    /// Runs it; returns the exit status.
    package func run() -> Int32 {
        if arguments.first == "--writer", arguments.count == 2 { return KillWriter(folder: arguments[1]).run() }
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
        say("| scenario | tried | survived | lost |")
        say("|---|---:|---:|---:|")
        var total = Tally()
        for scenario in CrashMatrix.scenarios where only.isEmpty || scenario.name.contains(only) {
            let tally = scenario.runAll(thoroughness, first: first)
            say(row(scenario.name, tally))
            total.add(tally)
        }
        if kills > 0 {
            let tally = KillTest(folder: folder, kills: kills).run()
            say(row("a writing process killed, on a real file system", tally))
            total.add(tally)
        }
        say(row("**all**", total))
        for finding in total.findings { say(finding, to: 2) }
        return total.lost == 0 ? 0 : 1
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

extension CrashMatrix.Scenario {
    /// Runs all seeds, as many at a time as there are processors.
    package func runAll(_ thoroughness: Thoroughness, first: UInt64, seeds: Int? = nil) -> Tally {
        let total = Mutex(Tally())
        let count = seeds ?? (thoroughness.samples < 1000 ? 1 : self.seeds)
        DispatchQueue.concurrentPerform(iterations: count) { index in
            var tally = Tally()
            do {
                tally = try run(first + UInt64(index), thoroughness, nil)
            } catch {
                tally.tried = 1
                tally.findings = ["\(error)"]
            }
            total.withLock { $0.add(tally) }
        }
        return total.withLock { $0 }
    }
}

extension CrashMatrix {
    /// What the matrix finds with a planted fault.
    package static func tally(planted: Faults.Planted, _ thoroughness: Thoroughness) -> Tally {
        var total = Tally()
        for scenario in scenarios where scenario.name.contains("several") || scenario.name.contains("random changes") {
            for seed in 1...3 as ClosedRange<UInt64> {
                total.add((try? scenario.run(seed, thoroughness, planted)) ?? Tally())
            }
        }
        return total
    }
}
