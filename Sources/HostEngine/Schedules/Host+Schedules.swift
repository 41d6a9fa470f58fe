import ConfigStore
import Logging
import QEMUDriver
import RoostAPI
import RoostPrimitives
import VMConfiguration

/// Checkpoints that machines take by themselves.
extension Host {
    /// How many are taken at a time: a host that starts with many overdue does not stand still for it.
    private static var parallelSchedules: Int { 2 }

    /// Takes the checkpoints that machines' schedules ask for, until the task is cancelled.
    package func runSchedules() async {
        let book = context.schedules
        while !Task.isCancelled {
            let now = secondsSinceEpoch()
            for (id, due) in book.take(at: now, atMost: Self.parallelSchedules) {
                guard let machine = machines[id] else {
                    book.set(id, nil)
                    continue
                }
                await takeScheduled(machine, due: due)
            }
            await book.wait(at: secondsSinceEpoch())
        }
    }

    /// Begins one as a job.
    private func takeScheduled(_ machine: VirtualMachine, due: Int64) async {
        let (book, id, name) = (context.schedules, machine.id, await machine.name)
        let begun = secondsSinceEpoch()
        guard let schedule = await machine.summary?.checkpointSchedule, await machine.hasSomethingNew() else {
            book.end(id, .nothingNew, at: begun)
            return
        }
        let missed = schedule.missedCount(due: due, now: begun)
        if missed > 0 {
            let reason = "roostd did not run, or was busy with others"
            book.note(missed: missed, id, reason: reason, at: begun)
            report(missed, since: due, reason, of: name, id)
        }
        _ = await context.jobs.run("checkpoint.automatic", subject: name, virtualMachine: id) { reporter in
            if missed > 0 {
                await reporter.warn("\(missed) automatic checkpoints were not taken since \(timestamp(due))")
            }
            do {
                let made = try await machine.createCheckpoint(
                    CreateCheckpointRequest(name: "Automatic - (\(timestamp(begun)))"),
                    besides: await self.disksInUse(besides: id) ?? [],
                    isAutomatic: true,
                    onWarning: { await reporter.warn($0) },
                    onProgress: { await reporter.progress($0) }
                )
                book.end(id, .taken, at: secondsSinceEpoch())
                await self.retireAutomatic(of: machine, keeping: schedule.keptCount, reporter)
                return made
            } catch {
                let reason = APIError(translating: error).description
                if book.end(id, .failed(reason: reason), at: secondsSinceEpoch()) {
                    await self.report(1, since: begun, reason, of: name, id)
                }
                await self.mergeWhatIsSpare(of: machine)
                throw error
            }
        }
    }

    private func report(_ count: Int, since moment: Int64, _ reason: String, of name: String, _ id: GUID) {
        let what = count == 1 ? "an automatic checkpoint" : "\(count) automatic checkpoints"
        context.log.warning(
            "automatic checkpoints were missed",
            metadata: ["machine": "\(name)", "count": "\(count)", "reason": "\(reason)"]
        )
        context.events.publish(
            "checkpoint.missed",
            virtualMachine: id,
            subject: name,
            message: "\(what) of \(name) due at \(timestamp(moment)) came to nothing: \(reason)"
        )
    }

    /// Removes the oldest automatic checkpoints of a machine that has more than it keeps.
    private func retireAutomatic(
        of machine: VirtualMachine,
        keeping count: Int,
        _ reporter: JobCenter.Reporter
    ) async {
        let id = machine.id
        let automatic = context.keeper.shelf.checkpoints(of: id).filter(\.record.isAutomatic)
        for old in automatic.dropLast(count) {
            do {
                try await machine.removeCheckpoint(
                    old.id.uppercased,
                    RemoveCheckpointRequest(),
                    besides: { await self.disksInUse(besides: id) },
                    reporter
                )
            } catch {
                // The next one takes it along.
                return await reporter.warn(
                    "the old checkpoint \(old.record.name) stays for now: \(APIError(translating: error))"
                )
            }
        }
    }
}

extension VirtualMachine {
    /// Whether an automatic checkpoint would keep anything that the last one does not.
    func hasSomethingNew() async -> Bool {
        guard !cycle.isActive, let configuration = try? await load(),
            let current = configuration.currentCheckpoint,
            host.keeper.shelf.checkpoints(of: id).contains(where: { $0.id == current })
        else { return true }
        for path in configuration.drives.filter({ $0.kind == .hardDisk }).compactMap(\.path) {
            guard BranchPlan.isOverlay(path), let isWritten = try? await host.images.holdsData(path), !isWritten else {
                return true
            }
        }
        return false
    }

    /// The machine's schedule as the API shows it.
    func scheduleInfo(_ configuration: VirtualMachineConfiguration) -> CheckpointScheduleInfo? {
        guard let schedule = configuration.checkpointSchedule else { return nil }
        let miss = host.schedules.miss(id)
        return CheckpointScheduleInfo(
            everyMinutes: schedule.intervalInMinutes,
            keep: schedule.keptCount,
            last: host.keeper.shelf.lastAutomatic(of: id).map { timestamp($0) },
            next: host.schedules.next(id).map { timestamp($0) },
            missed: miss?.count ?? 0,
            lastMissed: miss.map { timestamp($0.time) },
            reason: miss?.reason
        )
    }
}
