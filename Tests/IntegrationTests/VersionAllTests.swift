import Foundation
import RoostAPI
import RoostClient
import RoostPrimitives
import Testing

extension Integration {
    /// `roost vm update-version --all` against a real roostd, also one that is killed meanwhile.
    @Suite(.serialized) struct VersionAllTests {
        private func all(_ roostd: Roostd, _ arguments: String...) async throws -> CommandResult {
            try await run(
                Laboratory.roost,
                ["--run-dir", roostd.runDirectory, "vm", "update-version", "--all"] + arguments
            )
        }

        private func updates(_ result: CommandResult) throws -> [VersionUpdate] {
            try JSONDecoder().decode([VersionUpdate].self, from: result.output).sorted { $0.name < $1.name }
        }

        /// The cells of a table's rows, without the heading.
        private func rows(_ text: String) -> [[String]] {
            text.split(separator: "\n").dropFirst().map { line in
                line.split(separator: " ").map(String.init)
            }.sorted { $0[0] < $1[0] }
        }

        private func versions(_ roostd: Roostd) async throws -> [String: String] {
            let machines = try await roostd.client.virtualMachines()
            return Dictionary(uniqueKeysWithValues: machines.map { ($0.name, $0.version ?? "") })
        }

        @Test func dryRunOfAllNamesWhatIsInTheWayAndChangesNothing() async throws {
            try await withRoostd("update-all-dry") { roostd in
                let made = ["a": "5.0", "b": "7.1", "c": "8.0", "r": "5.0"]
                for (name, version) in made { try await roostd.create(name) { $0.version = version } }
                try await roostd.start("r")
                let files = roostd.stateFiles()

                let table = try await all(roostd, "--dry-run")
                #expect(table.status == 0 && table.errors.isEmpty, "\(table)")
                let rows = rows(table.text)
                let targets = [["a", "5.0", "8.0"], ["b", "7.1", "8.0"], ["r", "5.0", "8.0"]]
                #expect(rows.map { Array($0.prefix(3)) } == targets)
                let blockers = rows.map { $0.dropFirst(3).joined(separator: " ") }
                #expect(blockers == ["", "", "it is running: stop it first"])

                let planned = try await all(roostd, "--dry-run", "--output", "json")
                #expect(planned.status == 0 && planned.errors.isEmpty, "\(planned)")
                let plan = try updates(planned)
                #expect(plan.map(\.name) == ["a", "b", "r"] && plan.allSatisfy { !$0.isDone })
                #expect(plan.map(\.blockers.isEmpty) == [true, true, false])
                #expect(plan.map(\.changes.isEmpty) == [false, false, true])
                let older = try await all(roostd, "--dry-run", "--version", "7.1", "--output", "json")
                // One of version 8.0 is not older than 7.1, and so not meant.
                #expect(try updates(older).map(\.name) == ["a", "r"], "\(older)")

                #expect(try await versions(roostd) == made)
                #expect(roostd.stateFiles() == files)
            }
        }

        @Test func allUpgradesWhatItCanAndReportsTheRest() async throws {
            try await withRoostd("update-all") { roostd in
                for (name, version) in ["a": "5.0", "b": "7.1", "c": "8.0", "r": "5.0"] {
                    try await roostd.create(name) { $0.version = version }
                }
                try await roostd.start("r")
                // Without a terminal nobody can be asked.
                let asked = try await all(roostd)
                #expect(asked.status == APIError.Code.invalidArgument.exitCode && asked.errors.contains("--yes"))
                #expect(try await versions(roostd)["a"] == "5.0")

                let first = try await all(roostd, "--yes", "--output", "json")
                #expect(first.status == APIError.Code.invalidState.exitCode, "\(first)")
                #expect(try updates(first).map(\.name) == ["a", "b"] && updates(first).allSatisfy(\.isDone))
                let failure = try JSONDecoder().decode(APIError.self, from: Data(first.errors.utf8))
                #expect(failure.code == .invalidState)
                #expect(failure.message.contains("cannot upgrade r") && failure.message.contains("stop it first"))
                #expect(try await versions(roostd) == ["a": "8.0", "b": "8.0", "c": "8.0", "r": "5.0"])

                try await roostd.turnOff("r")
                let second = try await all(roostd, "--yes")
                #expect(second.status == 0 && second.errors.isEmpty, "\(second)")
                #expect(second.text.contains("r: upgraded from version 5.0 to 8.0"))
                let third = try await all(roostd, "--yes", "--output", "json")
                #expect(third.status == 0)
                #expect(try updates(third).isEmpty)
            }
        }

        @Test func roostdKilledWhileAllAreUpgradedLeavesEachWhole() async throws {
            try await withRoostd("update-all-killed") { roostd in
                let client = roostd.client
                var numbers = SeededNumbers(seed: 0x5EED_0007)
                var wasCut = false
                for round in 0..<4 {
                    var old: [String: Data] = [:]
                    for number in 0..<12 {
                        let name = "vm-\(round)-\(number)"
                        let id = try await roostd.create(name) { $0.version = number % 3 == 2 ? "7.1" : "5.0" }
                        old[name] = Files.read("\(roostd.virtualMachines)/\(id).xml")
                    }
                    let command = Task { try await all(roostd, "--yes") }
                    // As soon as some are done, and a moment of chance later.
                    let target = Int.random(in: 1...8, using: &numbers)
                    try await eventually("some are upgraded") {
                        roostd.stateFiles().filter { $0.contains(".sealed") && !$0.contains("partial") }.count
                            >= 12 * round + target
                    }
                    try await Task.sleep(for: .milliseconds(Int.random(in: 0...8, using: &numbers)))
                    await roostd.kill9()
                    let cut = try await command.value
                    #expect(cut.status == 0 || cut.status == APIError.Code.unavailable.exitCode, "\(cut)")
                    try await roostd.start()
                    let machines = try await client.virtualMachines()
                    #expect(machines.count == 12 * (round + 1))
                    for machine in machines {
                        #expect(machine.state == .off, "\(machine.name): \(machine.reason ?? "")")
                        #expect(["5.0", "7.1", "8.0"].contains(machine.version ?? ""))
                        if machine.version != "8.0" { wasCut = true }
                        try await expectOneFile(roostd, machine, old[machine.name])
                    }
                    let again = try await all(roostd, "--yes")
                    #expect(again.status == 0, "\(again)")
                    #expect(try await versions(roostd).values.allSatisfy { $0 == "8.0" })
                }
                // Otherwise all moments were too late.
                #expect(wasCut)
                try await roostd.start("vm-0-0")
                try await roostd.turnOff("vm-0-0")
            }
        }

        /// One configuration, of the machine's version; behind an upgrade the old file is sealed beside it.
        private func expectOneFile(_ roostd: Roostd, _ machine: VirtualMachineSummary, _ old: Data?) async throws {
            let id = machine.id.uppercased
            let (xml, vmcx) = ("\(roostd.virtualMachines)/\(id).xml", roostd.configuration(id))
            #expect(Files.exists(xml) == (machine.version == "5.0"), "\(machine.name)")
            #expect(Files.exists(vmcx) == (machine.version != "5.0"), "\(machine.name)")
            let history = try await roostd.client.versionHistory(of: machine.name)
            #expect(history.last?.version == machine.version && history.last?.isCurrent == true)
            if machine.version == "8.0" {
                #expect(history.count == 2, "\(machine.name): \(history)")
                if let old { #expect(Files.read(history[0].path) == old, "\(machine.name)") }
            } else {
                #expect(history.count == 1, "\(machine.name): \(history)")
            }
        }
    }
}
