import ConfigStore
import Logging
import QEMUDriver
package import RoostAPI
import RoostPrimitives
import VMConfiguration

/// The host: all its virtual machines, by identifier and by name.
///
/// It knows who exists; each ``VirtualMachine`` decides about itself.
package actor Host {
    package nonisolated let context: HostContext
    var machines: [GUID: VirtualMachine] = [:]
    /// The names in use, those of machines being created or renamed among them.
    var names: [String: GUID] = [:]
    /// The disks that are being made: a second request for one of them is refused.
    var disksBeingMade: Set<String> = []
    /// Whether all files are being looked at.
    var isScrubbing = false

    package init(_ context: HostContext) { self.context = context }

    // MARK: - Start

    /// Reads all configurations, finds the guests that run, and starts those that start by themselves.
    ///
    /// One bad file makes one broken machine; it hides and stops no other.
    package func start() async throws {
        let directory = context.directory
        for process in try await onDisk({ Tool.endOrphans() }) {
            context.log.notice("ended a program that an earlier roostd left", metadata: ["process": "\(process)"])
        }
        try await onDisk { SeedImage.sweep(folder: directory.cache) }
        let store = context.store
        do {
            try await onDisk { [context] in try CheckpointTrial.sweep(context) }
            for id in try await onDisk({ try CreationJournal.recover(in: directory) }) {
                context.log.notice("undid the making of a machine or disk that was cut off", metadata: ["id": "\(id)"])
            }
            for id in try await onDisk({ try store.finishUpgrades() }) {
                context.log.notice("completed an upgrade that was cut off", metadata: ["machine": "\(id)"])
            }
        } catch {
            // Tried again at the next start; the machines are served all the same.
            context.log.error("cannot clean up after an earlier roostd", metadata: ["error": "\(error)"])
        }
        for stored in Self.namingRivals(try await scan()) { await adopt(stored) }
        let isHostStart = await context.switches.lastBootID != context.bootID
        await readCheckpoints()
        let due = await recoverAll(isHostStart: isHostStart)
        let unmerged = await settleCheckpoints()
        try await context.switches.note(bootID: context.bootID)
        startAutomatically(due)
        // A guest that starts does not wait for its files to be merged.
        for machine in unmerged { await mergeWhatIsSpare(of: machine) }
    }

    /// A broken file beside another one of the same machine says so: the other one may be what is wanted.
    static func namingRivals(_ found: [StoredMachine]) -> [StoredMachine] {
        let paths = Dictionary(grouping: found.map(\.file), by: \.id)
        return found.map { stored in
            guard case .broken(let id, let path, var reason) = stored,
                let other = paths[id]?.first(where: { $0.path != path })
            else { return stored }
            reason.message +=
                "; \(other.path) is a configuration of the same machine: move one of them away, and restart roostd"
            return .broken(id: id, path: path, reason: reason)
        }
    }

    private func scan() async throws -> [StoredMachine] {
        let store = context.store
        let files = try await onDisk { try store.list() }
        // Two at a time: reading is mostly checking, and that is work for the processors.
        let half = files.count / 2
        async let first = onDisk { files[..<half].map { store.inspect(id: $0.id, path: $0.path) } }
        async let second = onDisk { files[half...].map { store.inspect(id: $0.id, path: $0.path) } }
        return try await first + second
    }

    private func adopt(_ stored: StoredMachine) async {
        var stored = stored
        if case .readable(let summary, let path) = stored {
            if machines[summary.id] != nil {
                let reason = StoreError(
                    .exists,
                    "\(path) is a second configuration of \(summary.id); move one of them away"
                )
                return context.log.error("\(reason.description)")
            }
            if names[summary.name] != nil {
                // Both stay reachable: the second by its identifier.
                context.log.warning("two machines have the same name", metadata: ["name": "\(summary.name)"])
            } else {
                names[summary.name] = summary.id
            }
        } else if case .broken(let id, let path, let reason) = stored, machines[id] != nil {
            stored = .broken(id: id, path: path, reason: reason)
            return context.log.error("\(reason.description)")
        }
        if case .broken(_, _, let reason) = stored {
            context.log.error("a virtual machine is broken", metadata: ["reason": "\(reason)"])
        }
        let machine = VirtualMachine(stored, host: context)
        machines[machine.id] = machine
    }

    /// Finds out what became of every machine; returns those that are to start by themselves, each noted as such.
    private func recoverAll(isHostStart: Bool) async -> [VirtualMachine] {
        await withTaskGroup(of: VirtualMachine?.self) { group in
            for machine in machines.values {
                group.addTask {
                    let recovery = await machine.recover()
                    let isDue = await machine.isDueToStart(recovery, isHostStart: isHostStart)
                    if isDue || recovery != .settled { await machine.setStartPending(isDue) }
                    return isDue ? machine : nil
                }
            }
            var due: [VirtualMachine] = []
            for await machine in group { if let machine { due.append(machine) } }
            return due
        }
    }

    private func startAutomatically(_ due: [VirtualMachine]) {
        for machine in due {
            Task {
                _ = await context.jobs.run(
                    "vm.start",
                    subject: await machine.name,
                    virtualMachine: machine.id
                ) { _ in
                    do {
                        try await Task.sleep(for: try await machine.load().automaticStartDelay)
                        // Whoever was faster has started it as well, and perhaps stopped it again.
                        guard await machine.isStartPending else { return nil }
                        try await machine.perform(.start)
                    } catch {
                        await machine.setStartPending(false)
                        throw error
                    }
                    return nil
                }
            }
        }
    }

    // MARK: - Finding

    /// The machine with an identifier or, failing that, with a name.
    ///
    /// - Throws: `APIError` `.notFound`.
    package func machine(_ reference: String) throws -> VirtualMachine {
        if let id = GUID(reference), let machine = machines[id] { return machine }
        if let id = names[reference], let machine = machines[id] { return machine }
        throw APIError(.notFound, "there is no virtual machine \"\(reference)\" on this host: see 'roost vm list'")
    }

    /// All machines.
    package func all() -> [VirtualMachine] { Array(machines.values) }

    /// Changes a machine's settings; a new name must be free.
    package func update(_ reference: String, _ request: UpdateVirtualMachineRequest) async throws
        -> VirtualMachineDetail
    {
        let machine = try machine(reference)
        let oldName = await machine.name
        guard let newName = request.name, newName != oldName else { return try await machine.update(request) }
        try claim(newName, for: machine.id)
        do {
            let detail = try await machine.update(request)
            if names[oldName] == machine.id { names[oldName] = nil }
            return detail
        } catch {
            // The change may be there although describing the machine failed.
            names[await machine.name == newName ? oldName : newName] = nil
            throw error
        }
    }

    /// Takes a name for a machine.
    func claim(_ name: String, for id: GUID) throws {
        do {
            try VirtualMachineConfiguration.validateName(name)
        } catch {
            throw APIError(translating: error)
        }
        guard name != "." && name != ".." else {
            throw APIError(.invalidArgument, "\"\(name)\" cannot be the name of a virtual machine")
        }
        guard GUID(name) == nil else {
            throw APIError(
                .invalidArgument,
                "\"\(name)\" cannot be the name of a virtual machine: it would be taken for the identifier of one"
            )
        }
        if names[name] != nil {
            throw APIError(.exists, "there is a virtual machine \"\(name)\" already: choose another name")
        }
        names[name] = id
    }

    /// Gives a name back, when its machine was not made after all.
    func release(_ name: String) { names[name] = nil }

    func register(_ machine: VirtualMachine) { machines[machine.id] = machine }

    /// Deletes a machine that is off: its configuration, UEFI variables and seed, and its own disks when asked for.
    package func remove(_ reference: String, disks: Bool) async throws -> [String] {
        let machine = try machine(reference)
        let name = await machine.name
        let shared = disks ? await disksInUse(besides: machine.id) : []
        var warnings = try await machine.remove(disks: disks && shared != nil, shared: shared ?? [])
        if shared == nil {
            warnings.append("no disk was deleted: a machine is broken, so nobody knows whether it uses one of them")
        }
        machines[machine.id] = nil
        if names[name] == machine.id { names[name] = nil }
        context.roster.remove(machine.id)
        context.schedules.set(machine.id, nil)
        context.events.publish("vm.removed", virtualMachine: machine.id, subject: name, message: "\(name) was removed")
        return warnings
    }

    // MARK: - The host as a whole

    /// What `roost host show` shows.
    package nonisolated func info() -> HostInfo {
        var warnings: [String] = []
        if context.installation.firmware == nil {
            warnings.append("no UEFI firmware: generation 2 machines cannot start (Debian: apt-get install ovmf)")
        }
        if context.verdict.accelerator == .tcg {
            warnings.append("guests run in software emulation, which is slow: \(context.verdict.reason)")
        }
        for (id, reason) in context.keeper.shelf.damaged.sorted(by: { $0.key < $1.key }) {
            warnings.append("the checkpoint \(id) cannot be used: \(reason)")
        }
        if let problem = context.switches.problem { warnings.append("the virtual switches are unknown: \(problem)") }
        return HostInfo(
            name: readSmallText("/proc/sys/kernel/hostname") ?? "localhost",
            roostVersion: roostVersion,
            functionalLevel: context.level.number,
            functionalLevelName: context.level.windowsName,
            qemuPath: context.installation.path,
            qemuVersion: context.installation.version.description,
            accelerator: context.verdict.accelerator.rawValue,
            acceleratorReason: context.verdict.reason,
            processorModel: context.processorModel,
            processors: onlineProcessors(),
            memoryMiB: totalMemoryMiB(),
            availableMemoryMiB: availableMemoryMiB(),
            supportedVersions: context.store.supportedVersions.map(\.description),
            defaultVersion: context.level.defaultConfigurationVersion.description,
            stateDirectory: context.directory.root,
            runDirectory: context.runDirectory,
            processID: Int(ownProcessID()),
            qemuUser: context.user.name,
            warnings: warnings
        )
    }

    /// Applies each running machine's automatic stop action, as when the host goes down; returns when all are off.
    ///
    /// - Returns: What was done otherwise than the actions say, a sentence each, in the order of names.
    /// - Throws: `APIError` `.engineFailure` when a machine still runs.
    package func stopGuests(timeoutSeconds: Int) async throws -> [String] {
        // Nothing of a machine's waits for a checkpoint that nobody will use.
        await context.jobs.cancelAll { $0.kind.hasPrefix("checkpoint.") }
        let deviations = await withTaskGroup(of: [String].self) { group in
            for machine in machines.values {
                group.addTask { await machine.stopForHost(timeoutSeconds: timeoutSeconds) }
            }
            var all: [String] = []
            for await sentences in group { all += sentences }
            return all
        }
        var left: [String] = []
        for machine in machines.values where await machine.isActive { left.append(await machine.name) }
        guard left.isEmpty else {
            throw APIError(
                .engineFailure,
                "virtual machines still run: \(left.sorted().joined(separator: ", ")); see 'roost vm show'",
                cause: deviations.isEmpty ? nil : deviations.sorted().joined(separator: "; ")
            )
        }
        return deviations.sorted()
    }

    /// Brings the files of all machines and the host's own to rest, before roostd ends.
    package func settle() async {
        await withDiscardingTaskGroup { group in
            for machine in machines.values {
                group.addTask { await machine.settleIfDue() }
            }
        }
        await context.switches.settle()
    }
}

extension StoredMachine {
    /// The machine's identifier and the path of its file.
    fileprivate var file: (id: GUID, path: String) {
        switch self {
        case .readable(let summary, let path): (summary.id, path)
        case .broken(let id, let path, _): (id, path)
        }
    }
}
