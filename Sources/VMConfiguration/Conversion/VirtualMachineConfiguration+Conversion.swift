import HyperVStorage
import RoostPrimitives

extension VirtualMachineConfiguration {
    /// The same virtual machine in a newer configuration version.
    ///
    /// Every key of the old tree is in the new one with its value, except those that
    /// ``ConfigurationConversion/changes`` lists; the comparison is made anew from both trees. What the newer version
    /// has beyond the older one comes with the values of a new virtual machine. The virtual hardware is pinned no
    /// more, so that the next start pins that of the new version; the processor stays as it is pinned.
    ///
    /// The result depends on nothing but the configuration and the arguments.
    ///
    /// - Parameter guestStateFilePath: Where the file with UEFI variables and TPM state is; only version 9.0 has a key
    ///   for it.
    /// - Throws: ``ConfigurationError`` with the code `unknownVersion` for a version that this release does not know,
    ///   `invalidValue` for one that is not newer, and for a virtual machine with a saved state, `lossyConversion` when
    ///   a key would be lost.
    public func converted(
        to target: ConfigurationVersion,
        guestStateFilePath: String = ""
    ) throws(ConfigurationError) -> ConfigurationConversion {
        try checkConversion(to: target)
        var machine = NewVirtualMachine(name: name, generation: generation, version: target)
        machine.guestStateFilePath = guestStateFilePath
        var upgrade = ConfigurationUpgrade(machine: machine, source: version)
        upgrade.secureBootTemplate = firmware.secureBootTemplate
        let variables = version.fileFormat == .xml && target.fileFormat != .xml ? uefiVariables : []
        let converted = try VirtualMachineConfiguration(root: upgrade.upgraded(self))
        return ConfigurationConversion(
            configuration: converted,
            changes: try ConfigurationConversion.explain(root, converted.root, from: version, to: target),
            uefiVariables: variables
        )
    }

    private func checkConversion(to target: ConfigurationVersion) throws(ConfigurationError) {
        guard target.isKnown else {
            throw ConfigurationError(
                .unknownVersion,
                "upgrade \(name): configuration version \(target) is not known here; known are "
                    + ConfigurationVersion.known.map(\.description).joined(separator: ", ")
            )
        }
        guard target > version else {
            throw ConfigurationError(
                .invalidValue,
                "upgrade \(name) to version \(target): it has version \(version), and no version can be made older"
            )
        }
        guard !hasSavedState else {
            throw ConfigurationError(
                .invalidValue,
                "upgrade \(name) to version \(target): it has a saved state, which a newer version cannot resume; "
                    + "start it and shut it down, or delete the saved state"
            )
        }
    }

    /// Whether the configuration of a version that keeps it there says where a saved state is.
    private var hasSavedState: Bool {
        version.fileFormat == .xml && root.children.contains { $0.name == "savedstate" && $0.saysSomething }
    }
}

extension KeyNode {
    /// Whether the key or one below it has another value than an empty text.
    var saysSomething: Bool {
        switch value {
        case .node: children.contains(where: \.saysSomething)
        case .string(let text): !text.isEmpty
        default: true
        }
    }
}
