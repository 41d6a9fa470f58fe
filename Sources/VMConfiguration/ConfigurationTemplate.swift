import HyperVStorage
import RoostPrimitives

/// The key tree of a new virtual machine: the keys that Hyper-V writes, in its order.
///
/// Hyper-V makes most keys in case-insensitive order of their names and adds some behind them; the functions below list
/// them as they come out. The keys of versions 5.0 and 9.0 are those of real files. No file of versions 6.0 to 8.0 is
/// public: those get the keys of 9.0 without the ones whose function came later.
struct ConfigurationTemplate {
    var machine: NewVirtualMachine
    var version: ConfigurationVersion { machine.version }

    init(_ machine: NewVirtualMachine) { self.machine = machine }

    /// The tree without network adapters and SCSI controllers, which are added behind it.
    func root(using generator: inout some RandomNumberGenerator) -> KeyNode {
        let devices = deviceNodes(using: &generator).sorted { $0.name < $1.name }
        let settled: [KeyNode] = [globalSettings(using: &generator), properties, settings]
        return KeyNode("configuration", children: devices + settled + since(.v9_0, guestState) + [manifest])
    }

    private var properties: KeyNode {
        .node(
            "properties",
            .text("global_id", machine.id.uppercased),
            .bool("highly_available", false),
            .int("last_powered_off_time", 0),
            .int("last_powered_on_time", 0),
            .int("last_state_change_time", 0),
            .text("name", machine.name),
            .text("notes", machine.notes),
            .int("subtype", machine.generation.subtype),
            .text("type_id", "Virtual Machines"),
            .int("version", Int64(version.rawValue)),
            KeyNode(
                "creation_time",
                .array(machine.creationTime?.littleEndianBytes ?? [UInt8](repeating: 0, count: 8))
            )
        )
    }

    private func globalSettings(using generator: inout some RandomNumberGenerator) -> KeyNode {
        let generationID = GUID.random(using: &generator).lowercased.filter { $0 != "-" }
        let criticalError: KeyNode = .node("critical_error", .int("action", 1), .int("timeout", 1800))
        let devices = KeyNode(
            "devices",
            children: [.bool("allow_reduced_fc_redundancy", false)]
                + since(.v9_0, .int("cpu_architecture", 1))
                + since(.v8_0, .bool("host_resource_protection_enabled", false))
                + since(.v6_0, .bool("lock_on_disconnect", false))
                + [.bool("storage_allow_full_scsi_command_set", false), .text("generation_id", generationID)]
        )
        let snapshots = KeyNode(
            "snapshots",
            children: since(.v9_0, .bool("enable_automatic", false))
                + [.node("list", .int("size", 0))]
                + since(.v6_0, .int("user_type", Int64(CheckpointType.production.rawValue)))
        )
        return KeyNode(
            "global_settings",
            children: since(.v6_0, criticalError) + [
                devices,
                .bool("disk_merge_pending", false),
                .node("owner", .text("sid", machine.ownerSID)),
                .node(
                    "power",
                    .node("host_shutdown", .int("action", Int64(AutomaticStopAction.save.rawValue))),
                    .node("host_startup", .int("action", Int64(AutomaticStartAction.startIfRunning.rawValue)))
                ),
                snapshots,
                .node("unexpected_termination", .int("action", 1)),
                .bool("vhd_path_acled", true),
            ]
        )
    }

    private var manifest: KeyNode {
        let classes = DeviceClass.standard(machine.generation, version)
        let rows = classes.enumerated().map { index, deviceClass in
            VirtualMachineConfiguration.manifestRow(
                deviceClass,
                instance: deviceClass.id,
                number: index + 1,
                version: version
            )
        }
        let head: [KeyNode] = [.int("version", version < .v6_0 ? 260 : 512), .int("size", Int64(classes.count))]
        return KeyNode("manifest", children: head + rows)
    }

    /// A key that only versions from `minimum` on have.
    func since(_ minimum: ConfigurationVersion, _ keys: KeyNode...) -> [KeyNode] { version >= minimum ? keys : [] }
}

extension KeyNode {
    static func node(_ name: String, _ children: KeyNode...) -> KeyNode { KeyNode(name, children: children) }
    static func int(_ name: String, _ value: Int64) -> KeyNode { KeyNode(name, .int(value)) }
    static func bool(_ name: String, _ value: Bool) -> KeyNode { KeyNode(name, .bool(value)) }
    static func text(_ name: String, _ value: String) -> KeyNode { KeyNode(name, .string(value)) }
}
