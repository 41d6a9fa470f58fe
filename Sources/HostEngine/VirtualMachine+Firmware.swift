import ConfigStore
import Logging
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
        if configuration.roost.renewsVariables {
            // A change of the keys was cut off between the configuration and the store.
            _ = try await renewVariables(configuration, firmware)
        } else {
            try await checkKept(path)
            if !fileExists(path) { try await makeVariables(configuration, firmware, path: path) }
        }
        return path
    }

    /// Makes a fresh variable store as the configuration's Secure Boot settings say, owned by QEMU's user.
    func makeVariables(
        _ configuration: VirtualMachineConfiguration,
        _ firmware: UEFIFirmware,
        path: String
    ) async throws {
        let (user, store) = (host.user, host.store)
        try await fileGate.run {
            try await onDisk {
                try writeVariables(configuration, firmware, to: path, for: user)
                try store.keep(path)
            }
        }
    }

    /// Tells the copy of the variables that QEMU is about to change them.
    func beginUse(ofVariables path: String) async throws {
        let store = host.store
        try await fileGate.run { try await onDisk { try store.beginUse(of: path) } }
    }

    /// Compares a file that QEMU will use with its second copy, puts it right, and sees that it belongs to QEMU's user.
    func checkKept(_ path: String) async throws {
        let (user, store) = (host.user, host.store)
        let isSound = soundness(of: path)
        try await fileGate.run {
            try await onDisk {
                try store.checkKept(path, isSound: isSound)
                // One whose making was cut off may still be roostd's own, too.
                if fileExists(path) { try user.takeOwnership(of: path) }
            }
        }
    }

    /// How the bytes of one of the machine's files are looked at when its copy cannot tell.
    func soundness(of path: String) -> SoundnessCheck {
        guard path == host.directory.guestState(id) else { return { _ in true } }
        return { (try? VariableStore(parsing: $0)) != nil }
    }

    /// Takes the UEFI variables into their second copy, once QEMU has ended.
    func keepVariables() async {
        let (store, user, path) = (host.store, host.user, host.directory.guestState(id))
        let isSound = soundness(of: path)
        await fileGate.run {
            // QEMU has them again, or nobody will.
            guard machine == nil, launching == nil, !isRemoved, fileExists(path) else { return }
            do {
                try await onDisk {
                    try store.keep(path, isSound: isSound)
                    try user.takeOwnership(of: path)
                }
            } catch {
                host.log.error(
                    "cannot copy the UEFI variables",
                    metadata: ["machine": "\(name)", "error": "\(APIError(translating: error))"]
                )
            }
        }
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
        do {
            let known = try await knownVariables(in: path)
            info.trustedAuthorities = known.trustedAuthorities
            info.firmwareBootEntries = known.bootEntries
        } catch  where toleratingDamage {
            // The rest is known all the same.
        }
        return info
    }

    /// What the variable store says; read again when the file has changed.
    private func knownVariables(in path: String) async throws -> KnownVariables {
        let stamp = FileStamp(path)
        if let knownVariables, let stamp, knownVariables.stamp == stamp { return knownVariables }
        let known = try await onDisk {
            let store = try VariableStore(parsing: try FileAccess.read(path))
            return KnownVariables(
                stamp: stamp,
                trustedAuthorities: try store.secureBootState().authorities.map {
                    CertificateInfo(commonName: $0.subject ?? "(no name)", notAfter: timestamp(Int64($0.notAfter)))
                },
                bootEntries: store.bootEntries.map(\.description)
            )
        }
        knownVariables = known
        return known
    }

    /// Changes Secure Boot and the boot order of a machine that is off.
    package func updateFirmware(_ request: UpdateFirmwareRequest) async throws -> FirmwareInfo {
        let changed = try await gate.run {
            try requireOff("change the firmware of")
            return try await changeFirmware(request)
        }
        host.events.publish("vm.changed", virtualMachine: id, subject: name, message: "\(name): firmware changed")
        return try await firmwareInfo(changed)
    }

    private func changeFirmware(_ request: UpdateFirmwareRequest) async throws -> VirtualMachineConfiguration {
        let touchesKeys = request.secureBoot != nil || request.ownCertificates != nil
        let firmware = touchesKeys ? try await checkKeyChange(force: request.force == true) : nil
        let changed = try await commit { configuration in
            var settings = configuration.firmware
            try apply(request.secureBoot, to: &settings, of: configuration)
            if let texts = request.ownCertificates {
                configuration.roost.secureBootCertificates = try texts.flatMap {
                    try Certificate.parse(file: Array($0.utf8)).map(\.der)
                }
            }
            if let order = request.bootOrder {
                settings.bootOrder = try order.map { try bootDevice($0, in: configuration) }
                try configuration.checkBootOrder(settings.bootOrder)
            }
            configuration.firmware = settings
            if let firmware {
                // Keys that cannot be made change nothing.
                _ = try variables(configuration, firmware)
                configuration.roost.renewsVariables = true
            }
        }
        guard let firmware else { return changed }
        return try await renewVariables(changed, firmware)
    }

    /// Refuses new Secure Boot keys where they have no place or would cost the guest something.
    private func checkKeyChange(force: Bool) async throws -> UEFIFirmware {
        let configuration = try await load()
        guard configuration.generation == .two else {
            throw APIError(.unsupported, "\(name) is of generation 1, which has no Secure Boot")
        }
        guard !configuration.roost.virtualMachineHasStarted || force else {
            throw APIError(
                .invalidState,
                "\(name) has started before: new Secure Boot keys replace its variable store, which loses boot entries and "
                    + "keys that the guest enrolled; say --force to do so"
            )
        }
        guard let firmware = host.installation.firmware else {
            throw APIError(
                .unsupported,
                "cannot change the Secure Boot keys of \(name): the host has no UEFI firmware (Debian: apt-get install ovmf)"
            )
        }
        return firmware
    }

    /// Replaces the variable store by one with the configuration's keys, which the configuration says is due; to be called
    /// within the gate.
    private func renewVariables(
        _ configuration: VirtualMachineConfiguration,
        _ firmware: UEFIFirmware
    ) async throws -> VirtualMachineConfiguration {
        try await makeVariables(configuration, firmware, path: host.directory.guestState(id))
        return try await commit { $0.roost.renewsVariables = false }
    }
}

