import HyperVStorage
import RoostPrimitives
import Testing
import VMConfiguration

/// Every view: what is set is read, and nothing else in the tree changes.
@Suite struct ViewTests {
    /// A setting, and the paths that setting it changes.
    struct Change: Sendable, CustomTestStringConvertible {
        var paths: Set<String>
        var change: @Sendable (inout VirtualMachineConfiguration) -> Void
        var check: @Sendable (VirtualMachineConfiguration) -> Bool
        var testDescription: String { paths.sorted().joined(separator: ", ") }

        init<Value: Equatable & Sendable>(
            _ property: any WritableKeyPath<VirtualMachineConfiguration, Value> & Sendable,
            _ value: Value,
            _ paths: String...
        ) {
            self.paths = Set(paths)
            change = { $0[keyPath: property] = value }
            check = { $0[keyPath: property] == value }
        }
    }

    static let bios = "/_ac6b8dc1-3257-4a70-b1b2-a9c9215659ad_"

    static let changes: [Change] = [
        Change(\.name, "Other", "/properties/name"),
        Change(\.id, .zero, "/properties/global_id", "/settings/global/logical_id"),
        Change(\.notes, "note", "/properties/notes"),
        Change(\.creationTime, FileTime(intervals: 77), "/properties/creation_time"),
        Change(\.lastPoweredOnTime, FileTime(intervals: 78), "/properties/last_powered_on_time"),
        Change(\.lastPoweredOffTime, FileTime(intervals: 79), "/properties/last_powered_off_time"),
        Change(\.lastStateChangeTime, FileTime(intervals: 80), "/properties/last_state_change_time"),
        Change(\.isHighlyAvailable, true, "/properties/highly_available"),
        Change(\.guestStateFilePath, "/x.vmgs", "/_917bd8cb-3bb6-4124-9383-b7d21ac07f79_/StateFilePath"),
        Change(\.serialPorts, ["", "/s"], "/_8e3a359f-559a-4b6a-98a9-1690a6100ed7_/port1/connection"),
        Change(\.memory.startup, 4096, "/settings/memory/bank/size"),
        Change(\.memory.minimum, 64, "/settings/memory/bank/reservation"),
        Change(\.memory.maximum, 8192, "/settings/memory/bank/limit"),
        Change(\.memory.dynamicMemoryEnabled, true, "/settings/memory/bank/dynamic_memory_enabled"),
        Change(\.memory.priority, 1, "/settings/memory/bank/priority"),
        Change(\.memory.buffer, 50, "/settings/memory/bank/target_memory_buffer"),
        Change(\.processors.count, 8, "/settings/processors/count"),
        Change(\.processors.reservation, 10, "/settings/processors/reservation"),
        Change(\.processors.limit, 50_000, "/settings/processors/limit"),
        Change(\.processors.weight, 200, "/settings/processors/weight"),
        Change(\.processors.compatibilityForOlderOperatingSystems, true, "/settings/processors/limit_cpuid"),
        Change(\.processors.compatibilityForMigration, true, "/settings/processors/features/limit"),
        Change(\.processors.nestedVirtualization, true, "/settings/processors/nested_virtualization/enabled"),
        Change(\.processors.hypervisorHidden, true, "/settings/processors/hide_hypervisor_present"),
        Change(\.processors.threadsPerCore, 2, "/settings/processors/hwthreads"),
        Change(\.firmware.secureBootEnabled, false, "\(bios)/secure_boot_enabled"),
        Change(\.firmware.secureBootTemplate, .openSourceShieldedVM, "\(bios)/secure_boot_template_id"),
        Change(\.firmware.secureBootTemplate, nil, "\(bios)/secure_boot_template_id"),
        Change(\.firmware.biosGUID, .zero, "\(bios)/bios_guid"),
        Change(\.firmware.biosSerialNumber, "1", "\(bios)/bios_serial_number"),
        Change(\.firmware.baseBoardSerialNumber, "2", "\(bios)/base_board/serial_number"),
        Change(\.firmware.chassisSerialNumber, "3", "\(bios)/chassis/serial_number"),
        Change(\.firmware.chassisAssetTag, "4", "\(bios)/chassis/asset_tag"),
        Change(\.firmware.numLock, true, "\(bios)/num_lock"),
        Change(\.firmware.pauseAfterBootFailure, true, "\(bios)/pause_after_boot_failure"),
        Change(\.firmware.pxePreferredProtocol, .ipv6, "\(bios)/pxe_preferred_protocol"),
        Change(\.vmGenerationID, .zero, "/global_settings/devices/generation_id"),
        Change(\.automaticStartAction, .alwaysStart, "/global_settings/power/host_startup/action"),
        Change(\.automaticStartDelay, .seconds(30), "/roost/automatic_start_delay"),
        Change(\.automaticStopAction, .shutDown, "/global_settings/power/host_shutdown/action"),
        Change(\.checkpointType, .standard, "/global_settings/snapshots/user_type"),
        Change(\.automaticCheckpointsEnabled, true, "/global_settings/snapshots/enable_automatic"),
        Change(\.roost.creationHost, "h", "/roost/creation_host"),
        Change(\.roost.creationHost, nil, "/roost/creation_host"),
        Change(\.roost.cpuModel, "host", "/roost/cpu_model"),
        Change(\.roost.machineType, "pc-q35-7.2", "/roost/machine_type"),
        Change(\.roost.virtualMachineHasStarted, true, "/roost/started"),
        Change(\.roost.cloudInitSeedPath, "/seed", "/roost/cloud_init_seed"),
    ]

