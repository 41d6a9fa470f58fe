import Foundation
import RoostAPI
import RoostClient
import Testing

extension Integration {
    /// The `roost` binary against a real roostd, and what the event stream and the jobs promise.
    @Suite(.serialized) struct CommandLineTests {
        private func roost(_ roostd: Roostd, _ arguments: String...) async throws -> CommandResult {
            try await run(Laboratory.roost, ["--run-dir", roostd.runDirectory] + arguments)
        }

        private func roostJSON(_ roostd: Roostd, _ arguments: [String]) async throws -> CommandResult {
            try await run(Laboratory.roost, ["--run-dir", roostd.runDirectory, "--output", "json"] + arguments)
        }

        /// The only line on standard error.
        private func failure(_ result: CommandResult) throws -> APIError {
            try JSONDecoder().decode(APIError.self, from: Data(result.errors.utf8))
        }

        private func json<Value: Decodable>(_ result: CommandResult) throws -> Value {
            try #require(result.status == 0, "\(result)")
            return try JSONDecoder().decode(Value.self, from: result.output)
        }

        @Test func machinesLiveTheirLifeByCommands() async throws {
            try await withRoostd("commands") { roostd in
                for name in ["a", "b", "c"] {
                    let made = try await roost(roostd, "vm", "create", name, "--generation", "1", "--memory", "64MiB")
                    #expect(made.status == 0, "\(made)")
                }
                #expect(try await roost(roostd, "vm", "start", "a", "b").status == 0)
                let list: [VirtualMachineSummary] = try json(try await roost(roostd, "vm", "list", "--output", "json"))
                #expect(list.map(\.name) == ["a", "b", "c"])
                #expect(list.map(\.state) == [.running, .running, .off])
                #expect(try await roost(roostd, "vm", "list").text.contains("running"))

                // Several at once do what they can, report each failure, and end with the first one's code.
                let stopped = try await roost(roostd, "vm", "stop", "--turn-off", "nobody", "a", "c", "b")
                #expect(stopped.status == APIError.Code.notFound.exitCode)
                #expect(stopped.errors.contains("nobody"))
                #expect(stopped.errors.contains("c is off"))
                #expect(try await roostd.client.virtualMachines().allSatisfy { $0.state == .off })

                #expect(try await roost(roostd, "vm", "set", "a", "--memory", "96MiB", "--notes", "hello").status == 0)
                #expect(try await roost(roostd, "vm", "rename", "a", "z").status == 0)
                let detail: VirtualMachineDetail = try json(
                    try await roost(roostd, "vm", "show", "z", "--output", "json")
                )
                #expect(detail.summary.memoryMiB == 96)
                #expect(detail.notes == "hello")
                let host: HostInfo = try json(try await roost(roostd, "host", "show", "--output", "json"))
                #expect(host.runDirectory == roostd.runDirectory)
                let switches: [SwitchInfo] = try json(try await roost(roostd, "switch", "list", "--output", "json"))
                #expect(switches.map(\.name) == ["Default Switch"])
                let jobs: [Job] = try json(try await roost(roostd, "job", "list", "--output", "json"))
                #expect(jobs.map(\.id) == jobs.map(\.id).sorted(by: >))
                #expect(try await roost(roostd, "vm", "remove", "--yes", "z", "b", "c").status == 0)
                #expect(try await roostd.client.virtualMachines().isEmpty)
            }
        }

        @Test func everyCommandSpeaksJSON() async throws {
            try await withRoostd("json") { roostd in
                struct Started: Decodable { var start: Job? }
                let create = ["vm", "create", "a", "--generation", "1", "--memory", "64MiB", "--disk-size", "1MiB"]
                let made = try await roostJSON(roostd, create + ["--start"])
                #expect((try json(made) as Job).kind == "vm.create")
                #expect((try json(made) as Started).start?.kind == "vm.start")
                // A machine that was made and does not start is told all the same.
                let host = try await roostd.client.host()
                let big = ["vm", "create", "big", "--generation", "1", "--start"]
                let failed = try await roostJSON(roostd, big + ["--memory", "\(host.memoryMiB / 2 * 2 + 4096)MiB"])
                #expect(failed.status == APIError.Code.insufficientResources.exitCode)
                #expect(try JSONDecoder().decode(Job.self, from: failed.output).state == .succeeded)
                #expect(try failure(failed).code == .insufficientResources)

                let disk = try await roostd.client.createDisk(
                    .init(path: "x.qcow2", sizeBytes: 1 << 20),
                    waitSeconds: 9
                )
                let path = try #require(disk.result)
                let drive: DriveInfo = try json(try await roostJSON(roostd, ["disk", "attach", "a", path]))
                let detached: [String: String] = try json(try await roostJSON(roostd, ["disk", "detach", "a", path]))
                #expect(detached == ["virtualMachine": "a", "location": drive.location])
                let log: [String: String] = try json(try await roostJSON(roostd, ["vm", "console", "a", "--log"]))
                #expect(log["log"] != nil)
                let picture = ["vm", "screenshot", "a", "\(roostd.base)/a.png"]
                let saved: [String: String] = try json(try await roostJSON(roostd, picture))
                #expect(saved == ["file": "\(roostd.base)/a.png"])
                let script: [String: String] = try json(try await roostJSON(roostd, ["completion", "bash"]))
                #expect(script["script"]?.contains("roost") == true)

                let stopped = try await roostJSON(roostd, ["vm", "stop", "--turn-off", "nobody", "a"])
                #expect(try JSONDecoder().decode([Job].self, from: stopped.output).map(\.subject) == ["a"])
                #expect(try failure(stopped).code == .notFound)
                let mistake = try await roostJSON(roostd, ["vm", "nonsense"])
                #expect(mistake.status == 2)
                #expect(try failure(mistake).code == .invalidArgument)
            }
        }

