import ConfigStore
import QEMUDriver
package import RoostAPI
import RoostPrimitives
import UEFIVariables
import VMConfiguration

extension VirtualMachine {
    /// The path of the variable store, made when it does not exist yet.
    func prepareVariables(
        _ configuration: VirtualMachineConfiguration,
        _ firmware: UEFIFirmware
    ) async throws -> String {
        let path = host.directory.guestState(id)
        if fileExists(path) {
            // A store whose making was cut off may still be roostd's own.
            try host.user.takeOwnership(of: path)
        } else {
            try await makeVariables(configuration, firmware, path: path)
        }
        return path
    }

    /// Makes a fresh variable store as the configuration's Secure Boot settings say, owned by QEMU's user.
    func makeVariables(
        _ configuration: VirtualMachineConfiguration,
        _ firmware: UEFIFirmware,
        path: String
    ) async throws {
        let user = host.user
        try await onDisk { try writeVariables(configuration, firmware, to: path, for: user) }
    }

    /// What `roost firmware show` shows.
    package func firmwareInfo() async throws -> FirmwareInfo {
        try await firmwareInfo(try await load())
    }

    /// - Parameter toleratingDamage: Leaves out what a variable store that cannot be read would say; a running guest may
    ///   be writing it at this moment.
    func firmwareInfo(
        _ configuration: VirtualMachineConfiguration,
        toleratingDamage: Bool = false
    ) async throws -> FirmwareInfo {
        let settings = configuration.firmware
        let isUEFI = configuration.generation == .two
        var info = FirmwareInfo(
            type: isUEFI ? "UEFI" : "BIOS",
            secureBoot: isUEFI ? settings.secureBootEnabled : nil,
            secureBootTemplate: isUEFI ? settings.secureBootTemplate?.description : nil,
            trustedAuthorities: [],
            bootOrder: settings.bootOrder.map(\.description),
            firmwareBootEntries: [],
            hasStarted: configuration.roost.virtualMachineHasStarted
        )
        let path = host.directory.guestState(id)
        guard isUEFI, fileExists(path) else { return info }
        let store: VariableStore
        do {
            store = try await onDisk { try VariableStore(parsing: try FileAccess.read(path)) }
        } catch  where toleratingDamage {
            return info
        }
        info.trustedAuthorities = try store.secureBootState().authorities.map {
            CertificateInfo(commonName: $0.subject ?? "(no name)", notAfter: timestamp(Int64($0.notAfter)))
        }
        info.firmwareBootEntries = store.bootEntries.map(\.description)
        return info
    }

    /// Changes Secure Boot and the boot order of a machine that is off.
    package func updateFirmware(_ request: UpdateFirmwareRequest) async throws -> FirmwareInfo {
        try requireOff("change the firmware of")
        let changed = try await changeFirmware(request)
        host.events.publish("vm.changed", virtualMachine: id, subject: name, message: "\(name): firmware changed")
        return try await firmwareInfo(changed)
    }

    private func changeFirmware(_ request: UpdateFirmwareRequest) async throws -> VirtualMachineConfiguration {
        let name = name
        let touchesKeys = request.secureBoot != nil || request.ownCertificates != nil
        let before = try await load()
        if touchesKeys && before.generation == .one {
            throw APIError(.unsupported, "\(name) is of generation 1, which has no Secure Boot")
        }
        if touchesKeys && before.roost.virtualMachineHasStarted && request.force != true {
            throw APIError(
                .invalidState,
                "\(name) has started before: new Secure Boot keys replace its variable store, which loses boot entries and "
                    + "keys that the guest enrolled; say --force to do so"
            )
        }
        let (firmware, variables, user) = (host.installation.firmware, host.directory.guestState(id), host.user)
        let changed = try await updateConfiguration { configuration in
            var settings = configuration.firmware
            try apply(request.secureBoot, to: &settings, of: configuration)
            if let texts = request.ownCertificates {
                var roost = configuration.roost
                roost.secureBootCertificates = try texts.flatMap {
                    try Certificate.parse(file: Array($0.utf8)).map(\.der)
                }
                configuration.roost = roost
            }
            if let order = request.bootOrder {
                settings.bootOrder = try order.map { try bootDevice($0, in: configuration) }
                try configuration.checkBootOrder(settings.bootOrder)
            }
            configuration.firmware = settings
            // Before the configuration, so that keys that cannot be made change nothing.
            if touchesKeys, let firmware { try writeVariables(configuration, firmware, to: variables, for: user) }
        }
        return changed
    }
}

/// Writes a fresh variable store as the configuration's Secure Boot settings say, owned by QEMU's user.
private func writeVariables(
    _ configuration: VirtualMachineConfiguration,
    _ firmware: UEFIFirmware,
    to path: String,
    for user: QEMUUser
) throws {
    let settings = configuration.firmware
    let bytes: [UInt8]
    if settings.secureBootEnabled {
        guard let template = settings.secureBootTemplate, let keys = SecureBootKeySet(id: template.id) else {
            throw APIError(
                .unsupported,
                "the Secure Boot template \(settings.secureBootTemplate?.description ?? "") is not known here"
            )
        }
        let base = try VariableStore(parsing: try FileAccess.read(firmware.keyedVariablesPath))
        let certificates = try configuration.roost.secureBootCertificates.map { try Certificate(der: $0) }
        bytes = try base.applyingTemplate(keys, certificates: certificates).serialized()
    } else {
        bytes = try FileAccess.read(firmware.plainVariablesPath)
    }
    try FileAccess.write(bytes, to: path)
    try user.takeOwnership(of: path)
}

/// Reads `off`, `on` or a template's name into firmware settings.
func apply(
    _ secureBoot: String?,
    to settings: inout FirmwareSettings,
    of configuration: VirtualMachineConfiguration
) throws {
    guard let secureBoot else { return }
    switch secureBoot.lowercased() {
    case "off": settings.secureBootEnabled = false
    case "on":
        settings.secureBootEnabled = true
        if settings.secureBootTemplate == nil { settings.secureBootTemplate = .microsoftWindows }
    default:
        settings.secureBootTemplate = try secureBootTemplate(secureBoot, version: configuration.version)
        settings.secureBootEnabled = true
    }
}

/// The template with a name, when the configuration version has it.
func secureBootTemplate(_ name: String, version: ConfigurationVersion) throws -> SecureBootTemplate {
    guard let template = SecureBootTemplate(name: name) else {
        let known = SecureBootTemplate.all.compactMap(\.name).joined(separator: ", ")
        throw APIError(.invalidArgument, "there is no Secure Boot template \"\(name)\": choose \(known), or off")
    }
    if template != .microsoftWindows && !version.supports(.linuxSecureBoot) {
        throw APIError(
            .unsupported,
            "the Secure Boot template \(name) needs configuration version "
                + "\(Feature.linuxSecureBoot.minimumVersion), this is \(version)"
        )
    }
    return template
}

private func bootDevice(_ text: String, in configuration: VirtualMachineConfiguration) throws -> BootDevice {
    if let device = BootDevice(text) { return device }
    if let adapter = configuration.networkAdapters.first(where: { $0.name == text }) {
        return .networkAdapter(adapter.id)
    }
    throw APIError(
        .invalidArgument,
        "\"\(text)\" is no boot device: name a drive as in scsi:0:0, a network adapter, or for generation 1 one of "
            + "HardDrive, Optical, Network, Floppy"
    )
}
