import QEMUDriver
import QMP
import VMConfiguration

/// The disks of a machine that runs, by the block nodes of its QEMU.
///
/// The node that a drive begins with has the name that ``MachineArguments/nodeName(_:)`` gives; those that were put over
/// it since have that name with eight digits more.
extension RunningMachine {
    /// The node that a drive's device uses now; nil when QEMU has no such device, or nothing is in it.
    func topNode(_ location: DriveLocation) async throws -> BlockNode? {
        let id = MachineArguments.deviceID(location)
        return try await monitor.execute(QMPCommands.QueryBlock()).first { device in
            // A device of the machine's own may be known by its path.
            device.deviceID == id || device.deviceID?.hasSuffix("/\(id)") == true
        }?.inserted
    }

    /// The nodes that the machine's drives begin with now.
    func topNodeNames() async throws -> [String] {
        try await monitor.execute(QMPCommands.QueryBlock()).compactMap { $0.inserted?.name }
    }

    /// The digits in the name of a file that was put over another one.
    static func digits(of overlay: String) -> Substring { overlay.split(separator: ".").dropLast().last ?? "" }

    /// The name of the node for a file that is put over a drive's.
    static func overlayNode(_ branch: BranchPlan.Branch) -> String {
        "\(MachineArguments.nodeName(branch.location))-\(digits(of: branch.overlay))"
    }

    /// Opens the new files of a plan, which no guest writes to yet.
    func openOverlays(_ plan: BranchPlan) async throws {
        for branch in plan.branches {
            let node = BlockNodeOptions(
                name: Self.overlayNode(branch),
                format: .qcow2,
                path: branch.overlay,
                readOnly: false
            )
            var options = node.options
            // The node below is the one that the guest uses already.
            options["backing"] = .null
            try await monitor.execute(
                QMPCommands.BlockdevAdd(driver: node.driver, nodeName: node.name, options: options)
            )
        }
    }

    /// Lets all disks of a plan go on in their new files, at one instant.
    func branch(_ plan: BranchPlan) async throws {
        var branches: [QMPCommands.BranchDisks.Branch] = []
        for branch in plan.branches {
            guard let node = try await topNode(branch.location)?.name else {
                throw EngineError(.failed, "QEMU has no disk at \(branch.location)")
            }
            branches.append(.init(node: node, overlay: Self.overlayNode(branch)))
        }
        try await monitor.execute(QMPCommands.BranchDisks(branches), deadline: .seconds(30))
    }

    /// Closes those of some files that were opened and are not used.
    func closeUnused(_ paths: Set<String>) async throws {
        let names = try await monitor.execute(QMPCommands.QueryNamedBlockNodes()).compactMap(\.name)
        for name in names where paths.contains(where: { name.hasSuffix("-\(Self.digits(of: $0))") }) {
            // One that the guest uses is refused.
            _ = try? await monitor.execute(QMPCommands.BlockdevDelete(nodeName: name))
        }
    }

    /// Closes all nodes of a drive whose device is gone; they may be busy until the last request has ended.
    func closeNodes(of location: DriveLocation) async throws {
        let base = MachineArguments.nodeName(location)
        var lastError: (any Error)?
        for _ in 0..<50 {
            let names = try await monitor.execute(QMPCommands.QueryNamedBlockNodes()).compactMap(\.name)
                .filter { $0 == base || $0.hasPrefix("\(base)-") }
            if names.isEmpty { return }
            var closed = false
            for name in names {
                do {
                    try await monitor.execute(QMPCommands.BlockdevDelete(nodeName: name))
                    closed = true
                } catch {
                    // One that another stands on goes after that.
                    lastError = error
                }
            }
            if !closed { try await Task.sleep(for: .milliseconds(100)) }
        }
        if let lastError { throw lastError }
    }
}
