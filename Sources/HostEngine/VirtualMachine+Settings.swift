import ConfigStore
import QEMUDriver
import QMP
package import RoostAPI
import RoostPrimitives
import VMConfiguration

extension VirtualMachine {
    /// Refuses what only a machine that is off allows.
    func requireOff(_ what: String) throws {
        try requireEnded(what)
        try requireNoSavedState(what)
    }

    /// Refuses what no QEMU may run beside.
    func requireEnded(_ what: String) throws {
        try requireUsable(what)
        guard !cycle.isActive else {
            throw APIError(
                .invalidState,
                "cannot \(what) \(name) while it is \(cycle.state.rawValue): stop it first"
            )
        }
    }

    /// Refuses what needs a configuration.
    func requireUsable(_ what: String) throws {
        if isRemoved { throw APIError(.notFound, "the virtual machine \(name) has been removed") }
        if let damage = cycle.damage {
            throw APIError(.corrupt, "cannot \(what) \(name), which is broken", cause: damage)
        }
    }

    /// Changes the configuration in one durable transaction, once every earlier change and start is done.
    ///
    /// - Parameter requirement: asked when it is this change's turn; the configuration stays as it is when it throws.
    func updateConfiguration(
        requiring requirement: () throws -> Void = {},
        _ change: @escaping @Sendable (inout VirtualMachineConfiguration) throws -> Void
    ) async throws -> VirtualMachineConfiguration {
        try await gate.run {
            try requirement()
            return try await commit(change)
        }
    }

    /// Changes the configuration in one durable transaction; to be called within the gate.
    func commit(
        _ change: @escaping @Sendable (inout VirtualMachineConfiguration) throws -> Void
    ) async throws -> VirtualMachineConfiguration {
        try requireUsable("change")
        let changed = try await fileGate.run {
            let (store, id, path) = (host.store, id, path)
            return try await onDisk { try store.update(id: id, path: path, change) }
        }
        scheduleSettling()
        let next = ConfigurationSummary(changed)
        if next != summary {
            summary = next
            updateRoster()
        }
        return changed
    }

    /// Everything known of the machine.
    package func detail() async throws -> VirtualMachineDetail { try await detail(try await load()) }

    private func detail(_ configuration: VirtualMachineConfiguration) async throws -> VirtualMachineDetail {
        guard let summary = host.roster.summary(id) else {
            throw APIError(.notFound, "the virtual machine \(name) has been removed")
        }
        let adapters = await networkAdapters(configuration, withAddresses: true)
        return VirtualMachineDetail(
            summary: summary,
            notes: configuration.notes,
            configurationFile: path,
            created: configuration.creationTime.map { timestamp($0.unixSeconds) },
            automaticStartAction: .init(configuration.automaticStartAction),
            automaticStartDelaySeconds: Int(configuration.automaticStartDelay.components.seconds),
            automaticStopAction: .init(configuration.automaticStopAction),
            checkpointType: .init(configuration.checkpointType),
            checkpointSchedule: scheduleInfo(configuration),
            drives: drives(configuration),
            networkAdapters: adapters,
            freeNetworkAdapterSlots: configuration.generation == .two
                ? max(0, MachineArguments.networkAdapterSlots - adapters.count) : nil,
            firmware: try await firmwareInfo(configuration, toleratingDamage: true),
            integrationServices: Dictionary(
                uniqueKeysWithValues: configuration.integrationServices.map { ($0.key.name, $0.value) }
            ),
            runtime: runtime(),
            savedState: try await savedStateSummary()
        )
    }

    private func runtime() -> RuntimeInfo? {
        guard let machine else { return nil }
        return RuntimeInfo(
            processID: Int(machine.process.identity.processID),
            qemuVersion: machine.version.description,
            machineType: record.machineType,
            accelerator: record.accelerator,
            processorModel: record.processorModel,
            guestAgentConnected: isAgentOpen,
            vncSocket: machine.folder.vncSocket,
            serialSocket: machine.folder.serialSocket
        )
    }

    /// Changes settings; what the guest sees only at a start needs the machine off.
    package func update(_ request: UpdateVirtualMachineRequest) async throws -> VirtualMachineDetail {
        let services = try integrationServices(request.integrationServices ?? [:])
        let needsOff = request.memoryMiB != nil || request.processors != nil
        let changed = try await updateConfiguration(
            requiring: { if needsOff { try requireOff("change the memory or the processors of") } }
        ) { configuration in
            if let name = request.name { configuration.name = name }
            if let notes = request.notes { configuration.notes = notes }
            if let mebibytes = request.memoryMiB {
                var memory = configuration.memory
                memory.startup = mebibytes
                memory.minimum = min(memory.minimum, mebibytes)
                memory.maximum = max(memory.maximum, mebibytes)
                configuration.memory = memory
            }
            if let count = request.processors {
                var processors = configuration.processors
                processors.count = count
                configuration.processors = processors
            }
            if let action = request.automaticStartAction { configuration.automaticStartAction = action.stored }
            if let seconds = request.automaticStartDelaySeconds {
                guard (0...86400).contains(seconds) else {
                    throw APIError(.invalidArgument, "a start delay of \(seconds) s is not within 0 to 86400")
                }
                configuration.automaticStartDelay = .seconds(seconds)
            }
            if let action = request.automaticStopAction { configuration.automaticStopAction = action.stored }
            if let type = request.checkpointType { configuration.checkpointType = type.stored }
            if let wanted = request.checkpointSchedule { try configuration.change(wanted) }
            try configuration.checkSchedule()
            for (service, isOn) in services { configuration.integrationServices[service] = isOn }
            try configuration.validate()
        }
        if !services.isEmpty { self.services = changed.integrationServices }
        host.events.publish("vm.changed", virtualMachine: id, subject: name, message: "\(name) was changed")
        return try await detail(changed)
    }

