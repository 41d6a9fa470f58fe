package import ConfigStore
import QEMUDriver
package import RoostAPI
package import RoostPrimitives
import Synchronization

/// The virtual switches of the host.
///
/// `Default Switch` always exists: NAT in QEMU itself, which needs no rights. The others are Linux bridges.
package actor SwitchBoard {
    /// How QEMU reaches a switch.
    package enum Backend: Sendable, Hashable {
        case nat
        case bridge(String)
    }

    /// Hyper-V's own identifier and name of the switch that every host has.
    package static let defaultSwitch = SwitchInfo(
        id: GUID("C08CB7B8-9B3C-408E-8E30-5E16A3AEB444") ?? .zero,
        name: "Default Switch",
        type: .nat
    )

    let store: ConfigurationStore
    var record: HostRecord
    private let ip: Tool?
    /// One change at a time: each awaits the disk or `ip` between looking at the record and replacing it.
    let gate = SerialGate()

    /// The host's current run, once it has been noted.
    private var noted: String?
    /// Why the host's record cannot be read; there is only `Default Switch` then, and no switch can be changed.
    private nonisolated let damage: Mutex<StoreError?>

    /// Reads the switches of a host's record from the store that keeps it.
    ///
    /// A record that is damaged in both places stops nobody: machines without its switches run all the same.
    ///
    /// - Throws: what the disk reports, other than damage.
    package init(store: ConfigurationStore) async throws {
        self.store = store
        do {
            record = try await onDisk { try store.hostRecord() }
            damage = Mutex(nil)
        } catch let error as StoreError where error.code == .corrupt {
            record = HostRecord()
            damage = Mutex(error)
            let path = Self.bootFile(store)
            let known = try? await onDisk { try FileAccess.read(path, limit: 128) }
            record.bootID = known.map { String(decoding: $0, as: UTF8.self) } ?? ""
        }
        ip = Tool.find("ip").map { Tool(path: $0, user: Tool.ownUser) }
    }

    /// All switches, `Default Switch` first, then by name.
    package func list() -> [SwitchInfo] {
        [Self.defaultSwitch] + record.switches.map(info).sorted { $0.name < $1.name }
    }

    /// Why the host's switches are unknown; nil when they are known.
    package nonisolated var problem: StoreError? { damage.withLock { $0 } }

    /// Looks again at a record that could not be read: somebody may have repaired it.
    ///
    /// Not to be called by an operation that has passed the gate.
    ///
    /// - Throws: `StoreError` `.corrupt` when it still cannot be.
    package func readAgain() async throws {
        guard problem != nil else { return }
        try await gate.run { try await self.readDamaged() }
    }

    private func readDamaged() async throws {
        if problem != nil { try await read() }
    }

    /// Takes the record as the store has it now.
    func read() async throws {
        let store = store
        var found = try await onDisk { try store.hostRecord() }
        if let noted, found.bootID != noted {
            found.bootID = noted
            try await save(found)
        }
        record = found
        damage.withLock { $0 = nil }
    }

    /// Where the host's current run is noted while the record cannot be written.
    private static func bootFile(_ store: ConfigurationStore) -> String { "\(store.directory.cache)/boot-id" }

    /// A switch by name.
    ///
    /// - Throws: `APIError` `.notFound`, with the names there are; `StoreError` `.corrupt` when they are unknown.
    package func find(name: String) async throws -> SwitchInfo {
        if name != Self.defaultSwitch.name { try await readAgain() }
        let all = list()
        guard let found = all.first(where: { $0.name == name }) else {
            throw APIError(
                .notFound,
                "there is no virtual switch \"\(name)\": choose \(all.map { "\"\($0.name)\"" }.joined(separator: ", "))"
            )
        }
        return found
    }

    /// The name of a switch; nil when there is none with that identifier.
    package func name(of id: GUID) -> String? { list().first { $0.id == id }?.name }

    /// How a machine's QEMU reaches a switch.
    package func backend(for id: GUID, machine: String) async throws -> Backend {
        if id == Self.defaultSwitch.id { return .nat }
        try await readAgain()
        guard let item = record.switches.first(where: { $0.id == id }) else {
            throw APIError(
                .notFound,
                "a network adapter of \(machine) is connected to the switch \(id), which does not exist"
            )
        }
        if !fileExists("/sys/class/net/\(item.bridge)/bridge") {
            // Bridges do not outlive the host's run; those that Roost made are made again.
            guard item.ownsBridge else {
                throw APIError(
                    .notFound,
                    "the bridge \(item.bridge) of the switch \"\(item.name)\" does not exist: make it first"
                )
            }
            // Machines that start together look for it together.
            try await gate.run { try await self.remakeBridge(item) }
        }
        return .bridge(item.bridge)
    }

    /// Makes a switch.
    package func create(_ request: CreateSwitchRequest) async throws -> SwitchInfo {
        try await gate.run { try await self.createAlone(request) }
    }

    private func createAlone(_ request: CreateSwitchRequest) async throws -> SwitchInfo {
        try await readDamaged()
        try validate(request)
        let id = GUID.random()
        let ownsBridge = request.bridge == nil
        let bridge = request.bridge ?? "roostbr" + id.lowercased.prefix(6)
        let item = HostRecord.Switch(
            id: id,
            name: request.name,
            type: request.type.rawValue,
            bridge: bridge,
            interface: request.interface ?? "",
            ownsBridge: ownsBridge
        )
        if ownsBridge {
            try await makeBridge(item)
        } else if !fileExists("/sys/class/net/\(bridge)/bridge") {
            throw APIError(.notFound, "there is no bridge \(bridge) on this host")
        }
        var next = record
        next.switches.append(item)
        do {
            try await save(next)
        } catch {
            if ownsBridge { await deleteBridge(item) }
            throw error
        }
        return info(item)
    }

    /// Removes a switch that no machine uses.
    package func remove(name: String, usedBy users: [String]) async throws {
        try await gate.run { try await self.removeAlone(name: name, usedBy: users) }
    }

    private func removeAlone(name: String, usedBy users: [String]) async throws {
        guard name != Self.defaultSwitch.name else {
            throw APIError(.invalidArgument, "\"\(name)\" belongs to the host and cannot be removed")
        }
        try await readDamaged()
        guard let item = record.switches.first(where: { $0.name == name }) else {
            throw APIError(.notFound, "there is no virtual switch \"\(name)\"")
        }
        guard users.isEmpty else {
            throw APIError(
                .busy,
                "the switch \"\(name)\" is in use by \(users.joined(separator: ", ")): a network adapter cannot be moved yet, so the switch stays as long as they do"
            )
        }
        var next = record
        next.switches.removeAll { $0.id == item.id }
        try await save(next)
        if item.ownsBridge { await deleteBridge(item) }
    }

    /// Notes the host's current run; beside a record that cannot be read, in a file of its own.
    package func note(bootID: String) async throws {
        try await gate.run { try await self.noteAlone(bootID: bootID) }
    }

    private func noteAlone(bootID: String) async throws {
        noted = bootID
        guard record.bootID != bootID else { return }
        if problem != nil {
            record.bootID = bootID
            let path = Self.bootFile(store)
            return try await onDisk { try FileAccess.write(Array(bootID.utf8), to: path) }
        }
        var next = record
        next.bootID = bootID
        try await save(next)
    }

    /// Brings the host's file to rest; nothing is lost when that fails.
    package func settle() async {
        let store = store
        try? await gate.run { try await onDisk { try store.settleHostRecord() } }
    }

    /// The host's run in which roostd worked last; empty when nobody knows, as if the host had started since.
    package var lastBootID: String { record.bootID }

    private func validate(_ request: CreateSwitchRequest) throws {
        guard (1...100).contains(request.name.count),
            !request.name.unicodeScalars.contains(where: { $0.value < 32 || $0 == "/" || $0.value == 127 })
        else {
            throw APIError(
                .invalidArgument,
                "a switch's name has 1 to 100 characters, without \"/\" and control characters"
            )
        }
        if list().contains(where: { $0.name == request.name }) {
            throw APIError(.exists, "there is a virtual switch \"\(request.name)\" already")
        }
        switch request.type {
        case .nat:
            throw APIError(.unsupported, "the only NAT switch is \"\(Self.defaultSwitch.name)\"")
        case .external where (request.bridge == nil) == (request.interface == nil):
            throw APIError(.invalidArgument, "an external switch needs either a bridge or an interface")
        case .private, .internal:
            if request.bridge != nil || request.interface != nil {
                throw APIError(.invalidArgument, "only an external switch takes a bridge or an interface")
            }
        default: break
        }
        for name in [request.bridge, request.interface].compactMap({ $0 }) {
            guard (1...15).contains(name.utf8.count),
                name.utf8.allSatisfy({ $0 > 32 && $0 < 127 && $0 != UInt8(ascii: "/") }), !name.hasPrefix("-")
            else { throw APIError(.invalidArgument, "\"\(name)\" is not the name of a network interface") }
        }
        if let interface = request.interface, !fileExists("/sys/class/net/\(interface)") {
            throw APIError(.notFound, "the host has no network interface \(interface): see 'ip link'")
        }
    }

    private func info(_ item: HostRecord.Switch) -> SwitchInfo {
        let exists = fileExists("/sys/class/net/\(item.bridge)/bridge")
        return SwitchInfo(
            id: item.id,
            name: item.name,
            type: SwitchType(rawValue: item.type) ?? .private,
            bridge: item.bridge,
            interface: item.interface.isEmpty ? nil : item.interface,
            problem: exists || item.ownsBridge ? nil : "the bridge \(item.bridge) does not exist"
        )
    }

    private func save(_ next: HostRecord) async throws {
        let store = store
        // What has become unreadable since it was read is still known here.
        let known = problem == nil ? record : nil
        try await onDisk { try store.save(next, known: known) }
        record = next
    }

    private func remakeBridge(_ item: HostRecord.Switch) async throws {
        if !fileExists("/sys/class/net/\(item.bridge)/bridge") { try await makeBridge(item) }
    }

    private func makeBridge(_ item: HostRecord.Switch) async throws {
        try await runIP(["link", "add", "name", item.bridge, "type", "bridge"], item)
        do {
            if item.type == SwitchType.private.rawValue {
                // Without an address of its own the host is not on the network of the guests.
                try await runIP(["link", "set", "dev", item.bridge, "addrgenmode", "none"], item)
            }
            try await runIP(["link", "set", "dev", item.bridge, "up"], item)
            if !item.interface.isEmpty {
                try await runIP(["link", "set", "dev", item.interface, "master", item.bridge], item)
            }
        } catch {
            await deleteBridge(item)
            throw error
        }
    }

    private func deleteBridge(_ item: HostRecord.Switch) async {
        // A bridge that is gone already is as wanted. In a task of its own: a cancelled one would run nothing.
        await Task { _ = try? await runIP(["link", "delete", "dev", item.bridge], item) }.value
    }

    private func runIP(_ arguments: [String], _ item: HostRecord.Switch) async throws {
        guard let ip else {
            throw APIError(
                .unsupported,
                "switches other than NAT need the program ip (Debian: apt-get install iproute2)"
            )
        }
        let result = try await ip.run(arguments)
        guard result.succeeded else {
            throw APIError(
                result.errors.contains("not permitted") ? .permissionDenied : .engineFailure,
                "cannot set up the switch \"\(item.name)\"",
                cause: result.errors.split(separator: "\n").first.map(String.init)
            )
        }
    }
}
