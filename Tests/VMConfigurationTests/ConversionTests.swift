import Foundation
import HyperVStorage
import RoostPrimitives
import Testing
import VMConfiguration

/// Upgrades of the configuration version: nothing is lost, and what comes is what the newer version has.
@Suite struct ConversionTests {
    /// Each known version with each newer one.
    static let pairs = ConfigurationVersion.known.flatMap { source in
        ConfigurationVersion.known.filter { $0 > source }.map { (source, $0) }
    }

    /// A machine with something of everything that a user can set.
    private func machine(_ generation: Generation, _ version: ConfigurationVersion) throws
        -> VirtualMachineConfiguration
    {
        var machine = try makeConfiguration(generation, version) {
            $0.notes = "kept"
            $0.memory.priority = 77
            $0.creationHost = "host"
            $0.guestStateFilePath = "/state"
        }
        try machine.addScsiController()
        let location = DriveLocation(generation == .one ? .ide : .scsi, 0, 0)
        try machine.addDrive(Drive(location: location, kind: .hardDisk, path: "/one"))
        try machine.addDrive(Drive(location: DriveLocation(.scsi, 1, 7), kind: .hardDisk, path: "/two"))
        try machine.addDrive(Drive(location: DriveLocation(.scsi, 1, 8), kind: .dvd, path: nil))
        try machine.addNetworkAdapter(NetworkAdapter(name: "Second", macAddress: MACAddress("00-15-5D-00-00-02")))
        machine.integrationServices = [.vss: false]
        machine.roost.virtualMachineHasStarted = true
        machine.roost.machineType = "pc-q35-5.2"
        machine.roost.cpuModel = "Haswell"
        return machine
    }

    /// The paths of keys, with the devices called by their place.
    private func paths(_ configuration: VirtualMachineConfiguration) -> Set<String> {
        var names: [(String, String)] = []
        for (index, adapter) in configuration.networkAdapters.enumerated() {
            names.append((adapter.id.lowercased, "adapter\(index)"))
        }
        for controller in configuration.scsiControllers {
            names.append((controller.id.lowercased, "controller\(controller.number)"))
        }
        return Set(
            configuration.root.flattened().map { key in
                let path = names.reduce(key.path) { $0.replacing($1.0, with: $1.1) }
                let offload = path.firstRange(of: "/Setting_").map { String(path[..<$0.lowerBound]) + "/Setting" }
                return "\(offload ?? path) \(key.kind)"
            }
        )
    }

    @Test(arguments: pairs, Generation.allCases)
    func anUpgradedMachineHasTheKeysOfANewOne(
        versions: (ConfigurationVersion, ConfigurationVersion),
        generation: Generation
    ) throws {
        let (source, target) = versions
        let old = try machine(generation, source)
        let conversion = try old.converted(to: target, guestStateFilePath: "/state")
        let new = try machine(generation, target)
        var expected = paths(new).subtracting(["/roost/machine_type String"])
        if source == .v5_0 { expected.insert("/settings/stopped_at_host_shutdown Bool") }
        let converted = paths(conversion.configuration)
        #expect(converted.subtracting(expected).isEmpty)
        #expect(expected.subtracting(converted).isEmpty)
        // Device versions and defaults are those of a new machine too.
        let values = Dictionary(new.root.flattened().map { ($0.path, $0.value) }) { first, _ in first }
        let different = conversion.configuration.root.flattened().filter { key in
            values[key.path].map { $0 != key.value } == true
        }
        let own = [
            "global_id", "logical_id", "serial", "asset_tag", "bios_guid", "generation_id", "/instance", "/vnuma/",
        ]
        #expect(different.filter { key in !own.contains { key.path.contains($0) } }.isEmpty)
        try conversion.configuration.validate()
    }

