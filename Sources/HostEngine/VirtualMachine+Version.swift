import ConfigStore
import QEMUDriver
package import RoostAPI
import RoostPrimitives
import VMConfiguration

extension VirtualMachine {
    /// Upgrades the configuration version, one way, or says what an upgrade would do.
    ///
    /// The old file stays sealed beside the new one. A cut at any step leaves the old or the new version, whole.
    package func updateVersion(_ request: UpdateVersionRequest) async throws -> VersionUpdate {
        let target = try targetVersion(request.version)
        let update = try await gate.run {
            try requireUsable("upgrade")
            try requireDisksAtRest("upgrade")
            let configuration = try await load()
            var update = VersionUpdate(
                name: name,
                from: configuration.version.description,
                to: target.description
            )
            update.blockers = blockers(configuration, target)
            guard update.blockers.isEmpty else { return update }
            let conversion = try configuration.converted(
                to: target,
                guestStateFilePath: host.directory.guestState(id)
            )
            update.changes = conversion.changes.map { "\($0.difference) (\($0.reason.sentence))" }
            update.notes = notes(configuration, conversion)
            if request.dryRun != true {
                try await replace(configuration, with: conversion.configuration)
                update.isDone = true
            }
            return update
        }
        if request.dryRun == true { return update }
        if let blocker = update.blockers.first {
            throw APIError(
                .invalidState,
                "cannot upgrade \(name) from version \(update.from) to \(update.to): \(blocker)"
            )
        }
        host.events.publish(
            "vm.upgraded",
            virtualMachine: id,
            subject: name,
            message: "\(name) was upgraded from configuration version \(update.from) to \(update.to)"
        )
        return update
    }

    /// The versions that the machine had, oldest first, and the one that it has.
    ///
    /// Of a broken machine the version that it has is unknown; its sealed files are listed all the same.
    package func versionHistory() async throws -> [VersionRecord] {
        var current: ConfigurationVersion?
        if cycle.damage == nil {
            do {
                current = try await load().version
            } catch let error as StoreError {
                // Nobody knew until now that the file is damaged, or gone.
                guard error.code == .corrupt || error.code == .notFound else { throw error }
            }
        }
        let (store, id, known) = (host.store, id, current)
        // A cut upgrade leaves a sealed file of the version that the machine still has.
        let sealed = try await onDisk {
            try store.sealed(id).filter { item in known.map { item.version < $0 } ?? true }
        }
        return sealed.map { VersionRecord(version: $0.version.description, path: $0.path, isCurrent: false) }
            + [VersionRecord(version: current?.description, path: path, isCurrent: true)]
    }

    private func targetVersion(_ text: String?) throws -> ConfigurationVersion {
        guard let text else { return host.level.defaultConfigurationVersion }
        guard let version = ConfigurationVersion(text) else {
            throw APIError(.invalidArgument, "\"\(text)\" is no configuration version: write it as 8.0")
        }
        guard host.store.supportedVersions.contains(version) else {
            let known = host.store.supportedVersions.map(\.description).joined(separator: ", ")
            throw APIError(
                .unsupported,
                "cannot upgrade \(name): this host does not run configuration version \(version); it runs \(known)"
            )
        }
        return version
    }

    private func blockers(
        _ configuration: VirtualMachineConfiguration,
        _ target: ConfigurationVersion
    ) -> [String] {
        if configuration.version == target { return ["it has this version already"] }
        if configuration.version > target {
            return ["it has version \(configuration.version), and no version can be made older"]
        }
        var blockers: [String] = []
        if cycle.isActive { blockers.append("it is \(cycle.state.rawValue): stop it first") }
        if cycle.state == .saved { blockers.append("it has a saved state: start it and shut it down, or give that up") }
        let kept = host.keeper.shelf.checkpoints(of: id).filter { $0.record.receipt.memoryInBytes != nil }
        if let checkpoint = kept.first {
            blockers.append(
                "its checkpoint \"\(checkpoint.record.name)\" keeps the memory of a guest with the present hardware: remove it"
                    + (kept.count > 1 ? ", and \(kept.count - 1) more" : "")
            )
        }
        let hardware = MachinePlan.machineType(for: configuration, version: target)
        if !host.installation.machineTypes.contains(hardware) {
            blockers.append("QEMU \(host.installation.version) of this host lacks its hardware, \(hardware)")
        }
        return blockers
    }

    private func notes(
        _ configuration: VirtualMachineConfiguration,
        _ conversion: ConfigurationConversion
    ) -> [String] {
        let new = conversion.configuration
        var notes: [String] = []
        if configuration.checkpointType != new.checkpointType {
            notes.append("its checkpoints will be of the kind \(RoostAPI.CheckpointType(new.checkpointType).rawValue)")
        }
        if !conversion.uefiVariables.isEmpty {
            notes.append(
                "\(conversion.uefiVariables.count) UEFI variables of the old file stay in the sealed one; those that the "
                    + "guest uses are in its guest state file"
            )
        }
        return notes
    }

    /// Puts the upgraded configuration in place, with the new virtual hardware pinned; to be called within the gate.
    private func replace(
        _ configuration: VirtualMachineConfiguration,
        with upgraded: VirtualMachineConfiguration
    ) async throws {
        var upgraded = upgraded
        upgraded.roost.machineType = MachinePlan.machineType(for: upgraded)
        try await fileGate.run {
            let (store, id, old, new) = (host.store, id, path, upgraded)
            path = try await onDisk {
                try store.replace(id: id, path: old, version: configuration.version, with: new)
            }
        }
        summary = ConfigurationSummary(upgraded)
        scheduleSettling()
        updateRoster()
    }
}

extension ConfigurationConversion.Change.Reason {
    /// The reason as users read it.
    fileprivate var sentence: String {
        switch self {
        case .version: "the version itself"
        case .deviceVersion: "the version of the device's data"
        case .manifest: "the list of devices"
        case .added: "new in this version"
        case .savedState: "no saved state is kept there any more"
        case .uefiVariables: "kept in the guest state file"
        case .virtualHardware: "the virtual hardware is pinned anew"
        }
    }
}

extension Host {
    /// What `roost host versions` shows.
    package nonisolated func versions() -> [VersionInfo] {
        var earlier: Set<Feature> = []
        return ConfigurationVersion.known.map { version in
            let features = Feature.allCases.filter { version.supports($0) }
            defer { earlier.formUnion(features) }
            return VersionInfo(
                version: version.description,
                isSupported: context.store.supportedVersions.contains(version),
                isDefault: version == context.level.defaultConfigurationVersion,
                fileFormat: version.fileFormat.rawValue,
                hardware: version.machineVersion,
                brings: features.filter { !earlier.contains($0) }.map(\.title)
            )
        }
    }
}
