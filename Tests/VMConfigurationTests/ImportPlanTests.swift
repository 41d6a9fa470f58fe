import HyperVStorage
import RoostPrimitives
import Testing

@testable import VMConfiguration

@Suite struct ImportPlanTests {
    private let recorded = #"C:\Disks\System.vhdx"#

    private func machine(
        _ generation: Generation = .two,
        _ version: ConfigurationVersion = .v8_0,
        path: String? = nil
    ) throws -> VirtualMachineConfiguration {
        var configuration = try makeConfiguration(generation, version)
        let location = try #require(configuration.nextFreeLocation(for: .hardDisk))
        try configuration.addDrive(Drive(location: location, kind: .hardDisk, path: path ?? recorded))
        configuration.root.children.removeAll { $0.name == "roost" }
        return configuration
    }

    private func facts(_ names: [String] = ["System.vhdx"]) -> ImportFacts {
        var facts = ImportFacts()
        facts.folders = [.init(path: "/export", names: names)]
        facts.disksFolder = "/state/Test"
        facts.guestStatePath = "/state/x.vmgs"
        return facts
    }

    private func plan(
        _ configuration: VirtualMachineConfiguration,
        _ mode: ImportChoices.Mode,
        _ facts: ImportFacts? = nil,
        _ change: (inout ImportChoices) -> Void = { _ in }
    ) throws -> ImportPlan {
        var choices = ImportChoices(mode: mode)
        change(&choices)
        return ImportPlan(try ImportSource(root: configuration.root), choices, facts ?? self.facts())
    }

    @Test func restoreKeepsTheIdentifierAndPutsACopyInThePlaceOfTheDisk() throws {
        let configuration = try machine()
        let plan = try plan(configuration, .restore)
        #expect(plan.problems.isEmpty)
        #expect(plan.configuration.id == configuration.id)
        #expect(plan.configuration.vmGenerationID != configuration.vmGenerationID)
        let disk = try #require(plan.disks.first)
        #expect(disk.source == "/export/System.vhdx" && disk.format == .vhdx)
        #expect(disk.target == "/state/Test/System.qcow2")
        #expect(plan.configuration.drives.first?.path == disk.target)
        #expect(plan.configuration.roost.diskFormats == ["/state/Test/System.qcow2": .qcow2])
    }

    @Test(arguments: [ImportChoices.Mode.restore, .register, .copy])
    func whatNamesFilesOfAnotherHostIsForgotten(mode: ImportChoices.Mode) throws {
        var configuration = try machine()
        configuration.spareDisks = ["/etc/x.0123abcd.qcow2"]
        configuration.removedCheckpoints = [.random()]
        configuration.currentCheckpoint = .random()
        configuration.variablesToTake = .random()
        let found = try plan(configuration, mode).configuration
        #expect(found.spareDisks.isEmpty && found.removedCheckpoints.isEmpty)
        #expect(found.currentCheckpoint == nil && found.variablesToTake == nil && found.checkpoint == nil)
    }