    @Test(arguments: pairs, Generation.allCases)
    func everyViewReadsAsBefore(
        versions: (ConfigurationVersion, ConfigurationVersion),
        generation: Generation
    ) throws {
        let old = try machine(generation, versions.0)
        let new = try old.converted(to: versions.1).configuration
        #expect(new.version == versions.1)
        #expect(new.name == old.name)
        #expect(new.id == old.id)
        #expect(new.generation == old.generation)
        #expect(new.notes == "kept")
        #expect(new.memory == old.memory)
        #expect(new.processors == old.processors)
        #expect(new.drives == old.drives)
        #expect(new.networkAdapters == old.networkAdapters)
        #expect(new.scsiControllers == old.scsiControllers)
        #expect(new.firmware == old.firmware)
        #expect(new.vmGenerationID == old.vmGenerationID)
        #expect(new.integrationServices == old.integrationServices)
        #expect(new.automaticStartAction == old.automaticStartAction)
        #expect(new.automaticStopAction == old.automaticStopAction)
        #expect(new.creationTime == old.creationTime)
        #expect(new.roost.machineType == nil)
        #expect(new.roost.cpuModel == "Haswell")
        #expect(new.roost.virtualMachineHasStarted)
        let manifest = try #require(new.root["manifest"])
        let rows = manifest.children.filter { $0.name.hasPrefix("vdev") }
        #expect(rows.map(\.name) == rowNames(rows.count))
        #expect(manifest["size"]?.value == .int(Int64(rows.count)))
    }

    @Test func theResultDependsOnTheConfigurationAlone() throws {
        let old = try machine(.two, .v5_0)
        #expect(try old.converted(to: .v9_0) == old.converted(to: .v9_0))
        // In one step or in several: the same machine, but for what changed in between.
        let steps = try old.converted(to: .v6_2).configuration.converted(to: .v8_0).configuration.converted(to: .v9_0)
        let once = try old.converted(to: .v9_0)
        #expect(ConfigurationDifference.between(steps.configuration.root, once.configuration.root).isEmpty)
    }

    @Test func theOrderIsThatOfANewMachine() throws {
        let converted = try machine(.one, .v5_0).converted(to: .v8_0).configuration.root
        let new = try machine(.one, .v8_0).root
        for path in ["properties", "global_settings", "global_settings/devices", "settings/processors"] {
            let names = try #require(new.descendant(path)).children.map(\.name)
            #expect(converted.descendant(path)?.children.map(\.name).filter(names.contains) == names)
        }
        #expect(converted.children.last?.name == "manifest")
    }

    @Test func changesAreListedWithTheirReasons() throws {
        let changes = try machine(.two, .v8_0).converted(to: .v9_0, guestStateFilePath: "/x").changes
        let reasons = Dictionary(grouping: changes) { $0.reason }
        #expect(reasons[.version]?.map(\.difference.description) == ["/properties/version"])
        #expect(reasons[.virtualHardware]?.map(\.difference.description) == ["/roost/machine_type"])
        #expect(reasons[.manifest]?.map(\.difference.description) == ["/manifest/size"])
        #expect(reasons[.deviceVersion] == nil)
        #expect(reasons[.savedState] == nil)
        let added = Set((reasons[.added] ?? []).map(\.difference.description))
        #expect(added.contains("/_917bd8cb-3bb6-4124-9383-b7d21ac07f79_/StateFilePath"))
        #expect(added.contains("/manifest/vdev{917BD8CB-3BB6-4124-9383-B7D21AC07F79}/instance"))
        #expect(added.contains("/settings/memory/sgx/enabled"))
        #expect(!added.contains { $0.contains("VDEVVersion") && !$0.contains("917bd8cb") })
    }

    @Test func unknownRepeatedAndWronglyTypedKeysStay() throws {
        var old = try machine(.two, .v5_0)
        let metric = { (text: String) in KeyNode("metric", children: [KeyNode("guid", .string(text))]) }
        old.root.children.append(KeyNode("zz_unknown", children: [metric("b"), metric("a"), metric("b")]))
        old.root.set("settings/topology/more", .array([1]))
        old.root = old.root.replacing("global_settings/owner", .int(3))
        old.root = old.root.replacing("global_settings/snapshots/list", .string("none"))
        old.root.remove("settings/processors/weight")
        old.root.remove("_6c09bb55-d683-4da0-8931-c9bf705f6480_/Enabled")
        let new = try old.converted(to: .v9_0).configuration
        #expect(new.root["zz_unknown"] == old.root["zz_unknown"])
        #expect(new.root.descendant("settings/topology/more")?.value == .array([1]))
        #expect(new.root["global_settings"]?["owner"]?.value == .int(3))
        #expect(new.root.descendant("global_settings/snapshots/list")?.value == .string("none"))
        // The older version has these too, so their absence means something.
        #expect(new.root.descendant("settings/processors/weight") == nil)
        #expect(new.integrationServices[.guestServiceInterface] == true)
    }

