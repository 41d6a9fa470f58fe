import ConfigStore
import FoundationEssentials
package import RoostAPI
package import RoostPrimitives

/// Runs long work as jobs: numbered, with progress, cancellable, with an outcome that stays.
package actor JobCenter {
    /// A job's way to report how far it is.
    package struct Reporter: Sendable {
        fileprivate let center: JobCenter
        package let jobID: Int

        /// Sets the progress, 0 to 1.
        package func progress(_ fraction: Double) async { await center.setProgress(jobID, fraction) }

        /// Adds a sentence that the user should read although the job succeeds.
        package func warn(_ sentence: String) async { await center.addWarning(jobID, sentence) }
    }

    private let events: EventHub
    private let file: String
    private var jobs: [Int: Job] = [:]
    private var tasks: [Int: Task<Void, Never>] = [:]
    private var waiters: [Int: [Int: CheckedContinuation<Void, Never>]] = [:]
    private var nextWaiter = 0
    private var nextID = 1
    /// The numbers taken from the file: far from where counting on would overflow.
    private static let numbers = 1...(Int.max / 2)
    /// How many ended jobs are kept.
    private static let kept = 1000
    /// The longest time that one request waits for a job, in seconds: a day.
    private static let longestWaitSeconds = 86400.0
    /// The size in bytes above which the file is written anew.
    private static let fileLimit = 2 << 20
    /// The bytes in the file.
    private var fileSize = 0
    /// One write at a time.
    private let gate = SerialGate()

    /// A centre whose jobs are kept in a file: a JSON line when one begins and another when it has ended.
    package init(events: EventHub, file: String) {
        self.events = events
        self.file = file
        guard let bytes = try? FileAccess.read(file) else { return }
        var loaded: [Int: Job] = [:]
        for line in bytes.split(separator: 10) {
            // A line that a crash cut short says nothing; the job it was about has not ended as far as anybody knows.
            guard var job = try? JSONDecoder().decode(Job.self, from: Data(line)), Self.numbers.contains(job.id)
            else { continue }
            if job.state == .running {
                job.state = .failed
                job.error = APIError(.unavailable, "roostd ended while the job ran")
            }
            loaded[job.id] = job
        }
        nextID = (loaded.keys.max() ?? 0) + 1
        for id in loaded.keys.sorted().dropLast(Self.kept) { loaded[id] = nil }
        jobs = loaded
        fileSize = bytes.count
        // Behind a last line that a crash cut short, the next one would be lost with it.
        if bytes.count > Self.fileLimit || bytes.last.map({ $0 != 10 }) ?? false {
            fileSize = Self.compact(loaded, file) ?? bytes.count
        }
    }

    /// Writes the file anew with one line for each job; returns its size, nil when it stays as it was.
    private static func compact(_ jobs: [Int: Job], _ file: String) -> Int? {
        let encoder = JSONEncoder()
        var bytes: [UInt8] = []
        for id in jobs.keys.sorted() {
            guard let job = jobs[id], let line = try? encoder.encode(job) else { continue }
            bytes += line
            bytes.append(10)
        }
        // A file that stays long only takes longer to read.
        guard (try? FileAccess.write(bytes, to: file)) != nil else { return nil }
        return bytes.count
    }

    /// All jobs, newest first.
    package func list() -> [Job] { jobs.values.sorted { $0.id > $1.id } }

    /// A job by its number.
    package func job(_ id: Int) throws -> Job {
        guard let job = jobs[id] else { throw APIError(.notFound, "there is no job \(id)") }
        return job
    }

    /// Starts a job; what `work` returns becomes its result.
    package func run(
        _ kind: String,
        subject: String,
        virtualMachine: GUID? = nil,
        _ work: @escaping @Sendable (Reporter) async throws -> String?
    ) -> Job {
        let id = nextID
        nextID += 1
        let job = Job(id: id, kind: kind, subject: subject, virtualMachine: virtualMachine, started: timestamp())
        jobs[id] = job
        events.publish(
            "job.started",
            virtualMachine: virtualMachine,
            subject: subject,
            job: id,
            message: "\(kind) \(subject)"
        )
        tasks[id] = Task {
            // Written before the work begins: the next roostd then knows of it and does not give its number again.
            await record(job)
            let outcome: Result<String?, any Error>
            do { outcome = .success(try await work(Reporter(center: self, jobID: id))) } catch {
                outcome = .failure(error)
            }
            await self.end(id, outcome)
        }
        return job
    }

    /// Waits until a job has ended, or the time has passed: at most a day.
    package func wait(_ id: Int, seconds: Double) async throws -> Job {
        guard let job = jobs[id] else { throw APIError(.notFound, "there is no job \(id)") }
        guard job.state == .running, seconds > 0 else { return job }
        nextWaiter += 1
        let waiter = nextWaiter
        let timer = Task {
            try await Task.sleep(for: .seconds(min(seconds, Self.longestWaitSeconds)))
            self.release(id, waiter)
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { waiters[id, default: [:]][waiter] = $0 }
        } onCancel: {
            Task { await self.release(id, waiter) }
        }
        timer.cancel()
        return try self.job(id)
    }

    /// Asks a job to stop; it ends as cancelled once it has cleaned up.
    package func cancel(_ id: Int) throws -> Job {
        let job = try self.job(id)
        guard job.state == .running else { throw APIError(.invalidState, "job \(id) has ended already") }
        tasks[id]?.cancel()
        return job
    }

    /// Asks all jobs of some kind to stop.
    func cancelAll(where isMeant: (Job) -> Bool) {
        for (id, job) in jobs where job.state == .running && isMeant(job) { tasks[id]?.cancel() }
    }

    private func release(_ id: Int, _ waiter: Int) {
        waiters[id]?.removeValue(forKey: waiter)?.resume()
    }

    private func setProgress(_ id: Int, _ fraction: Double) {
        guard jobs[id]?.state == .running else { return }
        jobs[id]?.progress = min(1, max(0, fraction))
    }

    private func addWarning(_ id: Int, _ sentence: String) {
        jobs[id]?.warnings.append(sentence)
    }

    private func end(_ id: Int, _ outcome: Result<String?, any Error>) async {
        guard var job = jobs[id] else { return }
        job.ended = timestamp()
        switch outcome {
        case .success(let result):
            job.state = .succeeded
            job.result = result
            if job.progress != nil { job.progress = 1 }
        case .failure(let error):
            let failure = APIError(translating: error)
            job.state = failure.code == .cancelled ? .cancelled : .failed
            job.error = failure
        }
        // Recorded before anybody hears of it: who was told of an outcome finds it again after any end of roostd.
        await record(job)
        jobs[id] = job
        tasks[id] = nil
        if jobs.count > 2 * Self.kept {
            for old in jobs.keys.sorted().prefix(jobs.count - Self.kept) where jobs[old]?.state != .running {
                jobs[old] = nil
            }
        }
        events.publish(
            "job.ended",
            virtualMachine: job.virtualMachine,
            subject: job.subject,
            job: id,
            message: "\(job.kind) \(job.subject): \(job.error?.description ?? job.state.rawValue)"
        )
        for waiter in waiters.removeValue(forKey: id)?.values ?? [:].values { waiter.resume() }
    }

    private func record(_ job: Job) async {
        let path = file
        await gate.run {
            // A convenience, not state that anything depends on: a write that fails is not the job's failure.
            let added = try? await onDisk {
                var line = try JSONEncoder().encode(job)
                line.append(10)
                try FileAccess.append(Array(line), to: path)
                return line.count
            }
            fileSize += added ?? 0
            guard fileSize > Self.fileLimit else { return }
            // The newest word on this job is in no table yet.
            let known = jobs.merging([job.id: job]) { $1 }
            if let size = try? await onDisk({ Self.compact(known, path) }) ?? nil {
                // A file that is mostly jobs still kept is left to grow by as much again.
                fileSize = size > Self.fileLimit / 2 ? 0 : size
            }
        }
    }
}