    @Test(arguments: changes)
    func whatIsSetIsReadAndTheRestStays(change: Change) throws {
        var configuration = try makeConfiguration { $0.creationHost = "maker" }
        let unknown = KeyNode("unknown", .double(bitPattern: 1), flags: 2)
        configuration.root.children.insert(KeyNode("zz", children: [unknown, unknown]), at: 3)
        configuration.root.children[5].children.insert(unknown, at: 0)
        let before = configuration.root.flattened()
        #expect(!change.check(configuration), "the setting has its value already")
        change.change(&configuration)
        #expect(change.check(configuration))
        let after = configuration.root.flattened()
        let added = after.filter { key in !before.contains { $0.path == key.path } }
        #expect(Set(added.map(\.path)).isSubset(of: change.paths))
        #expect(
            after.filter { !change.paths.contains($0.path) } == before.filter { !change.paths.contains($0.path) }
        )
        #expect(configuration.root["zz"]?.children == [unknown, unknown])
    }

    @Test(arguments: Generation.allCases, ConfigurationVersion.known)
    func settingWhatIsReadChangesNothing(generation: Generation, version: ConfigurationVersion) throws {
        var configuration = try makeConfiguration(generation, version)
        configuration.root.remove("settings/processors/weight")
        let before = configuration.root
        configuration.memory = configuration.memory
        configuration.processors = configuration.processors
        configuration.firmware = configuration.firmware
        configuration.roost = configuration.roost
        configuration.integrationServices = configuration.integrationServices
        configuration.automaticStartDelay = configuration.automaticStartDelay
        configuration.checkpointType = configuration.checkpointType
        for adapter in configuration.networkAdapters { try configuration.updateNetworkAdapter(adapter) }
        for drive in configuration.drives { try configuration.setDrive(drive) }
        #expect(configuration.root == before)
    }

    @Test func absentKeysReadAsTheirDefaults() throws {
        let root = KeyNode("configuration").replacing("properties/name", .string("Bare"))
            .replacing("properties/global_id", .string(GUID.random().uppercased))
            .replacing("properties/subtype", .int(0)).replacing("properties/version", .int(2048))
        let configuration = try VirtualMachineConfiguration(root: root)
        #expect(configuration.memory == MemorySettings())
        #expect(configuration.processors == ProcessorSettings())
        #expect(configuration.automaticStartAction == .startIfRunning)
        #expect(configuration.automaticStopAction == .save)
        #expect(configuration.checkpointType == .production)
        #expect(configuration.creationTime == nil)
        #expect(configuration.vmGenerationID == .zero)
        #expect(configuration.drives.isEmpty)
        #expect(configuration.networkAdapters.isEmpty)
        #expect(configuration.scsiControllers.isEmpty)
        #expect(configuration.integrationServices.values.allSatisfy { !$0 })
        #expect(configuration.firmware.bootOrder == BootDevice.defaultOrder)
        #expect(configuration.roost == RoostSettings())
    }

    /// Every key in turn gets every other kind of value, an extreme value, or children where it had a value.
    @Test(arguments: Generation.allCases)
    func aKeyOfAnyOtherTypeIsAnErrorOrADefaultAndNeverATrap(generation: Generation) throws {
        var sound = try makeConfiguration(generation)
        try sound.addDrive(Drive(location: DriveLocation(.scsi, 0, 5), kind: .hardDisk, path: "/disk"))
        sound.roost.diskFormats = ["/disk": .qcow2]
        sound.roost.secureBootCertificates = [[1]]
        let values: [KeyValue] = [.node, .int(.min), .string("\0/é")]
        let devices = try #require(sound.root["manifest"]).children.suffix(2).map(\.name)
        var refused = 0
        for key in sound.root.flattened() {
            // All rows of the manifest are alike; the adapter's and the controller's matter.
            let isRow = key.path.hasPrefix("/manifest/vdev")
            if isRow, !devices.contains(where: { key.path.hasPrefix("/manifest/\($0)") }) { continue }
            for value in values {
                let root = sound.root.replacing(String(key.path.dropFirst()), value)
                guard let configuration = try? VirtualMachineConfiguration(root: root) else {
                    refused += 1
                    continue
                }
                exercise(configuration)
            }
        }
        // A name of two other types; for the node of the identity, its other keys and the two sizes any other value.
        #expect(refused == 2 + 6 * values.count)
    }

    @Test func aSettingOfAnotherTypeIsReplacedWhereItIs() throws {
        var configuration = try makeConfiguration()
        let index = try #require(configuration.root.children.firstIndex { $0.name == "global_settings" })
        configuration.root.children[index] = KeyNode("global_settings", .int(3))
        configuration.automaticStopAction = .turnOff
        #expect(configuration.automaticStopAction == .turnOff)
        #expect(configuration.root.children[index].value == .node)
    }

    @Test func anUnknownChoiceReadsAsTheDefaultAndStaysUntilItIsSet() throws {
        var configuration = try makeConfiguration()
        configuration.root.set("global_settings/power/host_startup/action", .int(9))
        #expect(configuration.automaticStartAction == .startIfRunning)
        configuration.automaticStopAction = .turnOff
        #expect(configuration.root.descendant("global_settings/power/host_startup/action")?.value == .int(9))
        configuration.automaticStartAction = .nothing
        #expect(configuration.root.descendant("global_settings/power/host_startup/action")?.value == .int(0))
    }

    @Test func unsignedNumbersAreReadWhereTheyFit() throws {
        var configuration = try makeConfiguration()
        configuration.root.set("settings/processors/count", .uint(3))
        #expect(configuration.processors.count == 3)
    }

    @Test func integrationServicesFollowTheManifest() throws {
        var configuration = try makeConfiguration()
        #expect(configuration.integrationServices.filter { !$0.value }.map(\.key) == [.guestServiceInterface])
        configuration.integrationServices = [.guestServiceInterface: true, .vss: false]
        #expect(configuration.integrationServices.filter { !$0.value }.map(\.key) == [.vss])
        #expect(
            configuration.root.descendant("_5ced1297-4598-4915-a5fc-ad21bb4d02a4_/Enabled")?.value == .bool(false)
        )
    }

    private func exercise(_ configuration: VirtualMachineConfiguration) {
        var copy = configuration
        try? copy.validate()
        _ = try? ConfigurationSummary(root: copy.root)
        copy.memory.startup = .max
        copy.processors.count = .max
        copy.firmware.bootOrder.reverse()
        copy.notes = "x"
        copy.id = .random()
        copy.lastPoweredOnTime = FileTime(intervals: .max)
        copy.roost.diskFormats["/y"] = .raw
        copy.roost.secureBootCertificates.append([2])
        copy.integrationServices = [.vss: false]
        copy.serialPorts = ["a", "b"]
        copy.vmGenerationID = .random()
        for adapter in copy.networkAdapters { _ = try? copy.removeNetworkAdapter(adapter.id) }
        for drive in copy.drives { _ = try? copy.removeDrive(at: drive.location) }
        if let location = copy.nextFreeLocation(for: .dvd) {
            try? copy.addDrive(Drive(location: location, kind: .dvd, path: nil))
        }
        _ = try? copy.addScsiController()
        try? copy.addNetworkAdapter(NetworkAdapter(switchID: .random()))
        _ = copy.hashValue
    }
}
