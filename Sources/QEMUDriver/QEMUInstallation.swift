package import QMP

/// A QEMU on this host: its program, what it can emulate, and the firmware that goes with it.
package struct QEMUInstallation: Sendable, Hashable {
    package var path: String
    package var version: QEMUVersion
    /// The names of the machine types, as in `pc-q35-7.2`.
    package var machineTypes: Set<String>
    package var firmware: UEFIFirmware?

    package init(path: String, version: QEMUVersion, machineTypes: Set<String>, firmware: UEFIFirmware?) {
        self.path = path
        self.version = version
        self.machineTypes = machineTypes
        self.firmware = firmware
    }
}

/// The version of a QEMU.
package struct QEMUVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    package var major: Int
    package var minor: Int
    package var micro: Int

    package init(_ major: Int, _ minor: Int, _ micro: Int) {
        self.major = major
        self.minor = minor
        self.micro = micro
    }

    package init(_ version: QMPVersion) {
        self.init(Int(clamping: version.major), Int(clamping: version.minor), Int(clamping: version.micro))
    }

    /// Reads what ``description`` writes; nil for anything else.
    package init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
        guard parts.count == 3, let major = parts[0], let minor = parts[1], let micro = parts[2] else { return nil }
        self.init(major, minor, micro)
    }

    package static func < (left: QEMUVersion, right: QEMUVersion) -> Bool {
        (left.major, left.minor, left.micro) < (right.major, right.minor, right.micro)
    }

    package var description: String { "\(major).\(minor).\(micro)" }
}

/// The firmware of generation 2: code with System Management Mode, and empty and key-filled variable stores for it.
package struct UEFIFirmware: Sendable, Hashable {
    /// The read-only code.
    package var codePath: String
    /// A variable store without keys: Secure Boot is off.
    package var plainVariablesPath: String
    /// A variable store with Microsoft's keys, from which the Secure Boot templates are made.
    package var keyedVariablesPath: String

    package init(codePath: String, plainVariablesPath: String, keyedVariablesPath: String) {
        self.codePath = codePath
        self.plainVariablesPath = plainVariablesPath
        self.keyedVariablesPath = keyedVariablesPath
    }

    /// The folders in which Linux distributions place OVMF, with their file names.
    private static let candidates: [UEFIFirmware] = [
        UEFIFirmware(
            codePath: "/usr/share/OVMF/OVMF_CODE_4M.ms.fd",
            plainVariablesPath: "/usr/share/OVMF/OVMF_VARS_4M.fd",
            keyedVariablesPath: "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"
        ),
        UEFIFirmware(
            codePath: "/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd",
            plainVariablesPath: "/usr/share/edk2/ovmf/OVMF_VARS.fd",
            keyedVariablesPath: "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd"
        ),
    ]

    /// The first set of files that is complete.
    package static func find() -> UEFIFirmware? {
        candidates.first {
            fileExists($0.codePath) && fileExists($0.plainVariablesPath) && fileExists($0.keyedVariablesPath)
        }
    }
}

extension QEMUInstallation {
    /// Processor models from the richest to the poorest, each known to every QEMU since 5.2.
    private static let modelsByPreference = [
        "EPYC-Rome", "EPYC", "Icelake-Server-noTSX", "Cascadelake-Server-noTSX", "Skylake-Server-noTSX-IBRS",
        "Broadwell-noTSX", "Haswell-noTSX", "IvyBridge", "SandyBridge", "Westmere", "Nehalem",
    ]

    /// The model that new machines get: a named one, so that another host can offer exactly the same.
    ///
    /// Under software emulation it is `qemu64`, which every QEMU emulates alike; under KVM the richest model of which the
    /// host has every feature, `qemu64` when QEMU does not say.
    package func processorModel(for accelerator: Accelerator, user: QEMUUser) async -> String {
        guard accelerator == .kvm else { return "qemu64" }
        let talk = #"{"execute":"qmp_capabilities"}{"execute":"query-cpu-definitions"}{"execute":"quit"}"#
        let result = try? await Tool(path: path, user: user).run(
            [
                "-machine", "none", "-accel", "kvm", "-nodefaults", "-no-user-config", "-display", "none", "-S",
                "-qmp", "stdio",
            ],
            input: Array(talk.utf8),
            deadline: .seconds(30)
        )
        return Self.richestModel(in: result?.output ?? [])
    }

    /// The first model by preference that QEMU's answer lists without a feature that the host lacks.
    static func richestModel(in output: [UInt8]) -> String {
        var complete: Set<String> = []
        for line in output.split(separator: 10) {
            guard let message = try? JSONValue(parsing: line) else { continue }
            for model in message["return"]?.arrayValue ?? [] {
                if let name = model["name"]?.stringValue, model["unavailable-features"]?.arrayValue?.isEmpty == true {
                    complete.insert(name)
                }
            }
        }
        return modelsByPreference.first { complete.contains($0) } ?? "qemu64"
    }

    /// Asks a QEMU what it is, by starting it without a machine.
    ///
    /// - Throws: `EngineError` `.notFound` when there is no program at the path, `.failed` when it does not answer.
    package static func inspect(path: String, user: QEMUUser) async throws -> QEMUInstallation {
        guard fileExists(path) else {
            throw EngineError(
                .notFound,
                "QEMU is not at \(path): install it (Debian: apt-get install qemu-system-x86) or name it with --qemu"
            )
        }
        let talk = #"{"execute":"qmp_capabilities"}{"execute":"query-machines"}{"execute":"quit"}"#
        let result = try await Tool(path: path, user: user).run(
            ["-machine", "none", "-nodefaults", "-no-user-config", "-display", "none", "-S", "-qmp", "stdio"],
            input: Array(talk.utf8),
            deadline: .seconds(30)
        )
        var session = QMPSession()
        var version: QEMUVersion?
        var machines: Set<String> = []
        for line in result.output.split(separator: 10) {
            guard let message = try? JSONValue(parsing: line) else { continue }
            if message["QMP"] != nil {
                for case .send in session.receive(Array(line) + [10]) {}
                version = session.greeting.map { QEMUVersion($0.version) }
            }
            for machine in message["return"]?.arrayValue ?? [] {
                if let name = machine["name"]?.stringValue { machines.insert(name) }
                if let alias = machine["alias"]?.stringValue { machines.insert(alias) }
            }
        }
        guard let version, !machines.isEmpty else {
            throw EngineError(
                .failed,
                "\(path) does not answer as QEMU does (\(result.end))",
                cause: result.errors.isEmpty ? nil : result.errors
            )
        }
        return QEMUInstallation(path: path, version: version, machineTypes: machines, firmware: UEFIFirmware.find())
    }
}
