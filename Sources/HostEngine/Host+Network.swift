package import RoostAPI

extension Host {
    /// All network adapters of machines that can be read; with the addresses that the guests' agents report, if wanted.
    package func networkAdapters(withAddresses: Bool = true) async -> [NetworkAdapterInfo] {
        // All at once: a silent agent takes its time, and each machine has one.
        let result = await withTaskGroup(of: [NetworkAdapterInfo].self) { group in
            for machine in machines.values {
                // A broken machine's adapters are unknown; its entry in the list of machines says why.
                group.addTask { (try? await machine.networkAdapters(withAddresses: withAddresses)) ?? [] }
            }
            var all: [NetworkAdapterInfo] = []
            for await some in group { all += some }
            return all
        }
        return result.sorted { ($0.virtualMachine, $0.name) < ($1.virtualMachine, $1.name) }
    }

    /// All switches with the machines on them.
    package func switchList() async -> [SwitchInfo] {
        // What stays unknown is said by the host's warnings.
        _ = try? await context.switches.readAgain()
        var users: [String: Set<String>] = [:]
        for adapter in await networkAdapters(withAddresses: false) {
            if let name = adapter.switchName { users[name, default: []].insert(adapter.virtualMachine) }
        }
        return await context.switches.list().map { item in
            var item = item
            item.virtualMachines = users[item.name]?.sorted() ?? []
            return item
        }
    }

    /// Removes a switch that no machine uses.
    package func removeSwitch(_ name: String) async throws {
        let users = await switchList().first { $0.name == name }?.virtualMachines ?? []
        try await context.switches.remove(name: name, usedBy: users)
    }
}
