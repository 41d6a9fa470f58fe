import ArgumentParser
import RoostAPI
import RoostClient

/// What every command takes that runs a job on each of several machines, all at once.
struct SeveralMachines: ParsableArguments {
    @Argument(help: "Names or GUIDs of virtual machines.", completion: .virtualMachines)
    var names: [String]

    @OptionGroup var jobs: JobOptions
    @OptionGroup var global: GlobalOptions

    /// The names, each once, in the order given.
    var unique: [String] {
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }
    }

    /// Runs a job on each of the machines, prints what came of it, and ends with the first failure's exit code.
    func runJobs(
        done: String,
        interrupt: JobRunner.Interrupt = .leaves,
        _ start: @escaping @Sendable (RoostClient, String, Int?) async throws -> Job
    ) async throws {
        let waits = !jobs.noWait
        let runner = JobRunner(global.client, waits: waits, interrupt: interrupt, progress: global.progress)
        let outcomes = Outcomes(try await runner.run(unique, start), global.output)
        try global.show(outcomes.jobs) { _, _ in outcomes.text(done, waited: waits) }
        for failure in outcomes.failures { try FileDescriptor.standardError.write(failure) }
        if outcomes.exitCode != 0 { throw ExitCode(outcomes.exitCode) }
    }
}

/// The outcome of jobs on several machines, ready to print.
struct Outcomes {
    /// The jobs that succeeded, or that were started and not waited for.
    var jobs: [Job] = []
    /// One line for each failure; a line that would be the same as one before is left out.
    var failures: [String] = []
    /// The code of the first failure, in the order of the names; 0 for none.
    var exitCode: Int32 = 0

    /// The outcome of `results`, with its failures in the form of `output`.
    init(_ results: [Result<Job, any Error>], _ output: OutputFormat = .table) {
        for result in results {
            switch result {
            case .success(let job):
                jobs.append(job)
            case .failure(let error):
                let ending = Roost.ending(after: error, output)
                if exitCode == 0 { exitCode = ending.code }
                if !failures.contains(ending.standardError) { failures.append(ending.standardError) }
            }
        }
    }

    /// What standard output shows: a sentence on each job, or its number when it was not waited for.
    func text(_ done: String, waited: Bool) -> String {
        jobs.map { waited ? "\(printable($0.subject)): \(done)\n" : "\($0.id)\n" }.joined()
    }
}

extension GlobalOptions {
    /// Runs one job, prints a sentence about it, its number when it is not waited for, or the job in JSON.
    @discardableResult
    func runJob(
        waits: Bool,
        interrupt: JobRunner.Interrupt,
        sentence: (Job) -> String,
        _ start: @escaping @Sendable (RoostClient, Int?) async throws -> Job
    ) async throws -> Job {
        let job = try await JobRunner(client, waits: waits, interrupt: interrupt, progress: progress).run(start)
        try show(job, sentence: waits ? sentence(job) : String(job.id))
        return job
    }
}
