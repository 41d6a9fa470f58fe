package import ConfigStore
import Logging
import QEMUDriver
package import RoostAPI
import RoostPrimitives
import VMConfiguration

/// What a look at every byte of the host's files has found.
struct ScrubOutcome: Sendable {
    /// How many machines' files were looked at; the host's own come on top.
    var machines = 0
    /// How many of them have a guest whose UEFI variables nobody can check while it runs.
    var running = 0
    /// What was wrong and has been put right, a sentence each.
    var mended: [String] = []
    /// What is wrong and stays so.
    var unmended: [String] = []

    mutating func add(_ reports: [StorageReport]) {
        for report in reports {
            if report.action == .failed {
                unmended.append(report.description)
            } else {
                mended.append(report.description)
            }
        }
    }

    var sentence: String {
        "looked at every file of \(machines) virtual machines and of the host; "
            + (running == 0 ? "" : "not at the UEFI variables of \(running) that run; ")
            + (mended.isEmpty ? "all are whole" : "put right: \(mended.count)")
    }
}

extension Host {
    /// Looks at every byte of all configurations, run records and their second copies, and puts right what is damaged; and
    /// at every byte of the memory of saved machines and checkpoints, which has no second copy.
    ///
    /// Its job ends with `.corrupt` when something stays damaged; what was put right stands among its warnings.
    ///
    /// - Parameter pause: how long to rest behind each machine, and behind every 32 MiB of memory.
    /// - Throws: `APIError` `.busy` when the files are being looked at already.
    package func startScrub(pause: Duration = .zero) async throws -> Job {
        guard !isScrubbing else { throw APIError(.busy, "the files are being looked at already: see 'roost job list'") }
        isScrubbing = true
        return await context.jobs.run("host.scrub", subject: "all files") { reporter in
            let found: Result<ScrubOutcome, any Error>
            do { found = .success(try await self.scrub(pause: pause, reporter)) } catch { found = .failure(error) }
            await self.endScrub()
            let outcome = try found.get()
            for sentence in outcome.mended { await reporter.warn(sentence) }
            guard outcome.unmended.isEmpty else {
                let error = APIError(
                    .corrupt,
                    "files stay damaged: \(outcome.unmended.count); see docs/operating/recovery.md",
                    cause: outcome.unmended.joined(separator: "; ")
                )
                self.context.log.error("\(error)")
                throw error
            }
            return outcome.sentence
        }
    }

    private func endScrub() { isScrubbing = false }

    private func scrub(pause: Duration, _ reporter: JobCenter.Reporter) async throws -> ScrubOutcome {
        var outcome = ScrubOutcome()
        do {
            outcome.add(try await context.switches.scrub())
        } catch {
            outcome.unmended.append(APIError(translating: error).description)
        }
        let (found, problems) = try await scrubCheckpoints(pause: pause)
        outcome.add(found)
        outcome.unmended += problems
        let all = machines.values.sorted { $0.id < $1.id }
        var sealed: [GUID: [SealedConfiguration]] = [:]
        do {
            let store = context.store
            sealed = try await onDisk { try store.allSealed() }
        } catch {
            outcome.unmended.append(APIError(translating: error).description)
        }
        for machine in all {
            try Task.checkCancellation()
            let found = await machine.scrub(sealed: sealed[machine.id] ?? [])
            outcome.add(found.reports)
            outcome.unmended += found.problems
            if let problem = try await machine.scrubSavedState(pause: pause) { outcome.unmended.append(problem) }
            if found.isRunning { outcome.running += 1 }
            outcome.machines += 1
            await reporter.progress(Double(outcome.machines) / Double(all.count))
            if pause > .zero { try await Task.sleep(for: pause) }
        }
        return outcome
    }

