/// What a virtual machine can do only from some configuration version on.
///
/// A feature asks the virtual machine's version, never the host's age.
public enum Feature: String, Hashable, Sendable, CaseIterable {
    /// Checkpoints for which the guest flushes and freezes its file systems.
    case productionCheckpoints
    /// Network adapters added and removed while the virtual machine runs.
    case hotAddNetworkAdapter
    /// Memory added and removed while the virtual machine runs.
    case hotAddMemory
    /// Secure Boot with another template than that for Windows.
    case linuxSecureBoot
    /// A virtual TPM.
    case virtualTPM
    /// A hypervisor inside the virtual machine.
    case nestedVirtualization
    /// More than 64 processors or 1 TiB of memory.
    case largeVirtualMachine
    /// The guest can hibernate.
    case hibernation

    /// The oldest configuration version that has the feature.
    public var minimumVersion: ConfigurationVersion {
        switch self {
        case .productionCheckpoints, .hotAddNetworkAdapter, .hotAddMemory, .linuxSecureBoot: .v6_0
        case .virtualTPM: .v7_0
        case .nestedVirtualization, .largeVirtualMachine: .v8_0
        case .hibernation: .v9_0
        }
    }

    /// The feature's name inside a sentence, as in "production checkpoints need configuration version 6.0".
    public var title: String {
        switch self {
        case .productionCheckpoints: "production checkpoints"
        case .hotAddNetworkAdapter: "network adapters added while running"
        case .hotAddMemory: "memory added while running"
        case .linuxSecureBoot: "Secure Boot for Linux guests"
        case .virtualTPM: "virtual TPMs"
        case .nestedVirtualization: "nested virtualization"
        case .largeVirtualMachine: "more than 64 processors or 1 TiB of memory"
        case .hibernation: "hibernation"
        }
    }
}

extension ConfigurationVersion {
    /// Whether a virtual machine of this version has a feature.
    public func supports(_ feature: Feature) -> Bool { self >= feature.minimumVersion }

    /// Refuses a feature that this version does not have.
    ///
    /// - Throws: ``ConfigurationError/Code/unsupportedByVersion``, naming the version that is needed.
    public func require(_ feature: Feature) throws(ConfigurationError) {
        guard supports(feature) else {
            throw ConfigurationError(
                .unsupportedByVersion,
                "\(feature.title): the virtual machine has configuration version \(self), "
                    + "version \(feature.minimumVersion) or newer is needed; upgrade it with roost vm update-version"
            )
        }
    }
}
