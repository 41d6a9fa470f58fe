import HyperVStorage
import RoostPrimitives

extension ConfigurationTemplate {
    /// The nodes of the devices that every virtual machine of the generation has and that have data.
    func deviceNodes(using generator: inout some RandomNumberGenerator) -> [KeyNode] {
        let isBinary = version >= .v6_0
        var nodes: [KeyNode] = [
            device(.firmware, children: firmware(using: &generator)),
            device(.inputManagement, 256),
            device(.mouse, 512),
            device(.guestInterface, children: [.bool("Enabled", false), .int("VDEVVersion", 256)]),
            device(.heartbeat, 256),
            device(.keyValuePairExchange, 256),
            device(.shutdown, 256),
            device(.timeSynchronization, 256),
            device(.vss, isBinary ? 512 : 256),
            device(.remoteDesktop, 512),
            device(.serial, children: [port("port0"), port("port1"), .int("VDEVVersion", 512)]),
            device(.video, children: video),
        ]
        if isBinary {
            nodes += [device(.vmBus, 771), device(.keyboard, 256), device(.dynamicMemory, 512), device(.clock, 512)]
        }
        if machine.generation == .one { nodes += legacyNodes }
        if machine.generation == .two, version.supports(.virtualTPM) { nodes.append(device(.virtualTPM, 512)) }
        return nodes
    }

    /// The node of the device that keeps UEFI variables and TPM state.
    var guestState: KeyNode {
        device(
            .guestState,
            children: [
                .int("VDEVVersion", 256),
                .text("StateFilePath", machine.guestStateFilePath),
                .bool("UseTransient", false),
                .bool("FileIsPlatformManaged", true),
            ]
        )
    }

    /// The devices of a PC: keyboard controller, video, IDE with an empty DVD drive, floppy.
    private var legacyNodes: [KeyNode] {
        let ide: [KeyNode] = [
            .node("controller0", slot(0, "NONE"), slot(1, "NONE")),
            .node("controller1", slot(0, "ISO"), slot(1, "NONE")),
            .int("VDEVVersion", version < .v6_0 ? 1280 : 1792),
        ]
        return [
            device(.i8042, 512),
            device(.videoS3, children: [.text("address", "5353,00000000,00"), .int("VDEVVersion", 512)]),
            device(.ide, children: ide),
            device(.floppy, children: [.node("controller0", slot(0, "VFD")), .int("VDEVVersion", 256)]),
        ]
    }

    private var video: [KeyNode] {
        guard version >= .v6_0 else { return [.int("VDEVVersion", 256)] }
        return [
            .int("HorizontalResolution", 1920), .int("ResolutionType", 4), .int("VDEVVersion", 768),
            .int("VerticalResolution", 1200),
        ]
    }

    private func firmware(using generator: inout some RandomNumberGenerator) -> [KeyNode] {
        let serial = Self.serialNumber(using: &generator)
        let id = Self.biosGUID(GUID.random(using: &generator), version: version)
        let order = BootDevice.defaultOrder.enumerated().map { KeyNode.text("device\($0)", $1.description) }
        let template = since(.v6_0, .text("secure_boot_template_id", GUID.zero.uppercased))
        return [
            .node("base_board", .text("serial_number", serial)),
            .text("bios_guid", id),
            .text("bios_serial_number", serial),
            KeyNode("boot", children: order),
            .node("chassis", .text("asset_tag", serial), .text("serial_number", serial)),
            .bool("num_lock", false),
        ] + since(.v6_0, .node("nvram")) + [
            .bool("pause_after_boot_failure", false),
            .int("pxe_preferred_protocol", Int64(FirmwareSettings.PXEProtocol.ipv4.rawValue)),
            .bool("secure_boot_enabled", false),
        ] + template + [.int("VDEVVersion", version < .v6_0 ? 512 : 2048)]
    }

    private func device(_ deviceClass: DeviceClass, _ deviceVersion: Int64) -> KeyNode {
        device(deviceClass, children: [.int("VDEVVersion", deviceVersion)])
    }

    private func device(_ deviceClass: DeviceClass, children: [KeyNode]) -> KeyNode {
        KeyNode(KeyNode.deviceName(deviceClass.id), children: children)
    }

    private func port(_ name: String) -> KeyNode { .node(name, .text("connection", "")) }

    private func slot(_ number: Int, _ type: String) -> KeyNode {
        .node("drive\(number)", .text("pathname", ""), .text("type", type))
    }

    /// The SMBIOS identifier as the version writes it: in braces, the binary files in lower case.
    static func biosGUID(_ id: GUID, version: ConfigurationVersion) -> String {
        "{\(version < .v6_0 ? id.uppercased : id.lowercased)}"
    }

