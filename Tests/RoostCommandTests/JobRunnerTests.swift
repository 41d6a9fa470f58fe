import ArgumentParser
import FoundationEssentials
import RoostAPI
import RoostClient
import ScriptedRoostd
import Synchronization
import Testing

@testable import roost

@Suite struct JobRunnerTests {
    private static func job(_ id: Int, _ subject: String, _ state: String, _ more: String = "") -> String {
        #"{"id":\#(id),"kind":"vm.start","subject":"\#(subject)","state":"\#(state)","started":"","warnings":[]\#(more)}"#
    }

    private static let progress = ProgressDisplay(width: nil) { _ in }

    @Test func jobIsFollowedUntilItEnds() async throws {
        try await ScriptedRoostd.run { connection, request in
            let ended = request.name == "GET /v1/jobs/1?wait=1"
            try await connection.answer("200 OK", Self.job(1, "web", ended ? "succeeded" : "running"))
        } _: { server in
            let runner = JobRunner(RoostClient(socketPath: server.socketPath), progress: Self.progress)
            let job = try await runner.run { try await $0.startVirtualMachine("web", waitSeconds: $1) }
            #expect(job.state == .succeeded)
            #expect(server.requests.map(\.name) == ["POST /v1/vms/web/start?wait=1", "GET /v1/jobs/1?wait=1"])
        }
    }

    @Test func jobThatIsNotWaitedForIsReturnedAtOnce() async throws {
        try await ScriptedRoostd.run { connection, _ in
            try await connection.answer("202 Accepted", Self.job(1, "web", "running"))
        } _: { server in
            let runner = JobRunner(RoostClient(socketPath: server.socketPath), waits: false, progress: Self.progress)
            let job = try await runner.run { try await $0.startVirtualMachine("web", waitSeconds: $1) }
            #expect(job.state == .running)
            #expect(server.requests.map(\.name) == ["POST /v1/vms/web/start"])
        }
    }

    @Test func failedJobThrowsItsError() async throws {
        try await ScriptedRoostd.run { connection, _ in
            let error = #","error":{"code":"engineFailure","message":"QEMU ended","cause":"no memory"}"#
            try await connection.answer("200 OK", Self.job(1, "web", "failed", error))
        } _: { server in
            let runner = JobRunner(RoostClient(socketPath: server.socketPath), progress: Self.progress)
            await #expect(throws: APIError(.engineFailure, "QEMU ended", cause: "no memory")) {
                try await runner.run { try await $0.startVirtualMachine("web", waitSeconds: $1) }
            }
        }
    }

    @Test func interruptCancelsAJobThatMakesSomething() async throws {
        try await ScriptedRoostd.run { connection, request in
            let cancelled = request.name.hasSuffix("/cancel")
            try await connection.answer("200 OK", Self.job(1, "web", cancelled ? "cancelled" : "running"))
        } _: { server in
            let client = RoostClient(socketPath: server.socketPath)
            let runner = JobRunner(client, interrupt: .cancels, progress: Self.progress)
            runner.noteInterrupt()
            let error = await #expect(throws: APIError.self) {
                try await runner.run { try await $0.startVirtualMachine("web", waitSeconds: $1) }
            }
            #expect(error?.code == .cancelled)
            #expect(server.requests.map(\.name) == ["POST /v1/vms/web/start?wait=1", "POST /v1/jobs/1/cancel"])
        }
    }

    @Test func interruptLeavesOtherJobsRunning() async throws {
        try await ScriptedRoostd.run { connection, _ in
            try await connection.answer("200 OK", Self.job(1, "web", "running"))
        } _: { server in
            let notes = Mutex("")
            let progress = ProgressDisplay(width: nil) { text in notes.withLock { $0 += text } }
            let runner = JobRunner(RoostClient(socketPath: server.socketPath), progress: progress)
            runner.noteInterrupt()
            await #expect(throws: ExitCode(130)) {
                try await runner.run { try await $0.startVirtualMachine("web", waitSeconds: $1) }
            }
            #expect(notes.withLock { $0 }.contains("vm.start web goes on as job 1"))
            #expect(server.requests.count == 1)
        }
    }

    @Test func secondSignalOfOnePressIsNoSecondPress() {
        var key = InterruptKey()
        let start = ContinuousClock.now
        #expect(!key.isPressed)
        let presses = [0, 300, 301].map { key.press(at: start + .milliseconds($0)) }
        #expect(presses == [false, false, true])
        #expect(key.isPressed)
    }

    @Test func failureOfOneMachineDoesNotStopTheOthers() async throws {
        try await ScriptedRoostd.run { connection, request in
            if request.name.contains("/vms/no") {
                let name = request.name.contains("no1") ? "no1" : "no2"
                let code = name == "no1" ? "notFound" : "invalidState"
                try await connection.answer("400 X", #"{"code":"\#(code)","message":"cannot start \#(name)"}"#)
            } else {
                try await connection.answer(
                    "200 OK",
                    Self.job(1, request.name.contains("/a/") ? "a" : "b", "succeeded")
                )
            }
        } _: { server in
            let runner = JobRunner(RoostClient(socketPath: server.socketPath), progress: Self.progress)
            let results = try await runner.run(["a", "no1", "b", "no2"]) {
                try await $0.startVirtualMachine($1, waitSeconds: $2)
            }
            let outcomes = Outcomes(results)
            #expect(outcomes.text("started", waited: true) == "a: started\nb: started\n")
            #expect(outcomes.failures == ["roost: cannot start no1\n", "roost: cannot start no2\n"])
            #expect(outcomes.exitCode == 3)
        }
    }

    @Test func creationThatStartsKeepsTheFieldsOfItsJob() throws {
        var created = Job(id: 1, kind: "vm.create", subject: "web", virtualMachine: nil, started: "")
        created.result = "the identifier"
        let started = Job(id: 2, kind: "vm.start", subject: "web", virtualMachine: nil, started: "")
        let both = try JSONText.line(VMCreate.Creation(created: created, started: started))
        struct Read: Decodable { var start: Job? }
        let decoder = JSONDecoder()
        #expect(try decoder.decode(Job.self, from: Data(both)) == created)
        #expect(try decoder.decode(Read.self, from: Data(both)).start == started)
        let alone = try JSONText.line(VMCreate.Creation(created: created))
        #expect(alone == (try JSONText.line(created)))
    }

    @Test func sameFailureIsReportedOnce() {
        let down = APIError(.unavailable, "roostd is not reachable")
        let outcomes = Outcomes([.failure(down), .failure(down)])
        #expect(outcomes.failures == ["roost: roostd is not reachable\n"])
        #expect(outcomes.exitCode == 69)
    }

    @Test func resultsAreInTheOrderOfTheNamesWhenThereAreMany() async throws {
        let names = (0..<100).map(String.init)
        let running = Mutex((now: 0, most: 0))
        let results = await concurrently(names) { name in
            running.withLock { count in
                count.now += 1
                count.most = max(count.most, count.now)
            }
            await Task.yield()
            running.withLock { $0.now -= 1 }
            return name
        }
        #expect(try results.map { try $0.get() } == names)
        #expect(running.withLock { $0.most } <= 16)
    }
}