    @Test func keysThatAreThereTwiceAreTreatedAlike() throws {
        var old = try machine(.two, .v5_0)
        let second = KeyNode("manifest", children: [KeyNode("vdev001", children: [KeyNode("name", .string("x"))])])
        old.root.children.append(second)
        old.root.children += [KeyNode("savedstate"), KeyNode("savedstate")]
        let index = try #require(old.root.children.firstIndex { $0.name == "roost" })
        old.root.children[index].children.append(KeyNode("machine_type", .string("pc-q35-5.1")))
        let new = try old.converted(to: .v8_0).configuration
        #expect(new.root.children.filter { $0.name == "manifest" }.last == second)
        #expect(!new.root.children.contains { $0.name == "savedstate" })
        #expect(new.roost.machineType == nil)
        old.root.children.append(KeyNode("savedstate", children: [KeyNode("vsvlocation", .string("x"))]))
        #expect(throws: ConfigurationError.self) { try old.converted(to: .v8_0) }
    }

    @Test func rowsWithoutADeviceAndUnknownDevicesStay() throws {
        var old = try machine(.two, .v5_0)
        let rows = [
            KeyNode("vdev099", children: [KeyNode("name", .string("nothing"))]),
            KeyNode("vdev098", children: [KeyNode("name", .string("nothing else"))]),
            KeyNode(
                "vdev050",
                children: [
                    KeyNode("device", .string("2fcc454e-0000-4000-8000-000000000000")),
                    KeyNode("instance", .string("0A0A0A0A-0000-4000-8000-00000000000B")),
                    KeyNode("name", .string("Card")), KeyNode("flags", .int(2)), KeyNode("extra", .int(9)),
                ]
            ),
        ]
        let index = try #require(old.root.children.firstIndex { $0.name == "manifest" })
        old.root.children[index].children += rows
        let conversion = try old.converted(to: .v8_0)
        let converted = try #require(conversion.configuration.root["manifest"]).children.suffix(3)
        #expect(converted.map { $0["name"]?.value } == ["nothing", "nothing else", "Card"].map { .string($0) })
        #expect(converted.last?["extra"]?.value == .int(9))
        #expect(converted.last?["instance"]?.value == .string("0a0a0a0a-0000-4000-8000-00000000000b"))
    }

    @Test func aDeviceVersionIsNeverLowered() throws {
        var old = try machine(.two, .v5_0)
        old.root.set("_f3cf6965-e8d3-44a9-9b7d-a04245ea7525_/VDEVVersion", .int(4096))
        let new = try old.converted(to: .v9_0).configuration.root
        #expect(new.descendant("_f3cf6965-e8d3-44a9-9b7d-a04245ea7525_/VDEVVersion")?.value == .int(4096))
    }

    @Test func olderSameAndUnknownVersionsAreRefused() throws {
        let machine = try machine(.two, .v8_0)
        for (target, code) in [
            (ConfigurationVersion.v5_0, ConfigurationError.Code.invalidValue), (.v7_1, .invalidValue),
            (.v8_0, .invalidValue), (ConfigurationVersion(rawValue: 0x0801), .unknownVersion),
            (ConfigurationVersion(rawValue: 0xFFFF), .unknownVersion),
        ] {
            let error = #expect(throws: ConfigurationError.self) { try machine.converted(to: target) }
            #expect(error?.code == code, "\(target)")
        }
    }