    @Test func copyGetsANewIdentifierGenerationIDAndDynamicAddress() throws {
        var configuration = try machine()
        let address = try #require(MACAddress("00-15-5D-01-02-03"))
        let adapter = NetworkAdapter(macAddress: address)
        try configuration.addNetworkAdapter(adapter)
        let plan = try plan(configuration, .copy)
        #expect(plan.problems.isEmpty)
        #expect(plan.configuration.id != configuration.id)
        #expect(plan.configuration.vmGenerationID != configuration.vmGenerationID)
        let new = try #require(plan.configuration.networkAdapter(adapter.id)?.macAddress)
        #expect(new != address)
        // The next plan has another one.
        #expect(
            plan.mapped.contains { $0.contains("a new address") } && !plan.mapped.contains { $0.contains("\(new)") }
        )
    }

    @Test func registerKeepsIdentifierGenerationIDAndTheDiskWhereItLies() throws {
        let configuration = try machine()
        let plan = try plan(configuration, .register)
        #expect(plan.problems.isEmpty)
        #expect(plan.configuration.id == configuration.id)
        #expect(plan.configuration.vmGenerationID == configuration.vmGenerationID)
        #expect(plan.disks.first?.target == nil)
        #expect(plan.configuration.drives.first?.path == "/export/System.vhdx")
        #expect(plan.configuration.roost.diskFormats == ["/export/System.vhdx": .vhdx])
        #expect(plan.warnings.contains { $0.contains("live migration") })
    }

    @Test func registerRefusesVHDAndDisksOfOthers() throws {
        let old = try plan(try machine(path: #"C:\a.vhd"#), .register, facts(["a.vhd"]))
        #expect(old.problems.count == 1 && old.problems[0].contains("VHD"))
        var used = facts()
        used.pathsInUse = ["/export/System.vhdx"]
        #expect(try plan(try machine(), .register, used).problems.count == 1)
    }

    @Test func registerRefusesDisksWhenThoseOfABrokenMachineAreUnknownAndACopyDoesNot() throws {
        var unknown = facts()
        unknown.pathsInUse = nil
        let register = try plan(try machine(), .register, unknown)
        #expect(register.problems.count == 1 && register.problems[0].contains("broken"))
        #expect(try plan(try machine(), .copy, unknown).problems.isEmpty)
    }

    @Test func missingDiskAndCheckpointDiskAreProblems() throws {
        let missing = try plan(try machine(), .restore, facts([]))
        #expect(missing.problems.count == 1 && missing.problems[0].contains("/export/System.vhdx"))
        let checkpoint = try plan(try machine(path: #"C:\a_1.AVHDX"#), .restore, facts(["a_1.AVHDX"]))
        #expect(checkpoint.problems.count == 1 && checkpoint.problems[0].contains("checkpoint"))
    }

    @Test func searchTakesTheRecordedPathThenTheFoldersInOrderThenOtherLetters() {
        var facts = ImportFacts()
        facts.folders = [
            .init(path: "/one", names: ["disk.VHDX"]), .init(path: "/two", names: ["Disk.vhdx", "disk.vhdx"]),
        ]
        facts.usablePaths = ["/vm/Disk.vhdx"]
        #expect(DiskSearch(recordedPath: "/vm/Disk.vhdx", facts: facts).found == "/vm/Disk.vhdx")
        let search = DiskSearch(recordedPath: #"D:\x\Disk.vhdx"#, facts: facts)
        #expect(search.found == "/one/disk.VHDX")
        #expect(search.candidates.map(\.path) == ["/one/disk.VHDX", "/two/Disk.vhdx"])
        #expect(search.candidates.map(\.note) == ["written in other letters", nil])
        facts.usablePaths = []
        facts.refusedPaths = ["/etc/secret.img": "not for guests"]
        let refused = DiskSearch(recordedPath: "/etc/secret.img", facts: facts)
        #expect(refused.found == nil && refused.candidates.first?.note == "not for guests")
    }

    @Test(arguments: [#"C:\VMs\..\.."#, "/", "", #"C:\"#, "a/.."])
    func pathWithoutAFileNameIsFoundNowhere(path: String) {
        #expect(DiskSearch(recordedPath: path, facts: facts([".."])).found == nil)
    }

    @Test func disksOfOneNameGetCopiesOfDifferentNames() throws {
        var configuration = try machine()
        let location = try #require(configuration.nextFreeLocation(for: .hardDisk))
        try configuration.addDrive(Drive(location: location, kind: .hardDisk, path: "/other/system.vhdx"))
        var facts = facts(["System.vhdx"])
        facts.usablePaths = ["/other/system.vhdx"]
        let plan = try plan(configuration, .restore, facts)
        #expect(plan.problems.isEmpty)
        #expect(plan.disks.compactMap(\.target) == ["/state/Test/System.qcow2", "/state/Test/system-2.qcow2"])
    }

    @Test func adapterFindsItsSwitchByIdentifierOrNameElseIsUnplugged() throws {
        let (here, there) = (GUID.random(), GUID.random())
        for (id, name, connects) in [(here, "x", true), (there, "LAN", true), (there, "WAN", false)] {
            var configuration = try machine()
            let adapter = NetworkAdapter(switchID: id, switchName: name)
            try configuration.addNetworkAdapter(adapter)
            var facts = facts()
            facts.switches = [.init(id: here, name: "LAN")]
            let plan = try plan(configuration, .restore, facts)
            let result = try #require(plan.configuration.networkAdapter(adapter.id))
            #expect(result.isConnected == connects)
            #expect(!connects || result.switchID == here)
            #expect(plan.warnings.contains { $0.contains("\"WAN\"") } == !connects)
            #expect(result.macAddress != nil)
        }
    }

    @Test func strangersRoostKeysOpenNoFiles() throws {
        var configuration = try machine()
        configuration.roost.cloudInitSeedPath = "/etc/shadow"
        configuration.roost.cpuModel = "host,x=/etc"
        configuration.roost.machineType = "pc,accel=x"
        configuration.roost.diskFormats = [recorded: .raw]
        let roost = try plan(configuration, .restore).configuration.roost
        #expect(roost.cloudInitSeedPath == nil && roost.cpuModel == nil && roost.machineType == nil)
        #expect(roost.diskFormats.keys.allSatisfy { $0.hasPrefix("/state/") })
    }

    @Test func generationOneStartsWithoutParavirtualDriversAndChoicesCount() throws {
        let one = try plan(try machine(.one), .restore)
        #expect(one.configuration.roost.adapterModel == .e1000)
        #expect(one.configuration.drives.first?.location.controllerType == .ide)
        let two = try plan(try machine(), .restore) {
            $0.diskController = .ahci
            $0.adapterModel = .e1000e
        }
        #expect(two.configuration.roost.diskController == .ahci && two.configuration.roost.adapterModel == .e1000e)
        #expect(try plan(try machine(), .restore).configuration.roost.adapterModel == nil)
    }

    @Test func driveBeyondTheSlotsOfASATAControllerIsAProblem() throws {
        var configuration = try machine()
        let location = DriveLocation(.scsi, 0, 6)
        try configuration.addDrive(Drive(location: location, kind: .dvd, path: nil))
        #expect(try plan(configuration, .restore).problems.isEmpty)
        #expect(try plan(configuration, .restore) { $0.diskController = .ahci }.problems.count == 1)
    }

    @Test func savedStateIsLeftBehindByCopiesAndRefusedByRegistering() throws {
        var facts = facts()
        facts.savedStateFiles = ["/export/x.vsv"]
        #expect(try plan(try machine(), .restore, facts).warnings.contains { $0.contains("saved state") })
        #expect(try plan(try machine(), .register, facts).problems.contains { $0.contains("saved state") })
    }

    @Test func keysWithoutMeaningAreListedAndKept() throws {
        var configuration = try machine()
        configuration.root.set("global_settings/strange", .int(7))
        let plan = try plan(configuration, .restore)
        #expect(plan.keptKeys.contains("global_settings/strange"))
        #expect(!plan.keptKeys.contains { $0.hasPrefix("properties/name") || $0.hasPrefix("manifest") })
        #expect(plan.configuration.root.descendant("global_settings/strange")?.value == .int(7))
    }

    @Test func settingsWithoutEffectAreNamedAndKept() throws {
        #expect(try plan(try machine(), .restore).warnings.allSatisfy { !$0.contains("without effect") })
        var configuration = try machine()
        configuration.memory.dynamicMemoryEnabled = true
        configuration.processors.limit = 50_000
        configuration.firmware.numLock = true
        configuration.automaticCheckpointsEnabled = true
        let plan = try plan(configuration, .restore)
        let warning = try #require(plan.warnings.first { $0.contains("without effect") })
        for name in ["dynamic memory", "limit", "automatic checkpoint", "Num Lock"] {
            #expect(warning.contains(name), "\(warning)")
        }
        for name in ["weight", "reservation", "chassis"] { #expect(!warning.contains(name), "\(warning)") }
        #expect(plan.configuration.processors.limit == 50_000 && plan.configuration.memory.dynamicMemoryEnabled)
    }

    @Test func olderShapeBecomesThatOfVersionFive() throws {
        var root = try machine(.one, .v5_0).root
        root.set("properties/version", .int(512))
        root.remove("properties/subtype")
        for index in root.children.indices where root.children[index].name.hasPrefix("_") {
            root.children[index].update(at: "VDEVVersion") { $0.name = "version" }
        }
        let plan = ImportPlan(try ImportSource(root: root), ImportChoices(mode: .restore), facts())
        #expect(plan.problems.isEmpty)
        #expect(plan.sourceVersion == ConfigurationVersion(rawValue: 512))
        #expect(plan.configuration.version == .v5_0 && plan.configuration.generation == .one)
        #expect(plan.configuration.drives.first?.path == "/state/Test/System.qcow2")
        #expect(
            plan.configuration.root.children.allSatisfy {
                $0["version"] == nil || $0.name == "properties" || $0.name == "manifest"
            }
        )
    }

    @Test func floppyAndHostDrivesLoseTheirMedia() throws {
        var configuration = try machine(.one)
        let floppy = DriveLocation(.floppy, 0, 0)
        if configuration.drive(at: floppy) == nil {
            try configuration.addDrive(Drive(location: floppy, kind: .floppy, path: #"C:\a.vfd"#))
        } else {
            try configuration.setDrive(Drive(location: floppy, kind: .floppy, path: #"C:\a.vfd"#))
        }
        let host = DriveLocation(.ide, 1, 1)
        try configuration.addDrive(Drive(location: host, kind: .other("HDD"), path: "disk 1"))
        let plan = try plan(configuration, .restore)
        #expect(plan.problems.isEmpty)
        #expect(plan.configuration.drive(at: floppy)?.path == nil)
        #expect(plan.configuration.drive(at: host) == nil)
        // Neither was looked for.
        #expect(plan.mapped.contains { $0.hasSuffix(#"C:\a.vfd -> there are none here"#) }, "\(plan.mapped)")
        #expect(plan.mapped.contains { $0.hasSuffix("disk 1 -> detached") }, "\(plan.mapped)")
    }

    @Test func differencingVHDIsToldByItsFooter() {
        var footer = Array("conectix".utf8) + [UInt8](repeating: 0, count: 504)
        footer[63] = 3
        #expect(!VirtualHardDiskFooter.isDifferencing(footer))
        footer[63] = 4
        #expect(VirtualHardDiskFooter.isDifferencing(footer))
        footer[0] = 0
        #expect(!VirtualHardDiskFooter.isDifferencing(footer))
    }
}
