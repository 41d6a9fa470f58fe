import ConfigStore
import Logging
import QEMUDriver
import QMP
import RoostAPI
import RoostPrimitives
import Synchronization
import VMConfiguration

extension VirtualMachine {
    /// Starts QEMU and the guest; when this throws, neither is left.
    ///
    /// To be called within the gate.
    func launch(_ control: LaunchControl) async throws -> RunningMachine {
        try await settleCheckpoints()
        let configuration = try await load()
        for path in configuration.drives.filter({ $0.kind == .hardDisk }).compactMap(\.path) {
            guard let checkpoint = host.keeper.shelf.checkpoint(relyingOn: path) else { continue }
            throw APIError(
                .busy,
                "cannot start \(name): its disk \(path) belongs to the checkpoint \"\(checkpoint.record.name)\", which "
                    + "relies on it as it is"
            )
        }
        try await host.keeper.requireUnchangedBelow(configuration, "start")
        services = configuration.integrationServices
        let preparation = try await prepare(configuration)
        let saved = try await openSavedState(configuration, preparation)
        if control.isCancelled { throw CancellationError() }
        var starting = RunRecord(phase: .starting)
        starting.bootID = host.bootID
        starting.qemuPath = host.installation.path
        starting.qemuVersion = host.installation.version.description
        starting.machineType = preparation.machineType
        starting.accelerator = host.verdict.accelerator.rawValue
        starting.processorModel = preparation.processorModel
        starting.startedAt = secondsSinceEpoch()
        // Until QEMU exists a roostd that is killed leaves the automatic start still to be done.
        starting.isStartPending = record.isStartPending
        starting.isAtRest = record.isAtRest
        starting.savedDisks = saved == nil ? [] : record.savedDisks
        try await writeDurably(starting)

        // Read while QEMU comes up.
        let feed = saved.map { source in StateFeed { try source.next() } }
        defer { feed?.giveUp() }

        // From here on QEMU may change them.
        if let variables = preparation.variablesPath { try await beginUse(ofVariables: variables) }

        // Written while QEMU comes up, and durable before the guest runs.
        let recording = Mutex<Task<Void, any Error>?>(nil)
        do {
            let machine = try await spawnQEMU(configuration, preparation, takesState: saved != nil) {
                [starting] process in
                control.spawned(process)
                var running = starting
                running.phase = .running
                running.isStartPending = false
                running.isAtRest = false
                // A roostd that is killed before the guest goes on leaves that to the next one.
                if let saved { running.standstill = saved.info.wasRunning ? .running : .paused }
                running.processID = process.identity.processID
                running.startTicks = process.identity.startTicks
                recording.withLock { [running] in $0 = Task { try await self.writeDurably(running) } }
            }
            do {
                try await recording.withLock { $0 }?.value
                // What the first start decides for good stands before the guest can rely on it.
                try await noteStarted()
                if let feed, let saved { try await goOn(from: feed, saved.info, machine) }
                if saved?.info.wasRunning ?? true {
                    do {
                        try await machine.monitor.execute(QMPCommands.Continue())
                    } catch let error as QMPError where error.code == .refused && saved != nil {
                        try await keepSavedState()
                        throw APIError(.busy, "cannot start \(name): QEMU cannot use its disks", cause: error.message)
                    }
                }
                if saved != nil { finishGoingOn() }
                return machine
            } catch {
                machine.process.signal(9)
                _ = await machine.process.end()
                machine.disconnect()
                // What the saved state lacks says more than what QEMU made of it.
                if saved != nil, let error = error as? APIError { throw error }
                let translated = APIError(translating: error)
                let words = machine.folder.lastWords()
                throw APIError(
                    translated.code,
                    "cannot start \(name): "
                        + (words == nil ? "the start could not be finished" : "QEMU ended before the guest ran"),
                    cause: words ?? translated.description
                )
            }
        } catch {
            // Nothing may be written behind the record of the end.
            _ = await recording.withLock { $0 }?.result
            throw error
        }
    }

    /// Reads the configuration; one that cannot be used makes the machine a broken one.
    func load() async throws -> VirtualMachineConfiguration {
        try await fileGate.run {
            let (store, id, path) = (host.store, id, path)
            do {
                return try await onDisk { try store.load(id: id, path: path) }
            } catch {
                noteDamage(error)
                throw error
            }
        }
    }

    /// Lets the machine be listed as broken, as it would be after a start of roostd, when an error says that it is.
    func noteDamage(_ error: any Error) {
        guard let error = error as? StoreError, error.code == .corrupt || error.code == .notFound else { return }
        guard !isRemoved, cycle.damage == nil else { return }
        cycle.note(damage: error.description)
        host.log.error("a virtual machine is broken", metadata: ["reason": "\(error)"])
        publish()
    }

    private func spawnQEMU(
        _ configuration: VirtualMachineConfiguration,
        _ preparation: LaunchPreparation,
        takesState: Bool,
        onSpawn: @Sendable (SpawnedProcess) -> Void
    ) async throws -> RunningMachine {
        let request = preparation.request(configuration, on: host, takesState: takesState)
        do {
            return try await RunningMachine.launch(request, group: host.group, onSpawn: onSpawn)
        } catch let error as EngineError {
            throw describe(error)
        }
    }

    /// Adds the machine's name, and what QEMU's words mean for the user.
    private func describe(_ error: EngineError) -> APIError {
        let words = error.cause ?? ""
        if words.contains("Failed to get \"write\" lock") || words.contains("Failed to get shared \"write\" lock") {
            return APIError(.busy, "cannot start \(name): a disk of it is in use by another process", cause: words)
        }
        if words.contains("cannot set up guest memory") || words.contains("Cannot allocate memory") {
            return APIError(
                .insufficientResources,
                "cannot start \(name): the host has not enough memory for it",
                cause: words
            )
        }
        var translated = APIError(translating: error)
        translated.message = "cannot start \(name): \(error.message)"
        return translated
    }

    /// Notes in the configuration what the first start decides for good: that it happened, and the virtual hardware.
    ///
    /// To be called within the gate.
    func noteStarted() async throws {
        let machineType = record.machineType
        let model = record.processorModel
        // A damaged record says nothing that could be pinned, and a damaged configuration takes nothing.
        guard !machineType.isEmpty, !model.isEmpty, cycle.damage == nil else { return }
        _ = try await commit { configuration in
            var roost = configuration.roost
            guard !roost.virtualMachineHasStarted || roost.machineType == nil else { return }
            roost.virtualMachineHasStarted = true
            roost.machineType = machineType
            roost.cpuModel = model
            configuration.roost = roost
        }
    }
}
