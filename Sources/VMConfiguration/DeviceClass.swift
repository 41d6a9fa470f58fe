import RoostPrimitives

/// A kind of virtual device, as the manifest of a configuration names it.
struct DeviceClass: Hashable, Sendable {
    /// The class; also the instance of a device of which there is only one.
    var id: GUID
    /// The name in the manifest.
    var name: String
    /// The class as text, in lower case.
    private let text: String

    init(_ id: StaticString, _ name: String) {
        // The literals below are the only callers, and a test reads each of them.
        self.id = GUID("\(id)") ?? .zero
        self.name = name
        text = "\(id)"
    }

    /// Whether a text, of a manifest's row, is this class, in either case and with or without braces.
    ///
    /// As if the text had been read as a GUID; but most rows differ in their first digit.
    func isNamed(by other: String) -> Bool {
        if other.utf8.count == 38 { return GUID(other) == id }
        return other.utf8.count == text.utf8.count && text.isPrefix(ofText: other)
    }
}

extension String {
    /// Whether another text begins with this one, which is in lower case, with its ASCII letters in either case.
    func isPrefix(ofText other: String) -> Bool {
        var rest = other.utf8.makeIterator()
        for byte in utf8 {
            guard let found = rest.next() else { return false }
            guard found == byte || (0x41...0x5A ~= found && found | 0x20 == byte) else { return false }
        }
        return true
    }
}

extension DeviceClass {
    static let vmBus = DeviceClass("d41a1872-3740-41ce-a1ee-4522ab82f991", "Microsoft VmBus")
    static let pic = DeviceClass("9edd1639-9bca-40dc-b3a2-07c828da60b5", "Microsoft Emulated PIC")
    static let ioAPIC = DeviceClass("72682fc4-040a-430a-be0b-224574b953fe", "Microsoft Emulated IoAPIC")
    static let pciBus = DeviceClass("84535fad-4d98-4a6a-bdcd-21d5720dc430", "Microsoft Emulated PCI Bus")
    static let isaBus = DeviceClass("4d42d9f7-6531-4f6c-9e46-1f0477876104", "Microsoft Emulated ISA Bus")
    static let powerManagement = DeviceClass(
        "db8b9818-b4bb-4725-b99d-b4612716b6b4",
        "Microsoft Emulated Power Management Device"
    )
    static let firmware = DeviceClass("ac6b8dc1-3257-4a70-b1b2-a9c9215659ad", "Microsoft Virtual BIOS")
    static let clock = DeviceClass("e51b7ef6-4a7f-4780-aaae-d4b291aacd2e", "Microsoft Emulated Real Time Clock")
    static let inputManagement = DeviceClass(
        "de6cdc86-e1fb-4940-801b-c3c1a26c4da4",
        "Microsoft Input Management Device"
    )
    static let rdpEncoder = DeviceClass("9cb98db1-4d09-4538-a192-2d3d8c0b6cdb", "Microsoft Rdp Encoder")
    static let videoMonitor = DeviceClass("ba8735ef-e3a9-4f1b-badd-dbf3a5909915", "Microsoft Video Monitor")
    static let dynamicMemory = DeviceClass(
        "e3c82929-edb4-475e-85a4-29aaa2a30c2d",
        "Microsoft Dynamic Memory Controller"
    )
    static let speaker = DeviceClass("4d46d139-7821-4dc4-98a3-01e98a586a44", "Microsoft Emulated Speaker Device")
    static let superIO = DeviceClass("35b0b12f-a0d7-482f-80a0-f52f1ab3da2e", "Microsoft Emulated SuperIo Device")
    static let pit = DeviceClass("a28e4d02-3323-4148-9569-565930a5cb39", "Microsoft Emulated PIT")
    static let i8042 = DeviceClass("655bc5c5-a784-46b7-81bc-e26328f7eb0e", "Microsoft Emulated I8042 Controller")
    static let dma = DeviceClass("87045ce9-5323-438f-93bb-1e83dcbce18e", "Microsoft Emulated DMA Controller")
    static let videoS3 = DeviceClass("7d80d3db-61ee-4879-8879-5609f1100ad0", "Microsoft Emulated Video S3")
    static let floppy = DeviceClass("8f0d2762-0b00-4e04-af4f-19010527cb93", "Microsoft Emulated Floppy Controller")
    static let serial = DeviceClass("8e3a359f-559a-4b6a-98a9-1690a6100ed7", "Microsoft Emulated Serial Controller")
    static let ide = DeviceClass("83f8638b-8dca-4152-9eda-2ca8b33039b4", "Microsoft Emulated IDE Controller")
    static let debug = DeviceClass("deaeeed3-4119-4b44-95cf-a73604b76971", "Microsoft Synthetic Debug Device")
    static let rdp = DeviceClass("9ed5fd4b-40c3-4de3-8597-98ecd17035da", "Microsoft Synthetic Rdp Device")
    static let guestState = DeviceClass("917bd8cb-3bb6-4124-9383-b7d21ac07f79", "Microsoft Guest Runtime State")
    static let mouse = DeviceClass("58f75a6d-d949-4320-99e1-a2a2576d581c", "Microsoft Synthetic Mouse")
    static let keyboard = DeviceClass("197f74e3-b84b-46de-8ae6-82f1cd181cdc", "Microsoft Synthetic Keyboard")
    static let video = DeviceClass("f3cf6965-e8d3-44a9-9b7d-a04245ea7525", "Microsoft Synthetic Video")
    static let activation = DeviceClass(
        "bc12c717-8898-4688-8ee4-2cd14894f8ea",
        "Microsoft Hyper-V Activation Component"
    )
    static let virtualTPM = DeviceClass("736e6aa9-a3f8-49c0-9550-a963214d259a", "Microsoft Virtual TPM Device")
    static let guestInterface = DeviceClass(
        "6c09bb55-d683-4da0-8931-c9bf705f6480",
        "Microsoft Guest Interface Component"
    )
    static let heartbeat = DeviceClass("84eaae65-2f2e-45f5-9bb5-0e857dc8eb47", "Microsoft Heartbeat Component")
    static let keyValuePairExchange = DeviceClass(
        "2a34b1c2-fd73-4043-8a5b-dd2159bc743f",
        "Microsoft Key-Value Pair Exchange Component"
    )
    static let shutdown = DeviceClass("9f8233ac-be49-4c79-8ee3-e7e1985b2077", "Microsoft Shutdown Component")
    static let timeSynchronization = DeviceClass(
        "2497f4de-e9fa-4204-80e4-4b75c46419c0",
        "Microsoft Time Synchronization Component"
    )
    static let vss = DeviceClass("5ced1297-4598-4915-a5fc-ad21bb4d02a4", "Microsoft VSS Component")
    static let remoteDesktop = DeviceClass("6c5addb9-a11a-4e8e-84cb-e6208201db63", "Microsoft RDV Component")
    static let ethernet = DeviceClass("2fc216b0-d2e2-4967-9b6d-b8a5c9ca2778", "Synthetic Ethernet Port")
    static let scsi = DeviceClass("d422512d-2bf2-4752-809d-7b82b5fcb1b4", "Synthetic SCSI Controller")
}

