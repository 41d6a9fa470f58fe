import ConfigStore
import Logging
import QEMUDriver
import QMP
import RoostAPI
import RoostPrimitives
import VMConfiguration

/// A throw-away copy of what a checkpoint keeps, started without network to see whether it is any good.
///
/// Everything that it writes lies in `cache/trial-<GUID>`, on top of the checkpoint's disks, which nobody changes. It is
/// gone when the trial is over; what a roostd that was killed has left ``sweep(_:)`` ends and deletes.
struct CheckpointTrial: Sendable {
    let host: HostContext
    /// What the checkpoint keeps, as its machine's configuration.
    let configuration: VirtualMachineConfiguration
    /// The file with its UEFI variables; nil when it keeps none.
    let variables: String?
    /// The file with its memory; nil when it keeps none.
    let memory: String?
    /// The copy's own identifier.
    let id = GUID.random()

    private var folder: String { "\(host.directory.cache)/\(Self.prefix)\(id.uppercased)" }
    private static let prefix = "trial-"

    /// What the trial has shown.
    struct Outcome: Sendable {
        var passed: Bool
        var detail: String
        var bootTime: Duration?
    }

    /// Starts the copy, waits for its agent, runs the check, and leaves no trace.
    ///
    /// - Throws: what keeps it from being tried, which says nothing of the checkpoint.
    func run(_ check: GuestCheck, within limit: Duration) async throws -> Outcome {
        let deadline = ContinuousClock.now + limit
        do {
            try await onDisk { [folder] in try FileAccess.makeFolder(folder, mode: 0o711) }
            let outcome = try await start(check, until: deadline)
            await clear()
            return outcome
        } catch {
            await clear()
            throw error
        }
    }

    private func clear() async {
        let (folder, sockets) = (folder, host.folder(id.uppercased))
        sockets.remove()
        do {
            try await onDisk { try Self.delete(folder) }
        } catch {
            host.log.warning("what a trial has left goes with the next start", metadata: ["error": "\(error)"])
        }
    }

    private static func delete(_ folder: String) throws {
        for name in try FileAccess.names(in: folder) { try FileAccess.remove("\(folder)/\(name)") }
        try FileAccess.removeFolder(folder)
    }

    /// Ends the trials of a roostd that was killed; blocks.
    static func sweep(_ host: HostContext) throws {
        for name in try FileAccess.names(in: host.directory.cache) where name.hasPrefix(prefix) {
            guard let id = GUID(name.dropFirst(prefix.count)) else { continue }
            let sockets = host.folder(id.uppercased)
            RunningMachine.findUnrecorded(folder: sockets, uuid: id.lowercased, user: host.user)?.endAndWait()
            sockets.remove()
            try delete("\(host.directory.cache)/\(name)")
        }
    }

    // MARK: - The copy

    private func start(_ check: GuestCheck, until deadline: ContinuousClock.Instant) async throws -> Outcome {
        var copy = configuration
        copy.id = id
        let preparation = try await prepare(copy)
        let source = try await openMemory()
        let feed = source.map { source in StateFeed { try source.next() } }
        defer { feed?.giveUp() }
        let request = preparation.request(copy, on: host, takesState: feed != nil)
        let begun = ContinuousClock.now
        let machine = try await RunningMachine.launch(request, group: host.group) { _ in }
        do {
            if let feed, let source {
                let lacking = SavedStateFit.lacking(source.info, await machine.missingProcessorFeatures())
                if !lacking.isEmpty {
                    await end(machine)
                    let features = lacking.joined(separator: ", ")
                    return Outcome(passed: false, detail: "the memory needs the processor features \(features)")
                }
                do {
                    try await machine.takeState(from: feed) { _ in }
                } catch {
                    try Task.checkCancellation()
                    let reason = APIError(translating: error)
                    await end(machine)
                    return Outcome(passed: false, detail: "the memory cannot be used: \(reason)")
                }
            }
            try await machine.monitor.execute(QMPCommands.Continue())
            let outcome = try await look(machine, check, begun: begun, until: deadline)
            await end(machine)
            return outcome
        } catch {
            await end(machine)
            throw error
        }
    }

    private func end(_ machine: RunningMachine) async {
        machine.process.signal(9)
        _ = await machine.process.end()
        machine.disconnect()
    }

