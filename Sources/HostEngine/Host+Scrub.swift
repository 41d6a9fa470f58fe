import ConfigStore
import Logging
import QEMUDriver
package import RoostAPI
import RoostPrimitives
import VMConfiguration

/// What a look at every byte of the host's files has found.
struct ScrubOutcome: Sendable {
    /// How many machines' files were looked at; the host's own come on top.
    var machines = 0
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
            + (mended.isEmpty ? "all are whole" : "put right: \(mended.count)")
    }
}

extension Host {
    /// Looks at every byte of all configurations, run records and their second copies, and puts right what is damaged.
    ///
    /// Its job ends with `.corrupt` when something stays damaged; what was put right stands among its warnings.
    ///
    /// - Parameter pause: how long to rest behind each machine.
    /// - Throws: `APIError` `.busy` when the files are being looked at already.
    package func startScrub(pause: Duration = .zero) async throws -> Job {
        guard !isScrubbing else { throw APIError(.busy, "the files are being looked at already: see 'roost job list'") }
        isScrubbing = true
        return await context.jobs.run("host.scrub", subject: "all files") { reporter in
            do {
                let outcome = try await self.scrub(pause: pause, reporter)
                await self.endScrub()
                for sentence in outcome.mended { await reporter.warn(sentence) }
                guard outcome.unmended.isEmpty else {
                    throw APIError(
                        .corrupt,
                        "files stay damaged: \(outcome.unmended.count); see docs/operating/recovery.md",
                        cause: outcome.unmended.joined(separator: "; ")
                    )
                }
                return outcome.sentence
            } catch {
                await self.endScrub()
                throw error
            }
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
        let all = machines.values.sorted { $0.id < $1.id }
        for machine in all {
            try Task.checkCancellation()
            let found = await machine.scrub()
            outcome.add(found.reports)
            if let problem = found.problem { outcome.unmended.append(problem) }
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
            let last = (try? FileAccess.read(mark)).flatMap { Int64(String(decoding: $0, as: UTF8.self)) } ?? 0
            // A clock that was ahead once must not put it off until then.
            let since = Duration.seconds(max(0, secondsSinceEpoch() - last))
            guard (try? await Task.sleep(for: max(delay, interval - since))) != nil else { return }
            if let job = try? await startScrub(pause: pause) {
                let ended = try? await context.jobs.wait(job.id, seconds: 86400)
                if ended?.state == .failed { context.log.error("\(ended?.error?.description ?? "a scrub failed")") }
            }
            // Not known durably: at worst the files are looked at once more.
            try? FileAccess.write(Array(String(secondsSinceEpoch()).utf8), to: mark)
        }
    }
}

extension VirtualMachine {
    /// Looks at every byte of the configuration, the run record, the UEFI variables, the seed, and their second copies.
    func scrub() async -> (reports: [StorageReport], problem: String?) {
        await fileGate.run {
            guard !isRemoved else { return ([], nil) }
            let (store, user, id, path) = (host.store, host.user, id, path)
            // While QEMU has the UEFI variables nobody can say how they should be.
            let directory = host.directory
            let isFree = machine == nil && orphan == nil && launching == nil
            let kept = (isFree ? [directory.guestState(id)] : []) + [directory.seed(id)]
            do {
                let reports = try await onDisk {
                    var reports = try store.scrub(id: id, path: path) + store.scrubRunRecord(of: id)
                    for file in kept {
                        reports += try store.scrubKept(file)
                        if fileExists(file) { try user.takeOwnership(of: file) }
                    }
                    return reports
                }
                return (reports, cycle.damage.map { "\(name) is broken: \($0)" })
            } catch {
                return ([], "\(name): \(APIError(translating: error).description)")
            }
        }
    }
}

extension SwitchBoard {
    /// Looks at every byte of the host's own file and its second copy.
    func scrub() async throws -> [StorageReport] {
        let store = store
        return try await gate.run { try await onDisk { try store.scrubHostRecord() } }
    }
}
