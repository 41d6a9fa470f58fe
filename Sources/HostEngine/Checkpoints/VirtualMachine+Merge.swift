import QEMUDriver
import QMP
import RoostAPI
import RoostPrimitives

/// The merge of disk files that no checkpoint needs for themselves any more: of a machine that is off, or beside its guest.
extension VirtualMachine {
    /// What comes behind a turn at the disks.
    private enum Turn {
        case done
        case again
        /// The rest is done while others change the machine.
        case beside(CheckpointKeeper.Machine)
    }

    /// Merges the files that a removal which was cut off has left, unless somebody is at the disks; a machine that starts
    /// or stops is waited for.
    func mergeLeftovers(
        besides others: @escaping @Sendable () async -> Set<String>?,
        _ reporter: JobCenter.Reporter
    ) async throws {
        try await mergingDisks(besides: others, reporter, isBegun: true) {}
    }

    /// Does something within the gate, unless that has been done, and merges disk files behind that.
    ///
    /// A start that has been asked for comes first. While a guest runs, other changes go on beside the merge. When it ends
    /// meanwhile the merge goes on without it, and when it starts the merge goes on beside it.
    func mergingDisks(
        besides others: @escaping @Sendable () async -> Set<String>?,
        _ reporter: JobCenter.Reporter,
        isBegun: Bool = false,
        behind body: () async throws -> Void
    ) async throws {
        var isBegun = isBegun
        while true {
            await startsAhead.none()
            if isBegun { await waitUntilSteady() }
            // One that is cancelled waits for nothing any more.
            try Task.checkCancellation()
            let turn: Turn = try await gate.run {
                if startsAhead.isAny { return .again }
                if !isBegun { try await body() }
                isBegun = true
                // One whose start waits for the gate has no QEMU yet.
                if isChanging || startsAhead.isAny { return .again }
                guard canGoOnMerging() else { return .done }
                guard cycle.isActive else { return try await mergeAtRest(besides: others, reporter) }
                isBusyWithDisks = true
                return .beside(shared)
            }
            switch turn {
            case .done: return
            case .again: continue
            case .beside(let guest): if try await merge(beside: guest, besides: others, reporter) { return }
            }
        }
    }

    /// Merges the disk files of a machine that is off; to be called within the gate.
    private func mergeAtRest(
        besides others: @escaping @Sendable () async -> Set<String>?,
        _ reporter: JobCenter.Reporter
    ) async throws -> Turn {
        let machine = kept
        let work = Task { try await giveUpSpareDisks(of: machine, besides: others, reporter) }
        (idleMerge, isBusyWithDisks, isIdleMergeCutOff) = (work, true, false)
        defer { (idleMerge, isBusyWithDisks) = (nil, false) }
        do {
            try await work.valueOrCancelled()
            return .done
        } catch {
            // Whatever else went wrong goes wrong again.
            guard !Task.isCancelled, isIdleMergeCutOff else { throw error }
            return .again
        }
    }

    /// Merges disk files while a guest runs; returns whether that is done, which it is not when the guest has ended.
    private func merge(
        beside guest: CheckpointKeeper.Machine,
        besides others: @escaping @Sendable () async -> Set<String>?,
        _ reporter: JobCenter.Reporter
    ) async throws -> Bool {
        let work = Task { try await giveUpSpareDisks(of: guest, besides: others, reporter) }
        mergeWork = work
        defer { (mergeWork, isBusyWithDisks) = (nil, false) }
        do {
            try await work.valueOrCancelled()
            return true
        } catch {
            if (error as? QMPError)?.code == .closed { await waitForEnd(of: guest.running) }
            guard !Task.isCancelled, machine?.process.identity != guest.running?.process.identity else { throw error }
            return false
        }
    }

    /// Starts a machine ahead of merges of its disk files: the one under way ends where nothing is lost, and all go on
    /// beside the guest.
    func startAheadOfMerges(_ start: () async throws -> Void) async throws {
        startsAhead.enter()
        defer { startsAhead.leave() }
        if let idleMerge {
            isIdleMergeCutOff = true
            idleMerge.cancel()
            _ = await idleMerge.result
        }
        try await start()
    }

    /// Waits until the machine neither starts nor stops.
    private func waitUntilSteady() async {
        let changes = host.events.listen(since: nil)
        if !isChanging { return }
        let id = id
        for await event in changes where event.virtualMachine == id { if !isChanging { return } }
    }

    private var isChanging: Bool { [.starting, .stopping, .saving].contains(cycle.state) }

    /// Waits until a QEMU whose connection has ended is known to have ended.
    private func waitForEnd(of running: RunningMachine?) async {
        guard let running else { return }
        let changes = host.events.listen(since: nil)
        _ = await running.process.end()
        if machine?.process.identity != running.process.identity { return }
        let id = id
        for await event in changes where event.virtualMachine == id {
            if machine?.process.identity != running.process.identity { return }
        }
    }

    private func canGoOnMerging() -> Bool {
        guard !isRemoved, !isBusyWithDisks, (try? requireSteady("merge the disks of")) != nil else { return false }
        if checkpointReaders > 0 { isMergePutOff = true }
        return checkpointReaders == 0
    }

    /// Whether a merge has met a reader of the machine's checkpoints, and is to be done now that the last one has gone.
    func takeMergePutOff() -> Bool {
        guard checkpointReaders == 0, isMergePutOff else { return false }
        isMergePutOff = false
        return true
    }

    private func giveUpSpareDisks(
        of machine: CheckpointKeeper.Machine,
        besides others: @escaping @Sendable () async -> Set<String>?,
        _ reporter: JobCenter.Reporter
    ) async throws {
        let damaged = host.keeper.shelf.damaged
        if !damaged.isEmpty {
            await reporter.warn(
                "checkpoints cannot be read, so nobody knows which disks they need, and files that are spare stay: "
                    + damaged.keys.map(\.uppercased).sorted().joined(separator: ", ")
            )
            return
        }
        guard await others() != nil else {
            await reporter.warn("a machine is broken, so nobody knows which disks it uses: files that are spare stay")
            return
        }
        try await keepingSavedDisks {
            try await host.keeper.mergeSpareDisks(of: machine, besides: others) { await reporter.progress($0) }
        }
    }
}