extension DeviceClass {
    /// The devices that every virtual machine of a generation has, in the order of the manifest.
    static func standard(_ generation: Generation, _ version: ConfigurationVersion) -> [DeviceClass] {
        let integration: [DeviceClass] = [
            .guestInterface, .heartbeat, .keyValuePairExchange, .shutdown, .timeSynchronization, .vss, .remoteDesktop,
        ]
        guard version >= .v6_0 else { return [.mouse, .keyboard, .video, .activation] + integration }
        let guestState: [DeviceClass] = version >= .v9_0 ? [.guestState] : []
        switch generation {
        case .one:
            return [
                .vmBus, .pic, .ioAPIC, .pciBus, .isaBus, .powerManagement, .firmware, .clock, .inputManagement,
                .rdpEncoder, .videoMonitor, .dynamicMemory, .speaker, .superIO, .pit, .i8042, .dma, .videoS3, .floppy,
                .serial, .ide, .debug, .rdp,
            ] + guestState + [.mouse, .keyboard, .video, .activation] + integration
        case .two:
            return [
                .vmBus, .ioAPIC, .powerManagement, .firmware, .clock, .inputManagement, .rdpEncoder, .videoMonitor,
                .dynamicMemory, .serial, .debug, .rdp,
            ] + guestState + [.mouse, .keyboard, .video, .activation]
                + (version.supports(.virtualTPM) ? [.virtualTPM] : []) + integration
        }
    }
}