    /// The host's side of the copy: files of its own over those of the checkpoint, and no network.
    private func prepare(_ copy: VirtualMachineConfiguration) async throws -> LaunchPreparation {
        let roost = copy.roost
        let machineType = roost.machineType ?? MachinePlan.machineType(for: copy)
        guard host.installation.machineTypes.contains(machineType) else {
            throw APIError(.unsupported, "QEMU \(host.installation.version) on this host does not know \(machineType)")
        }
        let available = availableMemoryMiB()
        guard copy.memory.startup <= available else {
            throw APIError(
                .insufficientResources,
                "a copy to verify needs \(copy.memory.startup) MiB of memory, the host has \(available) MiB available"
            )
        }
        var preparation = LaunchPreparation(
            machineType: machineType,
            processorModel: roost.cpuModel ?? host.processorModel
        )
        if copy.generation == .two {
            guard let firmware = host.installation.firmware else {
                throw APIError(.unsupported, "the host has no UEFI firmware (Debian: apt-get install ovmf)")
            }
            preparation.firmware = firmware
            preparation.variablesPath = try await makeVariables(copy, firmware)
        }
        for (number, drive) in copy.drives.enumerated() {
            guard let path = drive.path else { continue }
            let format = roost.diskFormats[path] ?? (drive.kind == .dvd ? .raw : .qcow2)
            if drive.kind == .hardDisk {
                let overlay = "\(folder)/disk-\(number).qcow2"
                try await host.images.createOverlay(overlay, over: path, format: format.rawValue, owner: host.user)
                preparation.driveFiles[drive.location] = .init(path: overlay, format: .qcow2)
            } else if drive.kind == .dvd, fileExists(path) {
                preparation.driveFiles[drive.location] = .init(path: path, format: format)
            }
        }
        if let seed = roost.cloudInitSeedPath, fileExists(seed) { preparation.seedPath = seed }
        // QEMU's own NAT has a state, which memory brings along.
        if memory != nil {
            for adapter in copy.networkAdapters where adapter.isConnected {
                guard let switchID = adapter.switchID,
                    case .nat? = try? await host.switches.backend(for: switchID, machine: copy.name)
                else { continue }
                preparation.networks[adapter.id] = .isolatedUser
            }
        }
        return preparation
    }

    private func makeVariables(_ copy: VirtualMachineConfiguration, _ firmware: UEFIFirmware) async throws -> String {
        let (path, user, kept) = ("\(folder)/variables", host.user, variables)
        try await onDisk {
            guard let kept else { return try writeVariables(copy, firmware, to: path, for: user) }
            try FileAccess.write(try FileAccess.read(kept), to: path)
            try user.takeOwnership(of: path)
        }
        return path
    }

    private func openMemory() async throws -> SavedStateSource? {
        guard let memory else { return nil }
        return try await onDisk { try SavedStateSource(memory) }
    }

    // MARK: - Looking

    private enum Sign: Sendable {
        case answered, late
        case ended(String)
    }

    private func look(
        _ machine: RunningMachine,
        _ check: GuestCheck,
        begun: ContinuousClock.Instant,
        until deadline: ContinuousClock.Instant
    ) async throws -> Outcome {
        let sign = try await waitForAgent(machine, until: deadline)
        let boot = ContinuousClock.now - begun
        switch sign {
        case .answered:
            do {
                let finding = try await check.run(in: machine.agent, until: deadline)
                return Outcome(passed: finding.passed, detail: finding.detail, bootTime: boot)
            } catch let error as QMPError {
                return Outcome(passed: false, detail: "the guest agent fell silent: \(error.message)", bootTime: boot)
            }
        case .late: return Outcome(passed: false, detail: "no guest agent answered in time\(lastWords(machine))")
        case .ended(let how): return Outcome(passed: false, detail: "\(how)\(lastWords(machine))")
        }
    }

    private func lastWords(_ machine: RunningMachine) -> String {
        let words = GuestCheck.printable(machine.console.recentOutput, limit: 200)
        return words.isEmpty ? "" : "; the last on its serial console: \(words)"
    }

    private func waitForAgent(_ machine: RunningMachine, until deadline: ContinuousClock.Instant) async throws -> Sign {
        try await withThrowingTaskGroup(of: Sign?.self) { group in
            group.addTask {
                for await event in machine.monitor.events {
                    switch event.kind {
                    case .serialPortChange("agent0", true): if await answers(machine) { return .answered }
                    case .guestPanicked: return .ended("the guest's kernel panicked")
                    case .shutdown(_, _): return .ended("the guest turned itself off")
                    default: break
                    }
                }
                return Task.isCancelled ? nil : .ended("QEMU ended: \(machine.folder.lastWords() ?? "no reason given")")
            }
            group.addTask {
                // Open already in the memory that it goes on from.
                let devices = try? await machine.monitor.execute(QMPCommands.QueryChardev())
                if devices?.first(where: { $0.label == "agent" })?.isFrontendOpen == true, await answers(machine) {
                    return .answered
                }
                try await Task.sleep(until: deadline, clock: .continuous)
                return .late
            }
            defer { group.cancelAll() }
            while let sign = try await group.next() { if let sign { return sign } }
            throw CancellationError()
        }
    }

    private func answers(_ machine: RunningMachine) async -> Bool {
        (try? await machine.agent.execute(GuestAgentCommands.Ping(), deadline: .seconds(20))) != nil
    }
}
