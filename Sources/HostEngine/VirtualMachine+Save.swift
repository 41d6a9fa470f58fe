import ConfigStore
import Logging
import QEMUDriver
import QMP
import RoostAPI
import RoostPrimitives
import Synchronization
import VMConfiguration

/// Saved states: the memory of a guest on the disk, from which a start goes on.
///
/// The file is complete or has another name. When it is complete the machine is saved, whatever became of its QEMU and of
/// roostd; from the moment in which the guest goes on it counts no more, since its disks do not fit it any longer.
extension VirtualMachine {
    /// Writes the memory of the guest to the disk and ends QEMU; a start goes on from there.
    package func save(_ reporter: JobCenter.Reporter) async throws {
        saveProgress = { await reporter.progress($0) }
        defer { saveProgress = nil }
        try await perform(.save)
    }

    /// Starts the machine; from its saved state when it has one, unless that is given up.
    package func start(discardingSavedState discards: Bool, _ reporter: JobCenter.Reporter) async throws {
        if discards, cycle.state == .saved { try await discardSavedState() }
        guard cycle.state == .saved else { return try await perform(.start) }
        saveProgress = { await reporter.progress($0) }
        defer { saveProgress = nil }
        try await perform(.start)
    }

    /// Writes the state and leaves the processors still; when this throws they do what they did before.
    func writeState() async throws {
        let progress = saveProgress
        try await gate.run {
            try requireDisksAtRest("save")
            guard let machine, cycle.state == .saving else { throw CancellationError() }
            let path = host.directory.savedState(id)
            var info = SavedStateInfo(machine: id, created: secondsSinceEpoch())
            let configuration = try await load()
            info.qemuVersion = record.qemuVersion
            info.machineType = record.machineType
            info.accelerator = record.accelerator
            info.processorModel = record.processorModel
            info.memoryMiB = UInt64(clamping: configuration.memory.startup)
            info.processors = configuration.processors.count
            try await standStill(machine)
            info.wasRunning = record.standstill == .running
            do {
                let sink = try await onDisk { try SavedStateSink(path) }
                try await machine.sendState(as: host.user, onProgress: { await progress?($0) }) {
                    try sink.append($0)
                }
                try Task.checkCancellation()
                guard cycle.state == .saving else { throw CancellationError() }
                try await onDisk { [info] in try sink.finish(info) }
            } catch {
                if self.machine != nil { _ = try? await leaveStandstill(machine) }
                throw error
            }
        }
    }

    /// Gives a saved state up: the next start is as after a power cut.
    package func discardSavedState() async throws {
        try await gate.run {
            try requireUsable("discard the saved state of")
            guard cycle.state == .saved else {
                throw APIError(.invalidState, "\(name) is \(cycle.state.rawValue) and has no saved state")
            }
            try await deleteSavedState()
            note(hasSavedState: false)
        }
    }

    /// Deletes what there is of a saved state.
    func deleteSavedState() async throws {
        let (directory, id) = (host.directory, id)
        try await onDisk {
            let path = directory.savedState(id)
            for file in [path, SavedStateWriter.temporary(path), directory.resumedState(id)] {
                try FileAccess.remove(file)
            }
        }
    }

    /// Refuses what a saved state would not fit any more.
    func requireNoSavedState(_ what: String) throws {
        guard cycle.state == .saved else { return }
        throw APIError(
            .invalidState,
            "cannot \(what) \(name), which has a saved state: start it first, or give that up with 'roost vm "
                + "discard-saved-state \(name)'"
        )
    }

    // MARK: - Going on

    /// Learns whether there is a saved state.
    func note(hasSavedState: Bool) {
        for effect in cycle.note(hasSavedState: hasSavedState) { carryOut(effect) }
    }

    /// The guest goes on from its saved state.
    func wentOn() {
        let isPaused = record.standstill == .paused
        note(hasSavedState: false)
        isClockBehind = true
        if isPaused { handle(.processorsStopped(reason: nil)) }
        var next = record
        next.standstill = .none
        write(next)
        setClockIfBehind()
    }

    /// Lets the guest's agent set the clock, which stood still while the guest was saved.
    func setClockIfBehind() {
        guard isClockBehind, let machine, services[.timeSynchronization] ?? true else { return }
        Task {
            // One that does not answer, or may not, keeps the time that it has: its own services put it right.
            guard (try? await machine.agent.execute(GuestAgentCommands.SetTime(), deadline: .seconds(5))) != nil else {
                return
            }
            isClockBehind = false
        }
    }

