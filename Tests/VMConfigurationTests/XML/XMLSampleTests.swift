import Foundation
import HyperVStorage
import RoostPrimitives
import Testing
import VMConfiguration

/// Version 5.0 files of real Hyper-V: read, rewritten, and every view over them.
@Suite(.enabled(if: Samples.arePresent, "the real files are not here; ROOST_SAMPLES names their folder"))
struct XMLSampleTests {
    private static func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: Samples.directory.appendingPathComponent(name)))
    }

    private func configuration(_ name: String) throws -> VirtualMachineConfiguration {
        try VirtualMachineConfiguration(root: ConfigurationXML.parse(Self.bytes(name)).root)
    }

    @Test func fileOfHyperVIsWrittenAgainByteForByte() throws {
        let bytes = try Self.bytes("gen2-5.0.xml")
        let document = try ConfigurationXML.parse(bytes)
        #expect(document.encoding == .utf16LittleEndian)
        #expect(document.hasByteOrderMark)
        #expect(document.remarks.isEmpty)
        #expect(try ConfigurationXML.serialize(document.root) == bytes)
    }

    @Test func resavedFileKeepsItsTreeAndBecomesUTF16() throws {
        let bytes = try Self.bytes("gen1-5.0-8bit.xml")
        let document = try ConfigurationXML.parse(bytes)
        #expect(document.encoding == .utf8)
        #expect(!document.hasByteOrderMark)
        #expect(document.remarks.map(\.message) == ["the text claims to be UTF-16 and is UTF-8"])
        let written = try ConfigurationXML.serialize(document.root)
        #expect(try ConfigurationXML.parse(written).root == document.root)
        // The file is what Hyper-V wrote but for the encoding, the line ends, and a line end at the end.
        var text = String(decoding: bytes, as: UTF8.self)
        if text.hasSuffix("\n") { text.removeLast() }
        #expect(written == utf16(text.replacing("\n", with: "\r\n")))
    }

    @Test(arguments: ["gen2-5.0.xml", "gen1-5.0-8bit.xml"]) func realFileIsChangedAndReadAgain(name: String) throws {
        var machine = try configuration(name)
        let before = machine.root
        machine.name = "Grüße & <mehr>"
        machine.notes = "one\nline more"
        let written = try ConfigurationXML.serialize(machine.root)
        let again = try ConfigurationXML.parse(written)
        #expect(again.root == machine.root && again.remarks.isEmpty && again.encoding == .utf16LittleEndian)
        let read = try VirtualMachineConfiguration(root: again.root)
        #expect(read.name == machine.name && read.notes == machine.notes)
        // Nothing else is another than before.
        var undone = read
        let original = try VirtualMachineConfiguration(root: before)
        (undone.name, undone.notes) = (original.name, original.notes)
        #expect(undone.root == before)
    }

    @Test func generation1IsReadWhole() throws {
        let machine = try configuration("gen1-5.0-8bit.xml")
        #expect(machine.name == "2012R2")
        #expect(machine.id == GUID("0AA394FA-7C4A-4070-BA32-773D43B28A68"))
        #expect(machine.generation == .one)
        #expect(machine.version == .v5_0)
        #expect(machine.notes.isEmpty)
        #expect(machine.creationTime?.intervals == 130_599_848_804_317_327)
        #expect(machine.lastPoweredOnTime?.intervals == 130_599_954_966_442_599)
        #expect(machine.lastPoweredOffTime?.intervals == 130_599_959_406_707_888)
        #expect(machine.lastStateChangeTime?.intervals == 130_599_962_187_797_355)
        #expect(!machine.isHighlyAvailable)
        #expect(machine.memory == MemorySettings(startup: 1024))
        #expect(machine.processors == ProcessorSettings(count: 1))
        let disk = #"C:\dev\vagrant\Win2k12R2\.vagrant\machines\default\hyperv\disk.vhd"#
        #expect(
            machine.drives == [
                Drive(location: DriveLocation(.ide, 0, 0), kind: .hardDisk, path: disk),
                Drive(location: DriveLocation(.ide, 1, 0), kind: .dvd, path: nil),
                Drive(location: DriveLocation(.floppy, 0, 0), kind: .floppy, path: nil),
            ]
        )
        #expect(machine.scsiControllers.map(\.id) == [GUID("D7A36E9B-9256-4F0D-BE2C-3A13887F7B03")])
        #expect(machine.vmGenerationID == GUID("FD66D691-7BB7-CDBF-9A90-6875A3CF499B"))
        #expect(machine.firmware.bootOrder == BootDevice.defaultOrder)
        #expect(machine.firmware.biosGUID == GUID("7FFEE066-9755-4950-9A16-4C94AC67AD00"))
        #expect(machine.firmware.biosSerialNumber == "1981-9952-3234-1295-3674-7651-98")
        #expect(!machine.firmware.secureBootEnabled)
        #expect(machine.firmware.secureBootTemplate == nil)
        #expect(machine.uefiVariables.isEmpty)
        expectCommon(machine)
        try machine.validate()
    }

    @Test func networkAdapterIsReadWithItsSwitchAndAddress() throws {
        let machine = try configuration("gen1-5.0-8bit.xml")
        let adapter = try #require(machine.networkAdapters.first)
        #expect(machine.networkAdapters.count == 1)
        #expect(adapter.id == GUID("55225880-49C0-4438-9CE2-5A01402FD8CB"))
        #expect(adapter.name == "Network Adapter")
        #expect(!adapter.isLegacy)
        #expect(adapter.macAddress == MACAddress("00-15-5D-01-07-DC"))
        #expect(!adapter.macAddressIsStatic)
        #expect(adapter.isConnected)
        #expect(adapter.switchID == GUID("438B7B13-6180-4155-B7BF-08709CCF234D"))
        #expect(adapter.switchName == "Virtual External Switch")
        #expect(adapter.portID == GUID("87279691-8C7B-4C18-A0CB-52B86BD450D5"))
        let unconnected = try #require(try configuration("gen2-5.0.xml").networkAdapters.first)
        #expect(unconnected.id == GUID("761106CC-1C7C-42CD-B42D-FC1370654EF0"))
        #expect(unconnected.macAddress == nil)
        #expect(!unconnected.isConnected)
        #expect(unconnected.switchID == nil)
    }

    @Test func generation2IsReadWhole() throws {
        let machine = try configuration("gen2-5.0.xml")
        #expect(machine.name == "Default Generation 2")
        #expect(machine.id == GUID("D351C151-DAC7-4042-B434-B72D522C1E4A"))
        #expect(machine.generation == .two)
        #expect(machine.version == .v5_0)
        #expect(machine.creationTime == nil)
        #expect(machine.lastPoweredOnTime == nil)
        #expect(machine.lastPoweredOffTime?.intervals == 133_211_067_952_232_271)
        #expect(machine.memory == MemorySettings(startup: 512))
        #expect(machine.processors == ProcessorSettings(count: 1))
        let location = DriveLocation(.scsi, 0, 0)
        #expect(
            machine.drives == [
                Drive(location: location, kind: .hardDisk, path: #"C:\Disks\Default Generation 2.vhdx"#)
            ]
        )
        #expect(machine.scsiControllers.map(\.id) == [GUID("3AFC77D9-23AB-4C97-BE1C-F47A18CE3B4A")])
        #expect(machine.vmGenerationID == GUID("1A95D6DA-43C4-106A-9D70-1EED72282FDC"))
        #expect(machine.firmware.secureBootEnabled)
        #expect(machine.firmware.secureBootTemplate == .microsoftWindows)
        #expect(machine.firmware.chassisAssetTag == "1379-4884-1922-1522-2688-4168-58")
        #expect(machine.firmware.bootOrder == [.drive(location), .networkAdapter(machine.networkAdapters[0].id)])
        expectCommon(machine)
        try machine.validate()
    }

    /// What both files have in common.
    private func expectCommon(_ machine: VirtualMachineConfiguration) {
        #expect(machine.automaticStartAction == .startIfRunning)
        #expect(machine.automaticStopAction == .save)
        #expect(machine.automaticStartDelay == .zero)
        #expect(machine.checkpointType == .standard)
        #expect(!machine.automaticCheckpointsEnabled)
        #expect(machine.integrationServices.filter { !$0.value }.map(\.key) == [.guestServiceInterface])
        #expect(machine.serialPorts == ["", ""])
        #expect(machine.guestStateFilePath == nil)
        #expect(machine.firmware.pxePreferredProtocol == .ipv4)
        #expect(!machine.firmware.numLock)
        #expect(machine.root.descendant("settings/stopped_at_host_shutdown")?.value == .bool(false))
        #expect(machine.roost == RoostSettings())
    }

    @Test func repeatedElementsOfTheMetricsAreAllThere() throws {
        let metrics = try #require(try configuration("gen2-5.0.xml").root.descendant("global_settings/metrics"))
        #expect(metrics.children.map(\.name) == ["devicetype", "devicetype", "devicetype"])
        let counts = metrics.children.map { type in
            type["deviceinstance"]?.children.count { $0.name == "metric" }
        }
        #expect(counts == [1, 3, 5])
        let codes = metrics.children[1]["deviceinstance"]?.children.compactMap { $0["typecode"]?.value }
        #expect(
            codes == [
                .string("394DCE66-458F-4895-AE56-41D7C9602A49"), .string("FF85EA46-9933-4436-BE5D-C96827399966"),
                .string("04BDF59E-580D-4441-8828-FFFE44472D2D"),
            ]
        )
    }

    @Test func uefiVariablesAreReadInTheOrderOfTheirIndex() throws {
        let variables = try configuration("gen2-5.0.xml").uefiVariables
        #expect(variables.map(\.name) == ["Boot0000", "BootOrder", "Boot0001"])
        let global = GUID("8BE4DF61-93CA-11D2-AA0D-00E098032B8C")
        #expect(variables.allSatisfy { $0.vendor == global && $0.attributes == 7 })
        #expect(variables.map(\.data.count) == [147, 4, 126])
        #expect(variables[1].data == [0, 0, 1, 0])
        #expect(Array(variables[0].data.prefix(8)) == [1, 0, 0, 0, 0x75, 0, 0x45, 0])
        #expect(
            variables.map(\.timestamp) == [[UInt8](repeating: 0, count: 16), nil, [UInt8](repeating: 0, count: 16)]
        )
    }

    @Test func settingTheVariablesThatAreThereChangesOnlyTheTime() throws {
        var machine = try configuration("gen2-5.0.xml")
        let before = machine.root
        // 2023-02-17 11:26:35.192, a Friday: what the file says.
        let time = try #require(FileTime(unixSeconds: 1_676_633_195, nanoseconds: 192_000_000))
        try machine.setUEFIVariables(machine.uefiVariables, at: time)
        #expect(machine.root == before)
    }
}