    /// Looks at all files again and again until the task is cancelled.
    ///
    /// The last look is remembered, so that a roostd that is started often does not put it off for ever.
    ///
    /// - Parameters:
    ///   - interval: the time from one look to the next.
    ///   - pause: how long to rest behind each machine, so that nobody waits for the disk.
    package func scrubRegularly(every interval: Duration, pause: Duration = .milliseconds(100)) async {
        let mark = "\(context.directory.cache)/scrubbed"
        // A start has enough to read.
        let delay = min(interval, .seconds(600))
        while !Task.isCancelled {
            let bytes = try? await onDisk { try FileAccess.read(mark) }
            let last = bytes.flatMap { Int64(String(decoding: $0, as: UTF8.self)) } ?? 0
            // A clock that was ahead once must not put it off until then.
            let since = Duration.seconds(max(0, secondsSinceEpoch() - last))
            guard (try? await Task.sleep(for: max(delay, interval - since))) != nil else { return }
            guard let job = try? await startScrub(pause: pause),
                let ended = try? await context.jobs.wait(job.id, seconds: 86400), !Task.isCancelled
            else { continue }
            // One that was cancelled has not looked at everything, and is begun again.
            guard ended.state == .succeeded || ended.error?.code == .corrupt else { continue }
            // At worst the files are looked at once more.
            _ = try? await onDisk { try FileAccess.write(Array(String(secondsSinceEpoch()).utf8), to: mark) }
        }
    }
}

extension VirtualMachine {
    /// Looks at every byte of the configuration, sealed ones, the run record, the UEFI variables, the seed, and their copies.
    func scrub(sealed: [SealedConfiguration]) async -> (reports: [StorageReport], problems: [String], isRunning: Bool) {
        await fileGate.run {
            guard !isRemoved else { return ([], [], false) }
            let (store, user, id, path) = (host.store, host.user, id, path)
            let (variables, seed) = (host.directory.guestState(id), host.directory.seed(id))
            // While QEMU has the UEFI variables nobody can say how they should be.
            let isRunning = machine != nil || orphan != nil || launching != nil
            var problems: [String] = []
            var steps: [@Sendable () throws -> [StorageReport]] = [
                { try store.scrub(id: id, path: path) }, { try store.scrubRunRecord(of: id) },
            ]
            for item in sealed { steps.append { try store.scrubSealed(item) } }
            for file in isRunning ? [seed] : [variables, seed] {
                let isSound = soundness(of: file)
                steps.append {
                    let reports = try store.scrubKept(file, isSound: isSound)
                    if fileExists(file) { try user.takeOwnership(of: file) }
                    return reports
                }
            }
            var reports: [StorageReport] = []
            // What is wrong with one file hides no other.
            for (number, step) in steps.enumerated() {
                do {
                    reports += try await onDisk(step)
                    guard number == 0, cycle.damage != nil else { continue }
                    problems.append("\(name) was broken and its configuration is whole again: restart roostd to use it")
                } catch {
                    if number == 0 { noteDamage(error) }
                    problems.append("\(name): \(APIError(translating: error).description)")
                }
            }
            return (reports, problems, isRunning)
        }
    }
}

extension VirtualMachine {
    /// What is wrong with the saved state, which nothing can put right; nil when nothing is, or there is none.
    ///
    /// - Throws: `CancellationError` only.
    func scrubSavedState(pause: Duration) async throws -> String? {
        let path = host.directory.savedState(id)
        guard cycle.state == .saved, let problem = try await savedStateDamage(path, pause: pause),
            // Started meanwhile, the machine needs it no more.
            cycle.state == .saved
        else { return nil }
        return "\(name): \(problem); \(Self.coldStart(name))"
    }
}

/// Reads a saved state whole; returns what is wrong with it, nil when nothing is.
///
/// - Parameter pause: how long to rest behind every 32 MiB.
/// - Throws: `CancellationError` only.
func savedStateDamage(_ path: String, pause: Duration) async throws -> String? {
    do {
        let source = try await onDisk { try SavedStateSource(path) }
        var count = 0
        while try await onDisk({ try source.next() }) != nil {
            try Task.checkCancellation()
            count += 1
            if pause > .zero, count % 32 == 0 { try await Task.sleep(for: pause) }
        }
        return nil
    } catch let error as CancellationError {
        throw error
    } catch {
        return APIError(translating: error).description
    }
}

extension SwitchBoard {
    /// Looks at every byte of the host's own file and its second copy; both are made anew when neither can be used.
    package func scrub() async throws -> [StorageReport] {
        let store = store
        return try await gate.run {
            let known = problem == nil ? record : nil
            let reports = try await onDisk { try store.scrubHostRecord(known: known) }
            // Another program's change counts here, too.
            if !reports.isEmpty || problem != nil { try await read() }
            return reports
        }
    }
}
