import Foundation
import HyperVStorage
import RoostPrimitives
import Testing
import VMConfiguration

/// Compares the keys of new virtual machines with those that Hyper-V wrote.
@Suite(.enabled(if: Samples.arePresent, "the real files are not here; ROOST_SAMPLES names their folder"))
struct TemplateTests {
    @Test(arguments: [(Generation.one, "gen1-9.0.vmcx.tree.txt"), (.two, "gen2-9.0.vmcx.tree.txt")])
    func version9HasTheKeysOfARealFileInItsOrder(generation: Generation, sample: String) throws {
        var ours = try makeConfiguration(generation)
        let location = DriveLocation(generation == .one ? .ide : .scsi, 0, 0)
        try ours.addDrive(Drive(location: location, kind: .hardDisk, path: "disk"))
        let theirs = try VirtualMachineConfiguration(root: Samples.tree(sample))
        #expect(keys(ours) == keys(theirs))
        #expect(differences(ours, theirs).subtracting(ownValues).isEmpty)
    }

    @Test func generation1OfVersion5HasTheKeysOfARealFileInItsOrder() throws {
        var ours = try makeConfiguration(.one, .v5_0)
        try ours.addDrive(Drive(location: DriveLocation(.ide, 0, 0), kind: .hardDisk, path: "disk"))
        let theirs = try VirtualMachineConfiguration(root: Samples.xml("gen1-5.0-8bit.xml", encoding: .utf8))
        // Metrics and the clock's offset come once it has run, the switch's resource once it is connected.
        let later = ["/global_settings/metrics", "/_e51b7ef6-", "/ADAPTER/Connection/HostResources"]
        #expect(keys(ours).sorted() == keys(theirs, without: later))
        let connected = ["IsConnected", "MacAddress", "PortName", "SwitchName", "Connection/AltSwitchName"]
        let powered = ["last_powered_off_time", "last_powered_on_time", "last_state_change_time"]
        let expected = ownValues.union(connected.map { "/ADAPTER/\($0)" }).union(powered.map { "/properties/\($0)" })
        #expect(differences(ours, theirs).subtracting(expected).isEmpty)
    }

    @Test func generation2OfVersion5HasTheKeysOfARealFileInItsOrder() throws {
        var ours = try makeConfiguration(.two, .v5_0)
        try ours.addDrive(Drive(location: DriveLocation(.scsi, 0, 0), kind: .hardDisk, path: "disk"))
        let theirs = try VirtualMachineConfiguration(root: Samples.xml("gen2-5.0.xml", encoding: .utf16))
        // Metrics and UEFI variables come once it has run; this file has no time of creation, the other one does.
        let later = ["/global_settings/metrics", "/nvram"]
        let missing = "/properties/creation_time Array"
        let ourKeys = keys(ours).filter { $0 != missing }
        #expect(ourKeys.sorted() == keys(theirs, without: later))
        let powered = ["/properties/last_powered_off_time", "/properties/last_state_change_time"]
        #expect(differences(ours, theirs).subtracting(ownValues.union(powered)).isEmpty)
    }

    @Test func version5IsInOrdinalOrder() throws {
        let theirs = try VirtualMachineConfiguration(root: Samples.xml("gen2-5.0.xml", encoding: .utf16))
        for root in [try makeConfiguration(.one, .v5_0).root, theirs.root] {
            var nodes = [root]
            while let node = nodes.popLast() {
                #expect(node.children.map { Array($0.name.utf8) }.isSorted, "children of \(node.name)")
                nodes += node.children
            }
        }
    }

