import HyperVStorage
public import RoostPrimitives

/// A virtual machine's firmware: BIOS in Generation 1, UEFI in Generation 2.
public struct FirmwareSettings: Hashable, Sendable {
    /// Which Internet protocol a boot from the network prefers.
    public enum PXEProtocol: Int, Hashable, Sendable, CaseIterable {
        /// IPv4.
        case ipv4 = 4
        /// IPv6.
        case ipv6 = 6
    }

    /// Whether Generation 2 starts only loaders whose signature it trusts.
    public var secureBootEnabled = false
    /// Whose signatures are trusted; nil for none set, as in Generation 1.
    public var secureBootTemplate: SecureBootTemplate?
    /// What is tried in which order; see ``BootDevice``.
    public var bootOrder: [BootDevice] = []
    /// The system's UUID in SMBIOS.
    public var biosGUID: GUID = .zero
    /// The system's serial number in SMBIOS.
    public var biosSerialNumber = ""
    /// The base board's serial number in SMBIOS.
    public var baseBoardSerialNumber = ""
    /// The chassis' serial number in SMBIOS.
    public var chassisSerialNumber = ""
    /// The chassis' asset tag in SMBIOS.
    public var chassisAssetTag = ""
    /// Whether Num Lock is on at start; Generation 1.
    public var numLock = false
    /// Whether the firmware stops when nothing boots, instead of starting over.
    public var pauseAfterBootFailure = false
    /// Which Internet protocol a boot from the network prefers.
    public var pxePreferredProtocol: PXEProtocol = .ipv4

    /// Firmware without Secure Boot and without identity.
    public init() {}
}

extension VirtualMachineConfiguration {
    /// The firmware.
    ///
    /// The boot order of Generation 1 has each of the four kinds once. That of Generation 2 has each drive and each
    /// network adapter once: first those that were set, as far as they still exist, then hard disks, DVD drives and
    /// network adapters. Setting it drops entries that do not belong to the generation and repetitions.
    ///
    /// A Generation 2 virtual machine whose file names no template, as of version 5.0, has that for Windows.
    public var firmware: FirmwareSettings {
        get {
            var firmware = FirmwareSettings()
            firmware.secureBootEnabled = root[FirmwareKeys.secureBootEnabled]
            firmware.secureBootTemplate = secureBootTemplate
            firmware.bootOrder = bootOrder
            firmware.biosGUID = GUID(root[FirmwareKeys.biosGUID]) ?? .zero
            firmware.biosSerialNumber = root[FirmwareKeys.biosSerialNumber]
            firmware.baseBoardSerialNumber = root[FirmwareKeys.baseBoardSerialNumber]
            firmware.chassisSerialNumber = root[FirmwareKeys.chassisSerialNumber]
            firmware.chassisAssetTag = root[FirmwareKeys.chassisAssetTag]
            firmware.numLock = root[FirmwareKeys.numLock]
            firmware.pauseAfterBootFailure = root[FirmwareKeys.pauseAfterBootFailure]
            firmware.pxePreferredProtocol = root[FirmwareKeys.pxePreferredProtocol]
            return firmware
        }
        set {
            root[FirmwareKeys.secureBootEnabled] = newValue.secureBootEnabled
            if newValue.secureBootTemplate != secureBootTemplate {
                root[FirmwareKeys.secureBootTemplate] = (newValue.secureBootTemplate?.id ?? .zero).uppercased
            }
            setBootOrder(newValue.bootOrder)
            if newValue.biosGUID != GUID(root[FirmwareKeys.biosGUID]) ?? .zero {
                root[FirmwareKeys.biosGUID] = ConfigurationTemplate.biosGUID(newValue.biosGUID, version: version)
            }
            root[FirmwareKeys.biosSerialNumber] = newValue.biosSerialNumber
            root[FirmwareKeys.baseBoardSerialNumber] = newValue.baseBoardSerialNumber
            root[FirmwareKeys.chassisSerialNumber] = newValue.chassisSerialNumber
            root[FirmwareKeys.chassisAssetTag] = newValue.chassisAssetTag
            root[FirmwareKeys.numLock] = newValue.numLock
            root[FirmwareKeys.pauseAfterBootFailure] = newValue.pauseAfterBootFailure
            root[FirmwareKeys.pxePreferredProtocol] = newValue.pxePreferredProtocol
        }
    }

