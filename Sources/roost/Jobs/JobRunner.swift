import ArgumentParser
import RoostAPI
import RoostClient
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The options of commands that start jobs.
struct JobOptions: ParsableArguments {
    @Flag(help: "Print the job's number and return at once, without waiting for its end.")
    var noWait = false
}

/// Starts jobs, waits for them, shows their progress, and obeys Ctrl-C.
final class JobRunner: Sendable {
    /// What Ctrl-C does to a job that is waited for.
    enum Interrupt: Sendable {
        /// It is cancelled: nothing half made stays.
        case cancels
        /// It goes on: half way is no good place to stop, or the guest has been told already.
        case leaves
    }

    private let client: RoostClient
    private let waits: Bool
    private let interrupt: Interrupt
    private let progress: ProgressDisplay
    private let interrupted = Mutex(InterruptKey())

    init(
        _ client: RoostClient,
        waits: Bool = true,
        interrupt: Interrupt = .leaves,
        progress: ProgressDisplay
    ) {
        self.client = client
        self.waits = waits
        self.interrupt = interrupt
        self.progress = progress
    }

    /// Starts one job and, unless told otherwise, waits for its end.
    ///
    /// - Throws: the job's error, `cancelled`, or exit code 130 when Ctrl-C was pressed and the job goes on.
    func run(_ start: @escaping @Sendable (RoostClient, Int?) async throws -> Job) async throws -> Job {
        try await watchingInterrupts { try await self.follow(start) }
    }

    /// Starts jobs on several subjects at once; failures do not stop the others.
    func run(
        _ subjects: [String],
        _ start: @escaping @Sendable (RoostClient, String, Int?) async throws -> Job
    ) async throws -> [Result<Job, any Error>] {
        try await watchingInterrupts {
            await concurrently(subjects) { subject in
                try await self.follow { client, wait in try await start(client, subject, wait) }
            }
        }
    }

    /// Takes note of Ctrl-C; a second one ends the process at once.
    func noteInterrupt() {
        let isSecond = interrupted.withLock { $0.press(at: .now) }
        if isSecond { _exit(Roost.interrupted) }
    }

    private func watchingInterrupts<Value: Sendable>(
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        guard waits else { return try await body() }
        let signals = Signals.stream([SIGINT])
        let watcher = Task { for await _ in signals { self.noteInterrupt() } }
        defer { watcher.cancel() }
        return try await body()
    }

    private func follow(_ start: (RoostClient, Int?) async throws -> Job) async throws -> Job {
        var job = try await start(client, waits ? 1 : nil)
        guard waits else { return job }
        defer { progress.end(job) }
        var asked = false
        while job.state == .running {
            if interrupted.withLock({ $0.isPressed }), !asked {
                asked = true
                job = try await obeyInterrupt(job)
                continue
            }
            progress.update(job)
            job = try await client.job(job.id, waitSeconds: 1)
        }
        return try checked(job)
    }

    private func obeyInterrupt(_ job: Job) async throws -> Job {
        switch interrupt {
        case .cancels:
            progress.note("cancelling job \(job.id) (\(job.kind) \(job.subject))")
            return try await client.cancelJob(job.id)
        case .leaves:
            progress.end(job)
            progress.note(
                """
                \(job.kind) \(job.subject) goes on as job \(job.id): "roost job show \(job.id)" tells how it ends, \
                "roost job cancel \(job.id)" cancels it
                """
            )
            throw ExitCode(Roost.interrupted)
        }
    }

    /// The job, when it succeeded, after its warnings were printed.
    private func checked(_ job: Job) throws -> Job {
        for warning in job.warnings { progress.note("warning: \(warning)") }
        switch job.state {
        case .succeeded, .running:
            return job
        case .cancelled:
            throw job.error ?? APIError(.cancelled, "job \(job.id), \(job.kind) \(job.subject), was cancelled")
        case .failed:
            throw job.error
                ?? APIError(.internal, "job \(job.id), \(job.kind) \(job.subject), failed without telling why")
        }
    }
}

/// Tells a second Ctrl-C from the echo of the first.
///
/// The signal comes twice when a program that runs `roost`, as timeout or make, passes on what the terminal has sent to
/// all of them already.
struct InterruptKey {
    private var first: ContinuousClock.Instant?

    /// How long signals belong to one press.
    static let echo = Duration.milliseconds(300)

    /// Whether there was an interrupt.
    var isPressed: Bool { first != nil }

    /// Takes note of a signal; tells whether it is a second press.
    mutating func press(at now: ContinuousClock.Instant) -> Bool {
        guard let first else {
            first = now
            return false
        }
        return now - first > Self.echo
    }
}

/// Runs `body` on all subjects, at most 16 at a time; results are in the order of the subjects.
func concurrently<Value: Sendable>(
    _ subjects: [String],
    _ body: @escaping @Sendable (String) async throws -> Value
) async -> [Result<Value, any Error>] {
    await withTaskGroup(of: (Int, Result<Value, any Error>).self) { group in
        var results = [Result<Value, any Error>?](repeating: nil, count: subjects.count)
        for (index, subject) in subjects.enumerated() {
            if index >= 16, let (done, result) = await group.next() { results[done] = result }
            group.addTask {
                do {
                    return (index, .success(try await body(subject)))
                } catch {
                    return (index, .failure(error))
                }
            }
        }
        for await (done, result) in group { results[done] = result }
        return results.compactMap { $0 }
    }
}