    /// The keys whose values belong to one virtual machine or come from its host.
    private let ownValues: Set<String> = [
        "/_ac6b8dc1-3257-4a70-b1b2-a9c9215659ad_/base_board/serial_number",
        "/_ac6b8dc1-3257-4a70-b1b2-a9c9215659ad_/bios_guid",
        "/_ac6b8dc1-3257-4a70-b1b2-a9c9215659ad_/bios_serial_number",
        "/_ac6b8dc1-3257-4a70-b1b2-a9c9215659ad_/chassis/asset_tag",
        "/_ac6b8dc1-3257-4a70-b1b2-a9c9215659ad_/chassis/serial_number",
        "/_917bd8cb-3bb6-4124-9383-b7d21ac07f79_/StateFilePath",
        "/_83f8638b-8dca-4152-9eda-2ca8b33039b4_/controller0/drive0/pathname",
        "/CONTROLLER/controller0/drive0/pathname",
        "/CONTROLLER/ChannelInstanceGuid",
        "/ADAPTER/ChannelInstanceGuid",
        "/ADAPTER/VpciInstanceGuid",
        "/ADAPTER/Connection/Feature_C885BFD1-ABB7-418F-8163-9F379C9F7166/Settings/Id",
        "/global_settings/devices/generation_id",
        "/global_settings/owner/sid",
        "/properties/global_id",
        "/properties/name",
        "/properties/creation_time",
        "/settings/global/logical_id",
        "/settings/memory/bank/size",
        "/settings/memory/vnuma/max_size_per_node",
        "/settings/processors/vnuma/count_per_node/max",
    ]

    /// Paths and kinds of all keys in order.
    private func keys(_ configuration: VirtualMachineConfiguration) -> [String] {
        normalized(configuration).map { "\($0.path) \($0.kind)" }
    }

    /// Paths and kinds of the keys, sorted, without those that contain one of some texts.
    private func keys(_ configuration: VirtualMachineConfiguration, without texts: [String]) -> [String] {
        keys(configuration).filter { key in !texts.contains { key.contains($0) } }.sorted()
    }

    /// The paths that both have, with other values.
    private func differences(_ left: VirtualMachineConfiguration, _ right: VirtualMachineConfiguration) -> Set<String> {
        let values = Dictionary(normalized(right).map { ($0.path, $0.value) }) { first, _ in first }
        return Set(normalized(left).filter { values[$0.path] != nil && values[$0.path] != $0.value }.map(\.path))
    }

    /// All keys, with the instances of the adapter and the controller called by what they are.
    private func normalized(_ configuration: VirtualMachineConfiguration) -> [FlatKey] {
        let adapter = configuration.networkAdapters.first?.id ?? .zero
        let controller = configuration.scsiControllers.first?.id ?? .zero
        let setting = configuration.root.flattened().first { $0.path.hasSuffix("/Settings/Id") }?.value
        return configuration.root.flattened().map { key in
            var key = key
            key.path = key.path.replacingOccurrences(of: "_\(adapter.lowercased)_", with: "ADAPTER")
                .replacingOccurrences(of: "_\(controller.lowercased)_", with: "CONTROLLER")
            if case .string(let id)? = setting {
                key.path = key.path.replacingOccurrences(of: "Setting_\(id)", with: "Setting")
            }
            if case .string(let text) = key.value {
                key.value = .string(
                    text.replacingOccurrences(of: adapter.lowercased, with: "ADAPTER", options: .caseInsensitive)
                        .replacingOccurrences(of: controller.lowercased, with: "CONTROLLER", options: .caseInsensitive)
                )
            }
            return key
        }
    }
}

extension [[UInt8]] {
    fileprivate var isSorted: Bool { zip(self, dropFirst()).allSatisfy { !$1.lexicographicallyPrecedes($0) } }
}

@Suite struct NewVirtualMachineTests {
    @Test(arguments: ConfigurationVersion.known, Generation.allCases)
    func everyVersionAndGenerationIsValidAndReadsBack(version: ConfigurationVersion, generation: Generation) throws {
        let configuration = try makeConfiguration(generation, version)
        let read = try VirtualMachineConfiguration(root: configuration.root)
        try read.validate()
        #expect(read.version == version)
        #expect(read.generation == generation)
        #expect(read.networkAdapters.count == 1)
        #expect(read.scsiControllers.map(\.number) == [0])
        #expect(read.firmware.secureBootEnabled == (generation == .two))
        #expect(read.firmware.secureBootTemplate == (generation == .two ? .microsoftWindows : nil))
    }