/// Writes a fresh variable store as the configuration's Secure Boot settings say, owned by QEMU's user.
func writeVariables(
    _ configuration: VirtualMachineConfiguration,
    _ firmware: UEFIFirmware,
    to path: String,
    for user: QEMUUser
) throws {
    try FileAccess.write(try variables(configuration, firmware), to: path)
    try user.takeOwnership(of: path)
}

/// The bytes of a fresh variable store as the configuration's Secure Boot settings say.
private func variables(_ configuration: VirtualMachineConfiguration, _ firmware: UEFIFirmware) throws -> [UInt8] {
    let settings = configuration.firmware
    guard settings.secureBootEnabled else { return try FileAccess.read(firmware.plainVariablesPath) }
    guard let template = settings.secureBootTemplate, let keys = SecureBootKeySet(id: template.id) else {
        throw APIError(
            .unsupported,
            "the Secure Boot template \(settings.secureBootTemplate?.description ?? "") is not known here"
        )
    }
    let base = try VariableStore(parsing: try FileAccess.read(firmware.keyedVariablesPath))
    let certificates = try configuration.roost.secureBootCertificates.map { try Certificate(der: $0) }
    return try base.applyingTemplate(keys, certificates: certificates).serialized()
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

/// What is shown of a UEFI variable store.
struct KnownVariables: Sendable {
    /// The state of the file that it was read from; nil when that cannot be relied on.
    var stamp: FileStamp?
    var trustedAuthorities: [CertificateInfo]
    var bootEntries: [String]
}