        @Test(.enabled(if: Laboratory.isRoot)) func removalOfASwitchIsToldInJSON() async throws {
            try await withRoostd("json-switch") { roostd in
                let made = try await roostJSON(roostd, ["switch", "create", "lab", "--type", "Private"])
                #expect((try json(made) as SwitchInfo).name == "lab")
                let removed: [String: String] = try json(try await roostJSON(roostd, ["switch", "remove", "lab"]))
                #expect(removed == ["name": "lab"])
            }
        }

        @Test func brokenMachineIsShownAsFarAsItIsKnown() async throws {
            try await withRoostd("show-broken") { roostd in
                struct Shown: Decodable { var summary: VirtualMachineSummary }
                let id = "11111111-1111-1111-1111-111111111111"
                let path = roostd.configuration(id)
                await roostd.kill9()
                try Files.write("nothing that anybody could read", path)
                try await roostd.start()

                let shown = try await roost(roostd, "vm", "show", id)
                #expect(shown.status == APIError.Code.corrupt.exitCode, "\(shown)")
                for text in [id, "broken", path] { #expect(shown.text.contains(text), "\(shown)") }
                #expect(shown.errors.contains(path))
                let asJSON = try await roostJSON(roostd, ["vm", "show", id.lowercased()])
                #expect(asJSON.status == shown.status)
                let summary = try JSONDecoder().decode(Shown.self, from: asJSON.output).summary
                #expect(summary.state == .broken)
                #expect(summary.configurationFile == path)
                #expect(summary.reason?.contains(path) == true)
                #expect(try failure(asJSON).code == .corrupt)
                let nobody = try await roostJSON(roostd, ["vm", "show", "nobody"])
                #expect(nobody.output.isEmpty)
                #expect(try failure(nobody).code == .notFound)
            }
        }

        @Test func refusalsHaveTheExitCodesOfTheTable() async throws {
            try await withRoostd("exit-codes") { roostd in
                try await roostd.create("vm")
                let cases: [([String], Int32)] = [
                    (["vm", "create", "vm"], 4), (["vm", "create", "a/b"], 2),
                    (["vm", "create", "x", "--version", "9.0"], 5),
                    (["vm", "create", "x", "--version", "13.0"], 5),
                    (["vm", "create", "x", "--image", "/nonexistent"], 3),
                    (["vm", "create", "x", "--switch", "Nowhere"], 3),
                    (["vm", "create", "x", "--processors", "1000"], 2),
                    (["vm", "start", "nobody"], 3), (["vm", "stop", "vm"], 4), (["vm", "nonsense"], 2),
                    (["vm", "screenshot", "vm", "/dev/null"], 4), (["job", "show", "999"], 3),
                ]
                for (arguments, code) in cases {
                    let result = try await run(Laboratory.roost, ["--run-dir", roostd.runDirectory] + arguments)
                    #expect(result.status == code, "\(arguments): \(result)")
                    #expect(!result.errors.isEmpty)
                    #expect(result.output.isEmpty)
                }
                let unreachable = try await run(Laboratory.roost, ["--run-dir", "/nonexistent", "vm", "list"])
                #expect(unreachable.status == APIError.Code.unavailable.exitCode)
            }
        }

        @Test func eventsComeInOrderWithoutGapsAndJobsOutliveRoostd() async throws {
            try await withRoostd("events") { roostd in
                let client = roostd.client
                let names = (1...4).map { "vm\($0)" }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for name in names {
                        group.addTask {
                            try await roostd.create(name)
                            try await roostd.start(name)
                            try await roostd.turnOff(name)
                        }
                    }
                    try await group.waitForAll()
                }
                let jobs = try await client.jobs()
                #expect(jobs.count == 12)
                let events = try await within(20, "all events") {
                    var events: [Event] = []
                    var ended = 0
                    for try await event in client.events(since: 0) {
                        events.append(event)
                        if event.kind == "job.ended" { ended += 1 }
                        if ended == 12 { return events }
                    }
                    throw Failure("the stream ended early")
                }
                #expect(events.map(\.sequence) == (1...UInt64(events.count)).map { $0 })
                for name in names {
                    let states = events.filter { $0.subject == name }.compactMap(\.state)
                    #expect(states == [.starting, .running, .stopping, .off], "\(name)")
                }
                await roostd.kill9()
                try await roostd.start()
                #expect(try await client.jobs() == jobs)
                try await roostd.start("vm1")
                #expect(try await client.jobs().first?.id == jobs.map(\.id).max().map { $0 + 1 })
            }
        }
    }
}