    @Test(arguments: ConfigurationVersion.known, Generation.allCases)
    func theManifestIsContiguousAndCounted(version: ConfigurationVersion, generation: Generation) throws {
        let manifest = try #require(try makeConfiguration(generation, version).root["manifest"])
        let rows = manifest.children.filter { $0.name.hasPrefix("vdev") }
        #expect(rows.map(\.name) == rowNames(rows.count))
        #expect(manifest["size"]?.value == .int(Int64(rows.count)))
        #expect(Set(rows.compactMap { $0["instance"]?.value }).count == rows.count)
    }

    @Test func anOlderBinaryVersionHasNoKeyThatANewerOneLacks() throws {
        let trees = try ConfigurationVersion.known.filter { $0 >= .v6_0 }.map { version in
            var generator = Counter()
            var machine = NewVirtualMachine(name: "Test", version: version)
            machine.networkAdapters = []
            let root = try VirtualMachineConfiguration.new(machine, using: &generator).root
            return Set(root.flattened().map { $0.path.split(separator: "/").last.map(String.init) ?? "" })
        }
        for (older, newer) in zip(trees, trees.dropFirst()) {
            #expect(older.filter { !$0.hasPrefix("_") }.isSubset(of: newer))
        }
        #expect(trees.first != trees.last)
    }

    @Test func whatIsAskedForIsWritten() throws {
        let adapter = NetworkAdapter(name: "Net", macAddress: MACAddress("00-15-5D-00-00-01"), switchID: .random())
        let created = try #require(FileTime(unixSeconds: 1_700_000_000))
        let configuration = try makeConfiguration(.two, .v8_0) { machine in
            machine.name = "Ünïcode VM"
            machine.memory = MemorySettings(startup: 2048)
            machine.processors = ProcessorSettings(count: 4)
            machine.notes = "two\nlines"
            machine.creationTime = created
            machine.secureBootTemplate = .microsoftUEFICertificateAuthority
            machine.networkAdapters = [adapter]
            machine.creationHost = "host1"
        }
        #expect(configuration.name == "Ünïcode VM")
        #expect(configuration.memory.startup == 2048)
        #expect(configuration.processors.count == 4)
        #expect(configuration.notes == "two\nlines")
        #expect(configuration.creationTime == created)
        #expect(configuration.firmware.secureBootTemplate == .microsoftUEFICertificateAuthority)
        #expect(configuration.networkAdapters.first?.switchID == adapter.switchID)
        #expect(configuration.roost.creationHost == "host1")
    }

    @Test func twoMachinesShareNoIdentifier() throws {
        let (first, second) = (try makeConfiguration(), try makeConfiguration())
        #expect(first.id != second.id)
        #expect(first.vmGenerationID != second.vmGenerationID)
        #expect(first.firmware.biosGUID != second.firmware.biosGUID)
        #expect(first.networkAdapters.first?.id != second.networkAdapters.first?.id)
    }

    @Test func theSerialNumberIsSixGroupsOfFourDigitsAndOneOfTwo() throws {
        let serial = try makeConfiguration().firmware.biosSerialNumber
        #expect(serial.split(separator: "-").map(\.count) == [4, 4, 4, 4, 4, 4, 2])
        #expect(serial.allSatisfy { $0.isNumber || $0 == "-" })
    }

    @Test func whatTheVersionDoesNotHaveIsRefused() throws {
        let large = #expect(throws: ConfigurationError.self) {
            try makeConfiguration(.two, .v7_1) { $0.processors.count = 65 }
        }
        #expect(large?.code == .outOfBounds)
        let template = #expect(throws: ConfigurationError.self) {
            try makeConfiguration(.two, .v5_0) { $0.secureBootTemplate = .microsoftUEFICertificateAuthority }
        }
        #expect(template?.code == .unsupportedByVersion)
        let nested = #expect(throws: ConfigurationError.self) {
            try makeConfiguration(.two, .v7_1) { $0.processors.nestedVirtualization = true }
        }
        #expect(nested?.code == .unsupportedByVersion)
        let unknown = #expect(throws: ConfigurationError.self) {
            try makeConfiguration(.two, ConfigurationVersion(rawValue: 0x0803))
        }
        #expect(unknown?.code == .unknownVersion)
    }
}

/// A generator that counts, so that two runs give the same identifiers.
struct Counter: RandomNumberGenerator {
    private var state: UInt64 = 0
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return state
    }
}
