import ConfigStore
import Foundation
import HostEngine
import RoostAPI
import Testing

@Suite struct JobCenterTests {
    private let folder = TemporaryFolder()
    private let events = EventHub()
    private var file: String { "\(folder.path)/jobs.ndjson" }

    private func centre() -> JobCenter { JobCenter(events: events, file: file) }

    /// A job that runs until the stream is finished or the job cancelled.
    private func run(_ centre: JobCenter) async -> (job: Job, finish: AsyncStream<Void>.Continuation) {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        let job = await centre.run("vm.start", subject: "web") { _ in
            for await _ in stream {}
            try Task.checkCancellation()
            return "done"
        }
        return (job, continuation)
    }

    @Test func jobHasProgressWarningsAndAnOutcomeThatStays() async throws {
        let centre = centre()
        let job = await centre.run("disk.create", subject: "web.qcow2") { reporter in
            await reporter.progress(7)
            await reporter.warn("slow")
            return "/web.qcow2"
        }
        #expect(job.id == 1 && job.state == .running)
        let ended = try await centre.wait(job.id, seconds: 60)
        #expect(ended.state == .succeeded && ended.result == "/web.qcow2" && ended.progress == 1)
        #expect(ended.warnings == ["slow"] && ended.ended != nil)
    }

    @Test func failureIsReportedAsTheAPIDoes() async throws {
        let centre = centre()
        let job = await centre.run("vm.start", subject: "web") { _ in throw StoreError(.noSpace, "cannot write") }
        let ended = try await centre.wait(job.id, seconds: 60)
        #expect(ended.state == .failed && ended.error == APIError(.insufficientResources, "cannot write"))
    }

    @Test func cancelledJobEndsAsCancelledAndCannotBeCancelledTwice() async throws {
        let centre = centre()
        let (job, _) = await run(centre)
        _ = try await centre.cancel(job.id)
        #expect(try await centre.wait(job.id, seconds: 60).state == .cancelled)
        await #expect(throws: APIError.self) { try await centre.cancel(job.id) }
        await #expect(throws: APIError.self) { try await centre.job(99) }
    }

    @Test(arguments: [0.01, 0, -1, Double.nan])
    func waitThatIsOverReturnsTheJobAsItIs(seconds: Double) async throws {
        let centre = centre()
        let (job, continuation) = await run(centre)
        #expect(try await centre.wait(job.id, seconds: seconds).state == .running)
        continuation.finish()
        #expect(try await centre.wait(job.id, seconds: .infinity).state == .succeeded)
    }

    @Test func cancelledWaitLeavesTheJobAlone() async throws {
        let centre = centre()
        let (job, continuation) = await run(centre)
        let waiting = Task { try await centre.wait(job.id, seconds: 1000) }
        waiting.cancel()
        #expect(try await waiting.value.state == .running)
        continuation.finish()
        #expect(try await centre.wait(job.id, seconds: 60).state == .succeeded)
    }

    @Test func nextRoostdKnowsTheOutcomesAndGivesNoNumberTwice() async throws {
        let first = centre()
        let ended = await first.run("vm.stop", subject: "web") { _ in nil }
        _ = try await first.wait(ended.id, seconds: 60)
        let (cut, continuation) = await run(first)
        try await recorded(2)
        let second = centre()
        #expect(try await second.job(ended.id).state == .succeeded)
        let failed = try await second.job(cut.id)
        #expect(failed.state == .failed && failed.error?.code == .unavailable)
        #expect(await second.run("vm.start", subject: "web") { _ in nil }.id == 3)
        continuation.finish()
    }

    @Test func linesThatAreNoJobsAreSkipped() async throws {
        var text = "{\"id\":\nnonsense\n\n"
        var job = Job(id: 7, kind: "vm.start", subject: "web", virtualMachine: nil, started: "2026-01-01T00:00:00Z")
        job.state = .succeeded
        for id in [7, Int.max, -3] {
            job.id = id
            text += String(decoding: try JSONEncoder().encode(job), as: UTF8.self) + "\n"
        }
        try FileAccess.write(Array(text.utf8), to: file)
        #expect(await centre().list().map(\.id) == [7])
    }

    /// Waits until the file has the first line of a job.
    private func recorded(_ id: Int) async throws {
        for _ in 0..<100_000 {
            if let bytes = try? FileAccess.read(file), String(decoding: bytes, as: UTF8.self).contains("\"id\":\(id)") {
                return
            }
            await Task.yield()
        }
        Issue.record("job \(id) was never recorded")
    }
}