    /// Opens the saved state, when there is one and this host can go on from it.
    func openSavedState(
        _ configuration: VirtualMachineConfiguration,
        _ preparation: LaunchPreparation
    ) async throws -> SavedStateSource? {
        let path = host.directory.savedState(id)
        guard fileExists(path) else { return nil }
        let source: SavedStateSource
        do {
            source = try await onDisk { try SavedStateSource(path) }
        } catch {
            throw savedStateProblem(error)
        }
        let info = source.info
        let needs: [(field: String, wanted: String, found: String)] = [
            ("virtual machine", info.machine.uppercased, id.uppercased),
            ("virtual hardware", info.machineType, preparation.machineType),
            ("processor model", info.processorModel, preparation.processorModel),
            ("accelerator", info.accelerator, host.verdict.accelerator.rawValue),
            ("memory in MiB", "\(info.memoryMiB)", "\(configuration.memory.startup)"),
            ("number of processors", "\(info.processors)", "\(configuration.processors.count)"),
        ]
        if let need = needs.first(where: { $0.wanted != $0.found }) {
            throw unfit("\(need.field) \(need.wanted), and this is \(need.found)")
        }
        if let version = QEMUVersion(info.qemuVersion), host.installation.version < version {
            throw unfit("QEMU \(version) or newer, and this host has \(host.installation.version)")
        }
        return source
    }

    private func unfit(_ what: String) -> APIError {
        APIError(
            .unsupported,
            "cannot start \(name) from its saved state, which needs \(what); \(Self.coldStart(name))"
        )
    }

    /// An error with a saved state, with what can be done.
    func savedStateProblem(_ error: any Error) -> any Error {
        guard let error = error as? StoreError, error.code == .corrupt else { return error }
        return APIError(
            .corrupt,
            "cannot start \(name) from its saved state; \(Self.coldStart(name))",
            cause: error.description
        )
    }

    private static func coldStart(_ name: String) -> String {
        "'roost vm start \(name) --discard-saved-state' starts it without, as after a power cut"
    }

    /// Gives QEMU the saved state; behind that the file counts no more, since the disks are about to change.
    func goOn(from source: SavedStateSource, _ machine: RunningMachine) async throws {
        let progress = saveProgress
        do {
            try await machine.takeState(onProgress: { await progress?($0) }) { try source.next() }
        } catch {
            throw savedStateProblem(error)
        }
        let (from, to) = (host.directory.savedState(id), host.directory.resumedState(id))
        try await onDisk { try FileAccess.rename(from, to: to) }
    }
}

extension VirtualMachine {
    /// Deletes the file from which the guest has gone on.
    func finishGoingOn() async {
        let path = host.directory.resumedState(id)
        // At worst it takes room until the next save.
        _ = try? await onDisk { try FileAccess.remove(path) }
    }

    /// Finds a complete saved state at roostd's start, and ends a QEMU that has not gone on from it; what a save or a start
    /// that was cut off has left otherwise goes.
    func recoverSavedState() async -> Bool {
        let (directory, id) = (host.directory, id)
        let path = directory.savedState(id)
        // What is left of a cut is no state any more.
        _ = try? await onDisk {
            for file in [SavedStateWriter.temporary(path), directory.resumedState(id)] { try FileAccess.remove(file) }
        }
        guard fileExists(path) else { return false }
        if let process = leftQEMU() {
            process.signal(9)
            _ = await process.end()
        }
        host.folder(id.uppercased).remove(keepingLog: true)
        if record.phase != .off || record.standstill != .none {
            var off = record
            off.phase = .off
            off.standstill = .none
            write(off)
        }
        note(hasSavedState: true)
        return true
    }
}

/// Takes a stream into a saved state; for any thread, one call at a time.
final class SavedStateSink: Sendable {
    // SAFETY: used while `turn` is held and nowhere else.
    nonisolated(unsafe) private let writer: SavedStateWriter
    private let turn = Mutex(())

    init(_ path: String) throws { writer = try SavedStateWriter(path) }

    func append(_ bytes: UnsafeRawBufferPointer) throws { try turn.withLock { _ in try writer.append(bytes) } }
    func finish(_ info: SavedStateInfo) throws { try turn.withLock { _ in try writer.finish(info) } }
}

/// Gives a saved state piece by piece; for any thread, one call at a time.
final class SavedStateSource: Sendable {
    let info: SavedStateInfo
    private let reader: Mutex<SavedStateReader>

    init(_ path: String) throws {
        let opened = try SavedStateReader(path)
        info = opened.info
        reader = Mutex(opened)
    }

    func next() throws -> [UInt8]? { try reader.withLock { try $0.next() } }
}
