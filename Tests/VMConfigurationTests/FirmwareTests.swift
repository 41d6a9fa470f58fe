import HyperVStorage
import RoostPrimitives
import Testing
import VMConfiguration

@Suite struct FirmwareTests {
    @Test func generation1OrdersKindsAndCompletesTheList() throws {
        var configuration = try makeConfiguration(.one)
        #expect(configuration.firmware.bootOrder == [.optical, .hardDrive, .network, .floppy])
        configuration.firmware.bootOrder = [.network, .network, .drive(DriveLocation(.ide, 0, 0))]
        #expect(configuration.firmware.bootOrder == [.network, .optical, .hardDrive, .floppy])
        let boot = configuration.root.descendant("_ac6b8dc1-3257-4a70-b1b2-a9c9215659ad_/boot")
        let stored: [KeyValue] = ["Network", "Optical", "HardDrive", "Floppy"].map { .string($0) }
        #expect(boot?.children.map(\.value) == stored)
        #expect(boot?.children.map(\.name) == ["device0", "device1", "device2", "device3"])
    }

    @Test func generation2OrdersDevicesAndFollowsTheirComingAndGoing() throws {
        var configuration = try makeConfiguration()
        let adapter = BootDevice.networkAdapter(try #require(configuration.networkAdapters.first).id)
        let dvd = DriveLocation(.scsi, 0, 0)
        let disk = DriveLocation(.scsi, 0, 1)
        try configuration.addDrive(Drive(location: dvd, kind: .dvd, path: nil))
        try configuration.addDrive(Drive(location: disk, kind: .hardDisk, path: "/d"))
        #expect(configuration.firmware.bootOrder == [.drive(disk), .drive(dvd), adapter])
        configuration.firmware.bootOrder = [adapter, .drive(dvd)]
        #expect(configuration.firmware.bootOrder == [adapter, .drive(dvd), .drive(disk)])
        #expect(configuration.root.descendant("roost/boot")?.children.count == 3)
        try configuration.removeDrive(at: dvd)
        #expect(configuration.firmware.bootOrder == [adapter, .drive(disk)])
        configuration.firmware.bootOrder = [.drive(disk)]
        #expect(configuration.root.descendant("roost/boot")?.children.count == 2)
        #expect(
            configuration.root.descendant("_ac6b8dc1-3257-4a70-b1b2-a9c9215659ad_/boot/device0")?.value
                == .string("Optical")
        )
    }

    @Test func moreThanTenEntriesKeepTheirOrderWhenTheFileSortsThem() throws {
        var configuration = try makeConfiguration()
        for slot in 0..<12 {
            try configuration.addDrive(Drive(location: DriveLocation(.scsi, 0, slot), kind: .hardDisk, path: "/d"))
        }
        let order = Array(configuration.firmware.bootOrder.reversed())
        configuration.firmware.bootOrder = order
        let roost = try #require(configuration.root.children.firstIndex { $0.name == "roost" })
        let boot = try #require(configuration.root.children[roost].children.firstIndex { $0.name == "boot" })
        configuration.root.children[roost].children[boot].children.sort { $0.name < $1.name }
        #expect(configuration.firmware.bootOrder == order)
    }

    @Test func anEntryThatIsNotThereOrThereTwiceIsRefused() throws {
        let configuration = try makeConfiguration()
        let adapter = BootDevice.networkAdapter(try #require(configuration.networkAdapters.first).id)
        try configuration.checkBootOrder([adapter])
        let missing = #expect(throws: ConfigurationError.self) { try configuration.checkBootOrder([.optical]) }
        #expect(missing?.code == .notFound)
        let twice = #expect(throws: ConfigurationError.self) { try configuration.checkBootOrder([adapter, adapter]) }
        #expect(twice?.code == .invalidValue)
    }

    @Test func theGenerationIDsDigitsAreThoseOfItsText() throws {
        var configuration = try makeConfiguration()
        configuration.root.set("global_settings/devices/generation_id", .string("b7ca8a6ab91ab997147185c9284d42c5"))
        #expect(configuration.vmGenerationID == GUID("B7CA8A6A-B91A-B997-1471-85C9284D42C5"))
        let id = GUID.random()
        configuration.vmGenerationID = id
        #expect(
            configuration.root.descendant("global_settings/devices/generation_id")?.value
                == .string(id.lowercased.split(separator: "-").joined())
        )
        configuration.root.set("global_settings/devices/generation_id", .string("b7ca"))
        #expect(configuration.vmGenerationID == .zero)
    }

    @Test func aTemplateThatCannotBeReadIsNone() throws {
        var configuration = try makeConfiguration()
        let path = "_ac6b8dc1-3257-4a70-b1b2-a9c9215659ad_/secure_boot_template_id"
        configuration.root.set(path, .string("garbled"))
        #expect(configuration.firmware.secureBootTemplate == nil)
        #expect(#expect(throws: ConfigurationError.self) { try configuration.validate() }?.code == .invalidValue)
        configuration.root.remove(path)
        #expect(configuration.firmware.secureBootTemplate == .microsoftWindows)
    }
}

@Suite struct RoostSettingsTests {
    @Test func listsAreReadBackAndEmptyOnesLeaveNoKey() throws {
        var configuration = try makeConfiguration()
        let before = configuration.root
        configuration.roost.diskFormats = ["/b": .vhdx, "/a": .qcow2]
        configuration.roost.secureBootCertificates = [[1, 2], [3]]
        #expect(configuration.roost.diskFormats == ["/b": .vhdx, "/a": .qcow2])
        #expect(configuration.roost.secureBootCertificates == [[1, 2], [3]])
        let disks = try #require(configuration.root.descendant("roost/disk_formats")).children
        #expect(disks.map { $0["pathname"]?.value } == [.string("/a"), .string("/b")])
        configuration.roost = RoostSettings()
        #expect(configuration.root.descendant("roost")?.children.isEmpty == true)
        configuration.root.remove("roost")
        #expect(configuration.root == before)
    }

    @Test func aPathCanChangeItsUnicodeForm() throws {
        let (composed, decomposed) = ("/caf\u{E9}", "/cafe\u{301}")
        var configuration = try makeConfiguration { $0.notes = composed }
        try configuration.addDrive(Drive(location: DriveLocation(.scsi, 0, 0), kind: .hardDisk, path: composed))
        configuration.roost.cloudInitSeedPath = composed
        configuration.roost.diskFormats = [composed: .raw]
        configuration.notes = decomposed
        try configuration.setDrive(Drive(location: DriveLocation(.scsi, 0, 0), kind: .hardDisk, path: decomposed))
        configuration.roost.cloudInitSeedPath = decomposed
        configuration.roost.diskFormats = [decomposed: .raw]
        let texts = configuration.root.flattened().compactMap { key -> [UInt8]? in
            if case .string(let text) = key.value, text.hasPrefix("/caf") { Array(text.utf8) } else { nil }
        }
        #expect(texts == Array(repeating: Array(decomposed.utf8), count: 4))
    }

    @Test func unknownKeysBelowTheNodeStay() throws {
        var configuration = try makeConfiguration()
        configuration.root.set("roost/later_release", .string("x"))
        configuration.root.set("roost/disk_formats/note", .string("y"))
        configuration.roost.diskFormats = ["/a": .raw]
        configuration.roost.diskFormats = [:]
        configuration.roost.cpuModel = "qemu64"
        #expect(configuration.root["roost"]?.children.map(\.name) == ["later_release", "disk_formats", "cpu_model"])
        #expect(configuration.root.descendant("roost/disk_formats/note")?.value == .string("y"))
    }
}
