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