    @Test func aSavedStateIsRefusedAndAnEmptyNodeForOneGoes() throws {
        var machine = try machine(.two, .v5_0)
        machine.root.set("savedstate/vsvlocation", .string(""))
        let conversion = try machine.converted(to: .v8_0)
        #expect(conversion.configuration.root["savedstate"] == nil)
        #expect(
            conversion.changes.filter { $0.reason == .savedState }.map(\.difference.description)
                == ["/savedstate", "/savedstate/vsvlocation"]
        )
        machine.root.set("savedstate/memlocation", .string(#"C:\a.bin"#))
        let error = #expect(throws: ConfigurationError.self) { try machine.converted(to: .v8_0) }
        #expect(error?.code == .invalidValue)
        #expect(error?.message.contains("saved state") == true)
    }

    @Test func uefiVariablesAreHandedOver() throws {
        var machine = try machine(.two, .v5_0)
        let variables = [
            UEFIVariable(vendor: .random(), name: "One", attributes: 7, data: [1, 2]),
            UEFIVariable(vendor: .random(), name: "Two", attributes: 3, data: [], timestamp: Array(0..<16)),
        ]
        try machine.setUEFIVariables(variables, at: try #require(FileTime(unixSeconds: 0)))
        let conversion = try machine.converted(to: .v9_0)
        #expect(conversion.uefiVariables == variables)
        let nvram = "_ac6b8dc1-3257-4a70-b1b2-a9c9215659ad_/nvram"
        #expect(conversion.configuration.root.descendant(nvram) == KeyNode("nvram"))
        let moved = Set(conversion.changes.filter { $0.reason == .uefiVariables }.map(\.difference.description))
        #expect(moved.contains("/\(nvram)/\("_" + variables[0].vendor.uppercased + "One")/data"))
        #expect(moved.contains("/\(nvram)/last_update_time"))
        // What is not understood stays.
        machine.root.set("\(nvram)/strange", .int(1))
        let kept = try machine.converted(to: .v9_0)
        #expect(kept.configuration.root.descendant(nvram) == machine.root.descendant(nvram))
        #expect(kept.uefiVariables == variables)
        #expect(!kept.changes.contains { $0.reason == .uefiVariables })
    }

    /// Takes away or changes each key of the new tree in turn, without the code under test.
    @Test(arguments: Generation.allCases)
    func theProofFindsEveryKeyThatIsLostOrChanged(generation: Generation) throws {
        let old = try machine(generation, .v5_0)
        let conversion = try old.converted(to: .v8_0)
        let new = conversion.configuration.root
        let added = Set(conversion.changes.filter { $0.reason == .added }.map(\.difference.description))
        var found = 0
        func explain(_ root: KeyNode) throws {
            _ = try ConfigurationConversion.explain(old.root, root, from: .v5_0, to: .v8_0)
        }
        try explain(new)
        for key in new.flattened() where !key.path.hasPrefix("/manifest") && !added.contains(key.path) {
            let path = String(key.path.dropFirst())
            var without = new
            without.remove(path)
            #expect(throws: ConfigurationError.self, "\(path) lost") { try explain(without) }
            guard key.value != .node else { continue }
            let other = new.replacing(path, .string("other"))
            #expect(throws: ConfigurationError.self, "\(path) changed") { try explain(other) }
            found += 1
        }
        #expect(found > 60)
        for row in try #require(new["manifest"]).children.filter({ $0.name.hasPrefix("vdev") }) {
            guard case .string(let instance)? = row["instance"]?.value,
                !added.contains("/manifest/vdev{\(instance.uppercased())}")
            else { continue }
            var without = new
            without.remove("manifest/\(row.name)")
            #expect(throws: ConfigurationError.self) { try explain(without) }
            #expect(throws: ConfigurationError.self) {
                try explain(new.replacing("manifest/\(row.name)/name", .string("other")))
            }
        }
    }