    /// Six groups of four decimal digits and one of two.
    private static func serialNumber(using generator: inout some RandomNumberGenerator) -> String {
        let groups = [4, 4, 4, 4, 4, 4, 2].map { length in
            (0..<length).map { _ in String(Int.random(in: 0...9, using: &generator)) }.joined()
        }
        return groups.joined(separator: "-")
    }
}

extension ConfigurationTemplate {
    /// The node of a SCSI controller without drives.
    static func scsiController(
        id: GUID,
        version: ConfigurationVersion,
        using generator: inout some RandomNumberGenerator
    ) -> KeyNode {
        .node(
            KeyNode.deviceName(id),
            .int("VDEVVersion", version < .v6_0 ? 256 : 512),
            .text("ChannelInstanceGuid", "{\(GUID.random(using: &generator).uppercased)}")
        )
    }

    /// The keys of a hard disk behind its type and path: limits and how it is written.
    static func diskLimits(version: ConfigurationVersion) -> [KeyNode] {
        let head: [KeyNode] = [.int("iops_limit", 0), .int("iops_reservation", 0), .int("weight", 100)]
        let policy: [KeyNode] = version < .v6_0 ? [] : [.text("qos_policy_id", GUID.zero.uppercased)]
        let late: [KeyNode] =
            version < .v9_0
            ? [] : [.bool("ignore_flushes", false), .int("caching_mode", 0), .int("write_hardening_method", 0)]
        return head + policy + [.bool("persistent_reservations_supported", false)] + late
    }

    /// The node of a network adapter that is not connected and has no address.
    static func networkAdapter(
        id: GUID,
        version: ConfigurationVersion,
        using generator: inout some RandomNumberGenerator
    ) -> KeyNode {
        let channel = GUID.random(using: &generator).lowercased
        let vpci = GUID.random(using: &generator).uppercased
        let moderation: [KeyNode] =
            version < .v8_0
            ? []
            : [
                .bool("InterruptModerationDisabled", false), .bool("AllowPacketDirect", false),
                .bool("NumaAwarePlacement", false),
            ]
        let head: [KeyNode] = [
            .int("VDEVVersion", version < .v6_0 ? 256 : 768), .text("FriendlyName", "Network Adapter"),
            .text("MacAddress", "00-00-00-00-00-00"), .bool("MacAddressIsStatic", false),
        ]
        let channels: [KeyNode] = [
            .text("ChannelInstanceGuid", "{\(channel)}"), .text("VpciInstanceGuid", "{\(vpci)}"),
            .bool("IsConnected", false),
        ]
        let media: [KeyNode] = version < .v8_0 ? [] : [.int("MediaType", 0)]
        let naming: [KeyNode] = version < .v6_0 ? [] : [.bool("DeviceNamingEnabled", false)]
        let port: [KeyNode] = [.text("SwitchName", ""), .text("PortName", ""), .bool("ClusterMonitored", true)]
        return KeyNode(
            KeyNode.deviceName(id),
            children: head + moderation + channels + media + port + naming
                + [connection(version: version, using: &generator)]
        )
    }

    private static func connection(
        version: ConfigurationVersion,
        using generator: inout some RandomNumberGenerator
    ) -> KeyNode {
        .node(
            "Connection",
            .text("PoolId", ""),
            .text("AltSwitchName", ""),
            .text("AltPortName", "Dynamic Ethernet Switch Port"),
            .text("AuthorizationScope", ""),
            .text("TestReplicaPoolId", ""),
            .text("TestReplicaSwitchName", ""),
            .int("ChimneyOffloadWeight", 0),
            .bool("PreventIPSpoofing", false),
            .node("Features", .text("Id", portOffloadFeature)),
            portOffload(version: version, setting: GUID.random(using: &generator).uppercased)
        )
    }

    /// The feature of a switch port that says what the host's network card does for the adapter.
    private static func portOffload(version: ConfigurationVersion, setting: String) -> KeyNode {
        let words: [UInt32] =
            version < .v6_0
            ? [512, 100, 0, 1, 0]
            : [512, 100, 0, 1, 0, 0, 64, 1_000_000, 257, 16, 1, 0, 0, 3]
        let data = words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * UInt32($0))) } }
        return .node(
            "Feature_\(portOffloadFeature)",
            .int("Flags", 0),
            .text("DisplayName", ""),
            .node("Settings", .text("Id", setting)),
            .node(
                "Setting_\(setting)",
                .int("Version", version < .v6_0 ? 256 : 1024),
                KeyNode("Data", .array(data))
            )
        )
    }

    private static let portOffloadFeature = "C885BFD1-ABB7-418F-8163-9F379C9F7166"
}