    /// The VM-Generation ID: it changes whenever the virtual machine could have gone back in time or been copied.
    ///
    /// The file holds 32 hexadecimal digits; they are the digits of the identifier's text form without its hyphens.
    /// Zero when the file has none.
    public var vmGenerationID: GUID {
        get {
            let digits = Array(root[FirmwareKeys.generationID].utf8)
            guard digits.count == 32 else { return .zero }
            let groups = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(decoding: digits[$0], as: UTF8.self) }
            return GUID(groups.joined(separator: "-")) ?? .zero
        }
        set {
            guard newValue != vmGenerationID else { return }
            root[FirmwareKeys.generationID] = newValue.lowercased.filter { $0 != "-" }
        }
    }

    /// Refuses a boot order with an entry that the virtual machine does not have, or has twice.
    ///
    /// - Throws: ``ConfigurationError`` with the code `notFound` or `invalidValue`, naming the entry.
    public func checkBootOrder(_ order: [BootDevice]) throws(ConfigurationError) {
        let available = Set(defaultBootOrder)
        var seen: Set<BootDevice> = []
        for entry in order {
            guard available.contains(entry) else {
                throw ConfigurationError(
                    .notFound,
                    "boot order of \(name): there is no \(entry); there are "
                        + defaultBootOrder.map(\.description).joined(separator: ", ")
                )
            }
            guard seen.insert(entry).inserted else {
                throw ConfigurationError(.invalidValue, "boot order of \(name): \(entry) is in it twice")
            }
        }
    }

    /// Whether Secure Boot is on; ``firmware`` says the same and much more.
    var hasSecureBoot: Bool { root[FirmwareKeys.secureBootEnabled] }

    var secureBootTemplate: SecureBootTemplate? {
        guard root.descendant(FirmwareKeys.secureBootTemplate.path) != nil else {
            return generation == .two ? .microsoftWindows : nil
        }
        guard let id = GUID(root[FirmwareKeys.secureBootTemplate]), id != .zero else { return nil }
        return SecureBootTemplate(id: id)
    }
}

extension VirtualMachineConfiguration {
    private var bootOrder: [BootDevice] { completeBootOrder(storedBootOrder) }

    private var storedBootOrder: [BootDevice] {
        guard let node = root.descendant(bootOrderPath) else { return [] }
        return (0..<min(node.children.count, Limits.bootDevices)).compactMap { index in
            node["device\(index)"]?.value.asString.flatMap { BootDevice($0) }
        }
    }

    private var bootOrderPath: String {
        generation == .one ? "\(KeyNode.deviceName(DeviceClass.firmware.id))/boot" : "roost/boot"
    }

    private var defaultBootOrder: [BootDevice] {
        guard generation == .two else { return BootDevice.defaultOrder }
        let drives = drives
        return drives.filter { $0.kind != .dvd }.map { .drive($0.location) }
            + drives.filter { $0.kind == .dvd }.map { .drive($0.location) }
            + networkAdapters.map { .networkAdapter($0.id) }
    }

    /// The entries that exist, once each, and behind them those that are missing.
    private func completeBootOrder(_ order: [BootDevice]) -> [BootDevice] {
        let available = defaultBootOrder
        let existing = Set(available)
        var seen: Set<BootDevice> = []
        return (order.filter(existing.contains) + available).filter { seen.insert($0).inserted }
    }

    private mutating func setBootOrder(_ order: [BootDevice]) {
        let order = completeBootOrder(order)
        guard order != bootOrder else { return }
        let path = bootOrderPath
        for (index, entry) in order.enumerated() {
            root.assign(.string(entry.description), at: "\(path)/device\(index)")
        }
        root.update(at: path) { node in
            node.children.removeAll { child in
                child.name.hasPrefix("device") && Int(child.name.dropFirst(6)).map { $0 >= order.count } == true
            }
        }
    }
}

private enum FirmwareKeys {
    static let secureBootEnabled = ConfigurationKey<Bool>(path("secure_boot_enabled"), absent: false)
    static let secureBootTemplate = ConfigurationKey<String>(path("secure_boot_template_id"))
    static let biosGUID = ConfigurationKey<String>(path("bios_guid"))
    static let biosSerialNumber = ConfigurationKey<String>(path("bios_serial_number"))
    static let baseBoardSerialNumber = ConfigurationKey<String>(path("base_board/serial_number"))
    static let chassisSerialNumber = ConfigurationKey<String>(path("chassis/serial_number"))
    static let chassisAssetTag = ConfigurationKey<String>(path("chassis/asset_tag"))
    static let numLock = ConfigurationKey<Bool>(path("num_lock"), absent: false)
    static let pauseAfterBootFailure = ConfigurationKey<Bool>(path("pause_after_boot_failure"), absent: false)
    static let pxePreferredProtocol = ConfigurationKey<FirmwareSettings.PXEProtocol>(
        choice: path("pxe_preferred_protocol"),
        absent: .ipv4
    )
    static let generationID = ConfigurationKey<String>("global_settings/devices/generation_id")

    private static func path(_ key: String) -> String { "\(KeyNode.deviceName(DeviceClass.firmware.id))/\(key)" }
}
