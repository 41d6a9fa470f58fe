package import HyperVStorage
import RoostPrimitives

/// What importing a configuration of another host comes to: decided from the file's tree and the files around it.
///
/// Nothing is read or written here; ``problems`` must be empty before anybody acts on the plan.
package struct ImportPlan: Hashable, Sendable {
    /// A drive with a medium.
    package struct Disk: Hashable, Sendable {
        /// Where the drive is.
        package var location: DriveLocation
        /// What it is.
        package var kind: Drive.Kind
        /// The path in the file.
        package var recordedPath: String
        /// Where the file was looked for.
        package var candidates: [DiskSearch.Candidate]
        /// The file that was found.
        package var source: String?
        /// Its format.
        package var format: ImportFormat?
        /// The path of the copy to make; nil when the file is used where it lies, or not at all.
        package var target: String?
        /// The format of the copy.
        package var targetFormat: RoostSettings.DiskFormat?
    }

    /// The configuration as it will be stored.
    package var configuration: VirtualMachineConfiguration
    /// The version that the file has, which may be older than any that runs.
    package var sourceVersion: ConfigurationVersion
    /// The drives with a medium, in the order of their locations.
    package var disks: [Disk] = []
    /// What the configuration comes to here, one line for each thing.
    package var mapped: [String] = []
    /// The adapters that get a new address, which their original has not.
    var newAddresses: Set<GUID> = []
    /// The paths of keys without a meaning here; they are kept.
    package var keptKeys: [String] = []
    /// What is not as it was: one sentence each.
    package var warnings: [String] = []
    /// Why the import cannot be done: one sentence each.
    package var problems: [String] = []
    /// UEFI variables of the XML form that have a meaning for this firmware.
    package var uefiVariables: [UEFIVariable] = []
}

/// A configuration of another host, read but not yet adapted to this one.
package struct ImportSource: Hashable, Sendable {
    /// The configuration, in the shape of version 5.0 if it is older.
    package var configuration: VirtualMachineConfiguration
    /// The version in the file.
    package var version: ConfigurationVersion

    /// Takes the tree of a file.
    ///
    /// - Throws: ``ConfigurationError`` as ``VirtualMachineConfiguration/init(root:)``.
    package init(root: KeyNode) throws(ConfigurationError) {
        if let old = LegacyShape.version(of: root) {
            version = old
            configuration = try VirtualMachineConfiguration(root: LegacyShape.modernized(root))
        } else {
            configuration = try VirtualMachineConfiguration(root: root)
            version = configuration.version
        }
    }

    /// The paths that the drives have in the file.
    package var recordedPaths: [String] { configuration.drives.compactMap(\.path) }
}

extension ImportPlan {
    /// Plans an import.
    package init(_ source: ImportSource, _ choices: ImportChoices, _ facts: ImportFacts) {
        configuration = source.configuration
        sourceVersion = source.version
        if source.version < .v5_0 {
            warnings.append(
                "version \(source.version) is older than 5.0: the configuration is taken over in the shape of 5.0 as far "
                    + "as both agree"
            )
        }
        keptKeys = Self.keysWithoutMeaning(source.configuration.root)
        takeIdentity(choices)
        configuration.forgetCheckpoints()
        takeHardware(choices, facts)
        takeDrives(source, choices, facts)
        takeAdapters(choices, facts)
        takeSavedState(source, choices, facts)
        if !facts.hasGuestState { takeUEFIVariables() }
        do {
            try configuration.validate()
        } catch {
            problems.append(error.message)
        }
        describe()
    }

    private mutating func takeIdentity(_ choices: ImportChoices) {
        if choices.mode == .copy { configuration.id = choices.newID }
        // Whoever uses the identifier must notice that the disks may have gone back in time.
        if choices.mode != .register { configuration.vmGenerationID = choices.newGenerationID }
        if let name = choices.name { configuration.name = name }
        if configuration.isHighlyAvailable {
            configuration.isHighlyAvailable = false
            warnings.append("no cluster keeps the virtual machine running here")
        }
        let unheeded = Self.unheeded(configuration)
        if !unheeded.isEmpty {
            warnings.append("kept, but without effect in this release: \(unheeded.joined(separator: ", "))")
        }
    }

    /// Takes what only Roost writes as far as it may come from a stranger, and chooses the emulated hardware.
    private mutating func takeHardware(_ choices: ImportChoices, _ facts: ImportFacts) {
        let isFromRoost = configuration.root["roost"] != nil
        var roost = configuration.roost
        if roost.cloudInitSeedPath != nil {
            roost.cloudInitSeedPath = nil
            warnings.append("the cloud-init seed stays behind; a guest that has started once does not need it")
        }
        let isPlain = { (text: String) in
            text.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                    || Array("-_.".utf8).contains(byte)
            }
        }
        if let model = roost.cpuModel, !isPlain(model) || choices.mode == .copy { roost.cpuModel = nil }
        if let type = roost.machineType, !isPlain(type) { roost.machineType = nil }
        roost.renewsVariables = false
        roost.diskFormats = [:]
        if let controller = choices.diskController { roost.diskController = controller }
        if let model = choices.adapterModel {
            roost.adapterModel = model
        } else if configuration.generation == .one, !isFromRoost {
            // Its guest has no paravirtual driver for an adapter that is not Hyper-V's.
            roost.adapterModel = .e1000
        }
        configuration.roost = roost
        configuration.guestStateFilePath = configuration.generation == .two ? facts.guestStatePath : nil
    }

    private mutating func takeSavedState(_ source: ImportSource, _ choices: ImportChoices, _ facts: ImportFacts) {
        let isNoted = source.configuration.root.children.contains { $0.name == "savedstate" && $0.saysSomething }
        guard isNoted || !facts.savedStateFiles.isEmpty else { return }
        let files = facts.savedStateFiles.isEmpty ? "" : " (\(facts.savedStateFiles.joined(separator: ", ")))"
        if choices.mode == .register {
            problems.append(
                "it has a saved state\(files), which only Hyper-V can resume: resume it there and shut it down, or import a "
                    + "copy of the disks"
            )
        } else {
            configuration.root.children.removeAll { $0.name == "savedstate" }
            warnings.append(
                "the saved state\(files) is not taken over, only Hyper-V can resume it: the guest will find its disks as "
                    + "after a power cut"
            )
        }
    }

    private mutating func takeUEFIVariables() {
        let variables = configuration.uefiVariables
        uefiVariables = variables.filter(\.hasMeaningHere) + UEFIVariable.portableBootEntries(variables)
        let others = variables.count - uefiVariables.count
        if others > 0 {
            warnings.append(
                "\(others) UEFI variables describe Hyper-V's own devices or keys and are not given to the firmware, which "
                    + "makes entries for its devices itself"
            )
        }
    }
}

extension UEFIVariable {
    /// Whether the variable says something to a firmware with other devices: not the boot entries, consoles and keys of
    /// the UEFI specification's own namespaces, which this host makes itself, and nothing that needs a signature.
    fileprivate var hasMeaningHere: Bool {
        let imageSecurity = GUID("D719B2CB-3D3A-4596-A3BC-DAD00E67656F")
        return canBeGiven && vendor != Self.globalVendor && vendor != imageSecurity
    }

    /// Whether the variable outlasts a reset, and is not authenticated in any of the three ways.
    var canBeGiven: Bool { attributes & 0x01 != 0 && attributes & 0xB0 == 0 }
}