    private func integrationServices(_ wanted: [String: Bool]) throws -> [IntegrationService: Bool] {
        var result: [IntegrationService: Bool] = [:]
        for (name, isOn) in wanted {
            guard let service = IntegrationService.allCases.first(where: { $0.name.lowercased() == name.lowercased() })
            else {
                let known = IntegrationService.allCases.map(\.name).joined(separator: ", ")
                throw APIError(.invalidArgument, "there is no integration service \"\(name)\": choose \(known)")
            }
            result[service] = isOn
        }
        return result
    }

    /// The adapters as the API shows them.
    package func networkAdapters(withAddresses: Bool = true) async throws -> [NetworkAdapterInfo] {
        await networkAdapters(try await load(), withAddresses: withAddresses)
    }

    private func networkAdapters(
        _ configuration: VirtualMachineConfiguration,
        withAddresses: Bool
    ) async -> [NetworkAdapterInfo] {
        let addresses = withAddresses ? await guestAddresses() : [:]
        var result: [NetworkAdapterInfo] = []
        for adapter in configuration.networkAdapters {
            var switchName: String?
            if adapter.isConnected, let id = adapter.switchID { switchName = await host.switches.name(of: id) }
            result.append(
                NetworkAdapterInfo(
                    id: adapter.id,
                    virtualMachine: name,
                    name: adapter.name,
                    macAddress: adapter.macAddress?.description,
                    switchName: switchName,
                    addresses: adapter.macAddress.flatMap { addresses[$0.colonSeparated] } ?? []
                )
            )
        }
        return result
    }

    /// The addresses that the guest agent reports, by MAC address; none when it is silent.
    private func guestAddresses() async -> [String: [String]] {
        guard isAgentOpen, services[.keyValuePairExchange] ?? true, let agent = machine?.agent,
            let interfaces = try? await agent.execute(
                GuestAgentCommands.NetworkGetInterfaces(),
                deadline: .seconds(2)
            )
        else { return [:] }
        var result: [String: [String]] = [:]
        for interface in interfaces {
            guard let hardware = interface.hardwareAddress else { continue }
            result[hardware, default: []] += interface.addresses.map { "\($0.address)/\($0.prefixLength)" }
        }
        return result
    }

    /// A picture of the machine's screen, as PNG.
    package func screenshot() async throws -> [UInt8] {
        guard let machine else {
            try requireUsable("see the screen of")
            throw APIError(.invalidState, "\(name) is \(cycle.state.rawValue), so it has no screen")
        }
        return try await gate.run {
            // QEMU writes the file as its own user, in its own folder; it is read and deleted at once.
            // PNG came with QEMU 7.1; an older one writes a pixmap.
            let format: QMPCommands.Screendump.Format? = machine.version >= QEMUVersion(7, 1, 0) ? .png : nil
            try await machine.monitor.execute(QMPCommands.Screendump(filename: "screen.png", format: format))
            let path = machine.folder.screenshot
            return try await onDisk {
                defer { try? FileAccess.remove(path) }
                return try PNGImage.converted(try FileAccess.read(path, limit: 64 << 20, followingLinks: false))
            }
        }
    }

    /// The serial console of a running machine.
    package func console() throws -> ConsoleAccess {
        guard let machine else {
            try requireUsable("open the console of")
            throw APIError(.invalidState, "\(name) is \(cycle.state.rawValue), so it has no console")
        }
        return ConsoleAccess(console: machine.console)
    }
}

/// A serial console, for those who watch and type.
package struct ConsoleAccess: Sendable {
    fileprivate let console: SerialConsole

    /// The last 64 KiB that the guest wrote while roostd was connected.
    package var recentOutput: [UInt8] { console.recentOutput }

    /// What the guest writes from now on, until the machine ends.
    package func watch() -> AsyncStream<[UInt8]> { console.watch() }

    /// Types bytes.
    package func type(_ bytes: [UInt8]) async { await console.type(bytes) }
}

extension RoostAPI.AutomaticStartAction {
    init(_ stored: VMConfiguration.AutomaticStartAction) {
        switch stored {
        case .nothing: self = .nothing
        case .startIfRunning: self = .startIfRunning
        case .alwaysStart: self = .start
        }
    }

    var stored: VMConfiguration.AutomaticStartAction {
        switch self {
        case .nothing: .nothing
        case .startIfRunning: .startIfRunning
        case .start: .alwaysStart
        }
    }
}

extension RoostAPI.AutomaticStopAction {
    init(_ stored: VMConfiguration.AutomaticStopAction) {
        switch stored {
        case .turnOff: self = .turnOff
        case .save: self = .save
        case .shutDown: self = .shutDown
        }
    }

    var stored: VMConfiguration.AutomaticStopAction {
        switch self {
        case .turnOff: .turnOff
        case .save: .save
        case .shutDown: .shutDown
        }
    }
}

extension RoostAPI.CheckpointType {
    init(_ stored: VMConfiguration.CheckpointType) {
        switch stored {
        case .disabled: self = .disabled
        case .production: self = .production
        case .productionOnly: self = .productionOnly
        case .standard: self = .standard
        }
    }

    var stored: VMConfiguration.CheckpointType {
        switch self {
        case .disabled: .disabled
        case .production: .production
        case .productionOnly: .productionOnly
        case .standard: .standard
        }
    }
}
