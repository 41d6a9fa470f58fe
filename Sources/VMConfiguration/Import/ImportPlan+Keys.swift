import HyperVStorage
import RoostPrimitives

extension ImportPlan {
    /// The paths of keys that nothing here reads, in the order of the file; those of one name among siblings once.
    static func keysWithoutMeaning(_ root: KeyNode) -> [String] {
        var paths: [String] = []
        var seen: Set<String> = []
        collect(root, "", &paths, &seen)
        return paths
    }

    private static func collect(_ node: KeyNode, _ prefix: String, _ paths: inout [String], _ seen: inout Set<String>) {
        for child in node.children {
            let path = prefix.isEmpty ? child.name : "\(prefix)/\(child.name)"
            if meaningful.contains(where: { matches(path, $0) }) { continue }
            if child.value == .node, !child.children.isEmpty {
                collect(child, path, &paths, &seen)
            } else if seen.insert(path).inserted {
                paths.append(path)
            }
        }
    }

    /// Whether a path is a pattern's, or below one that ends in a slash; `*` stands for a device, `#` for a number.
    private static func matches(_ path: String, _ pattern: String) -> Bool {
        let names = path.split(separator: "/")
        let wanted = pattern.split(separator: "/")
        guard pattern.hasSuffix("/") ? names.count >= wanted.count : names.count == wanted.count else { return false }
        return zip(names, wanted).allSatisfy { name, want in
            if want == "*" { return name.hasPrefix("_") }
            guard want.hasSuffix("#") else { return name == want }
            let stem = want.dropLast()
            return name.hasPrefix(stem) && name.dropFirst(stem.count).utf8.allSatisfy { (0x30...0x39).contains($0) }
        }
    }

    private static let meaningful = [
        "properties/name", "properties/global_id", "properties/version", "properties/subtype", "properties/notes",
        "properties/creation_time", "properties/last_powered_on_time", "properties/last_powered_off_time",
        "properties/last_state_change_time", "properties/highly_available",
        "settings/global/logical_id", "settings/memory/bank/", "settings/processors/",
        "global_settings/power/", "global_settings/devices/generation_id", "global_settings/snapshots/user_type",
        "global_settings/snapshots/enable_automatic", "global_settings/unexpected_termination/",
        "manifest/", "roost/",
        "*/VDEVVersion", "*/Enabled", "*/ChannelInstanceGuid", "*/StateFilePath",
        "*/controller#/drive#/type", "*/controller#/drive#/pathname",
        "*/FriendlyName", "*/MacAddress", "*/MacAddressIsStatic", "*/IsConnected", "*/SwitchName", "*/PortName",
        "*/Connection/AltSwitchName", "*/Connection/HostResources/",
        "*/boot/", "*/bios_guid", "*/bios_serial_number", "*/base_board/serial_number", "*/chassis/",
        "*/num_lock", "*/pause_after_boot_failure", "*/pxe_preferred_protocol", "*/secure_boot_enabled",
        "*/secure_boot_template_id", "*/nvram/",
    ]

    /// The settings that differ from their defaults and that nothing here acts on.
    static func unheeded(_ configuration: VirtualMachineConfiguration) -> [String] {
        let (memory, processors) = (configuration.memory, configuration.processors)
        let firmware = configuration.firmware
        let settings: [(String, Bool)] = [
            (
                "dynamic memory (the guest has \(memory.startup) MiB, not \(memory.minimum) to \(memory.maximum) MiB)",
                memory.dynamicMemoryEnabled
            ),
            ("the processors' reservation", processors.reservation != 0),
            ("the processors' limit", processors.limit != 100_000),
            ("the processors' weight", processors.weight != 100),
            (
                "processor compatibility",
                processors.compatibilityForOlderOperatingSystems || processors.compatibilityForMigration
            ),
            ("nested virtualization", processors.nestedVirtualization),
            ("the hidden hypervisor", processors.hypervisorHidden),
            ("threads per core", processors.threadsPerCore > 1),
            ("an automatic checkpoint at each start", configuration.automaticCheckpointsEnabled),
            ("Num Lock", firmware.numLock),
            ("the pause when nothing boots", firmware.pauseAfterBootFailure),
            ("the protocol of network boot", firmware.pxePreferredProtocol != .ipv4),
        ]
        return settings.filter(\.1).map(\.0)
    }

    /// Writes down what the configuration comes to here.
    mutating func describe() {
        let memory = configuration.memory
        mapped = [
            "generation \(configuration.generation.rawValue), configuration version \(configuration.version)",
            "processors: \(configuration.processors.count)",
            "memory: \(memory.startup) MiB"
                + (memory.dynamicMemoryEnabled ? ", dynamic from \(memory.minimum) to \(memory.maximum) MiB" : ""),
        ]
        for controller in configuration.scsiControllers {
            let model = configuration.roost.diskController ?? .virtioSCSI
            mapped.append("SCSI controller \(controller.number): \(model.rawValue)")
        }
        for disk in disks {
            let isLost = disk.source == nil && !disk.recordedPath.isEmpty
            let end =
                switch disk.kind {
                case .hardDisk where isLost, .dvd where isLost: "not found"
                case .hardDisk, .dvd: configuration.drive(at: disk.location)?.path ?? "no medium"
                case .floppy: "there are none here"
                default: "detached"
                }
            mapped.append("\(disk.kind) \(disk.location): \(disk.recordedPath) -> \(end)")
        }
        for adapter in configuration.networkAdapters {
            let model = adapter.isLegacy ? .e1000 : configuration.roost.adapterModel ?? .virtio
            // A new one is another in each plan.
            let isNew = newAddresses.contains(adapter.id)
            let address = isNew ? "a new address" : adapter.macAddress?.description ?? "no address"
            mapped.append(
                "network adapter \(adapter.name): \(model.rawValue), \(address), "
                    + (adapter.isConnected ? "switch \(adapter.switchName)" : "not connected")
            )
        }
        let firmware = configuration.firmware
        if configuration.generation == .two {
            mapped.append(
                "Secure Boot: "
                    + (firmware.secureBootEnabled ? firmware.secureBootTemplate?.description ?? "on" : "off")
            )
        }
        mapped.append("boot order: " + firmware.bootOrder.map(\.description).joined(separator: ", "))
        if !uefiVariables.isEmpty {
            mapped.append("UEFI variables: \(uefiVariables.map(\.name).joined(separator: ", "))")
        }
        mapped.append(
            "automatic actions: at the host's start \(configuration.automaticStartAction), at its shutdown "
                + "\(configuration.automaticStopAction)"
        )
        if !configuration.notes.isEmpty { mapped.append("notes: \(configuration.notes.utf8.count) bytes") }
    }
}