    @Test(.enabled(if: Samples.arePresent), arguments: ["gen1-5.0-8bit.xml", "gen2-5.0.xml"])
    func realFilesAreUpgradedWithNothingLost(name: String) throws {
        let bytes = [UInt8](try Data(contentsOf: Samples.directory.appendingPathComponent(name)))
        let old = try VirtualMachineConfiguration(root: ConfigurationXML.parse(bytes).root)
        for target in ConfigurationVersion.known.dropFirst() {
            let conversion = try old.converted(to: target)
            let kept = Set(conversion.configuration.root.flattened())
            // Counted here anew: every old key is there, or is one of those below.
            let gone = Set(old.root.flattened().filter { !$0.path.hasPrefix("/manifest") }).subtracting(kept)
            let changed = gone.filter { !$0.path.contains("/nvram/") && !$0.path.hasSuffix("/VDEVVersion") }
            #expect(changed.map(\.path) == ["/properties/version"])
            // It can be stored as the binary file of the newer version.
            let tree = KeyNode("", children: [conversion.configuration.root])
            let file = try StorageFile.create(tree: tree)
            #expect(try StorageFile(parsing: file.bytes).tree.children == tree.children)
        }
    }

    /// A real file of version 5.0 gets the keys that a real file of version 9.0 has.
    @Test(
        .enabled(if: Samples.arePresent),
        arguments: [
            ("gen1-5.0-8bit.xml", "gen1-9.0.vmcx.tree.txt"), ("gen2-5.0.xml", "gen2-9.0.vmcx.tree.txt"),
        ]
    )
    func anUpgradedRealFileHasTheKeysOfARealNewerFile(old: String, new: String) throws {
        let bytes = [UInt8](try Data(contentsOf: Samples.directory.appendingPathComponent(old)))
        let upgraded = try VirtualMachineConfiguration(root: ConfigurationXML.parse(bytes).root).converted(to: .v9_0)
        let ours = paths(upgraded.configuration)
        let theirs = paths(try VirtualMachineConfiguration(root: Samples.tree(new)))
        #expect(theirs.subtracting(ours).isEmpty)
        // What only a version 5.0 file has, and what comes when a virtual machine runs.
        let own = ["/global_settings/metrics", "/settings/stopped_at_host_shutdown", "/RtcDevice", "HostResource"]
        #expect(ours.subtracting(theirs).filter { path in !own.contains { path.contains($0) } }.isEmpty)
    }
}

/// The comparison of two trees.
@Suite struct ConfigurationDifferenceTests {
    private let tree = KeyNode(
        "configuration",
        children: [
            KeyNode("a", children: [KeyNode("x", .int(1)), KeyNode("x", .int(2)), KeyNode("y", .string("é"))]),
            KeyNode("b", .bool(true)),
        ]
    )

    private func differences(_ change: (inout KeyNode) -> Void) -> [String] {
        var other = tree
        change(&other)
        return ConfigurationDifference.between(tree, other).map { difference in
            let kind = difference.before == nil ? "+" : difference.after == nil ? "-" : "~"
            return kind + difference.description
        }
    }

    @Test func equalTreesHaveNone() { #expect(differences { _ in }.isEmpty) }

    @Test func orderOfDifferentNamesMeansNothingAndThatOfOneNameSomething() {
        #expect(differences { $0.children.reverse() }.isEmpty)
        #expect(differences { $0.children[0].children.swapAt(0, 1) } == ["~/a/x", "~/a/x[2]"])
    }

    @Test func everyKindOfChangeIsFound() {
        #expect(differences { $0.set("b", .bool(false)) } == ["~/b"])
        #expect(differences { $0.set("b", .int(1)) } == ["~/b"])
        #expect(differences { $0.set("a/y", .string("e\u{301}")) } == ["~/a/y"])
        #expect(differences { $0.remove("a/x") } == ["~/a/x", "-/a/x[2]"])
        #expect(differences { $0.set("c/d", .int(1)) } == ["+/c", "+/c/d"])
        #expect(differences { $0.children[1].flags = 2 } == ["~/b"])
        #expect(differences { $0.children[0].children[1].value = .uint(2) } == ["~/a/x[2]"])
        #expect(differences { $0.children.remove(at: 0) } == ["-/a", "-/a/x", "-/a/x[2]", "-/a/y"])
    }

    @Test func namesThatOnlyLookAlikeAreDifferentKeys() {
        let left = KeyNode("c", children: [KeyNode("é", .int(1))])
        let right = KeyNode("c", children: [KeyNode("e\u{301}", .int(1))])
        #expect(ConfigurationDifference.between(left, right).count == 2)
    }
}
