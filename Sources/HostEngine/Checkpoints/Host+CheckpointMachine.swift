import ConfigStore
import QEMUDriver
package import RoostAPI
import RoostPrimitives
import VMConfiguration

extension Host {
    /// Makes a machine of its own from what a checkpoint keeps, with whole copies of the disks; returns its identifier.
    ///
    /// The machine of the checkpoint may run. When this throws, nothing of the new one is left.
    package func createMachine(
        fromCheckpoint checkpoint: String,
        of reference: String,
        _ request: NewVirtualMachineFromCheckpointRequest,
        _ reporter: JobCenter.Reporter
    ) async throws -> String {
        let source = try machine(reference)
        let id = GUID.random()
        try claim(request.name, for: id)
        do {
            let machine = try await reading(checkpoint, of: source, "make a machine of a checkpoint of") { kept in
                try await self.make(kept.configuration, id, name: request.name, variables: kept.variables, reporter)
            }
            register(machine)
            await machine.updateRoster()
            context.events.publish(
                "vm.created",
                virtualMachine: id,
                subject: request.name,
                message: "\(request.name) was made from a checkpoint of \(await source.name)"
            )
            return id.uppercased
        } catch {
            release(request.name)
            throw error
        }
    }

    private func make(
        _ kept: VirtualMachineConfiguration,
        _ id: GUID,
        name: String,
        variables: String?,
        _ reporter: JobCenter.Reporter
    ) async throws -> VirtualMachine {
        let directory = context.directory
        let own = "\(directory.disks)/\(name)"
        let folder = fileExists(own) ? "\(own)-\(id.uppercased.prefix(8))" : own
        var configuration = kept
        let copies = try await becomeAnother(&configuration, id, name, folder, reporter)
        let made = configuration
        let file = directory.configuration(id, made.version.fileFormat)
        let guestState = directory.guestState(id)
        var paths = copies.isEmpty ? [] : [folder]
        for copy in copies { paths += DiskCopy.paths(copy.target) }
        paths += [guestState, "\(guestState).new", directory.copy(of: guestState), "\(file).new", file]
        let journal = try await onDisk { [paths] in try CreationJournal(id, paths: paths, in: directory) }
        do {
            let (user, store) = (context.user, context.store)
            if !copies.isEmpty { try await onDisk { try FileAccess.makeFolder(folder, mode: 0o711) } }
            try await context.images.make(copies, reporter)
            try Task.checkCancellation()
            try await onDisk {
                for copy in copies { try user.takeOwnership(of: copy.target) }
                if let variables {
                    try FileAccess.write(try FileAccess.read(variables), to: guestState)
                    try user.takeOwnership(of: guestState)
                    try store.keep(guestState)
                }
                _ = try store.create(made)
            }
        } catch {
            _ = try? await onDisk { journal.undo() }
            throw error
        }
        // The machine exists: a journal that cannot be deleted now is deleted at the next start.
        _ = try? await onDisk { try journal.finish() }
        return VirtualMachine(.readable(ConfigurationSummary(made), path: file), host: context)
    }

    /// Gives a configuration an identity and disks of its own; returns how those are made.
    private func becomeAnother(
        _ configuration: inout VirtualMachineConfiguration,
        _ id: GUID,
        _ name: String,
        _ folder: String,
        _ reporter: JobCenter.Reporter
    ) async throws -> [DiskCopy] {
        (configuration.id, configuration.name, configuration.vmGenerationID) = (id, name, .random())
        // Whoever makes a copy decides what becomes of it.
        configuration.checkpointSchedule = nil
        if configuration.guestStateFilePath != nil {
            configuration.guestStateFilePath = context.directory.guestState(id)
        }
        for var adapter in configuration.networkAdapters {
            if adapter.macAddressIsStatic {
                await reporter.warn(
                    "\(adapter.name) keeps its static MAC address, which the original has too: change one of them before "
                        + "both run in one network"
                )
            } else {
                adapter.macAddress = .random()
                try configuration.updateNetworkAdapter(adapter)
            }
        }
        var roost = configuration.roost
        let formats = roost.diskFormats
        (roost.diskFormats, roost.renewsVariables) = ([:], false)
        if roost.cloudInitSeedPath != nil {
            roost.cloudInitSeedPath = nil
            await reporter.warn("the cloud-init seed is not copied")
        }
        var copies: [DiskCopy] = []
        var names: Set<String> = []
        for var drive in configuration.drives {
            guard let path = drive.path else { continue }
            guard drive.kind == .hardDisk else {
                roost.diskFormats[path] = formats[path]
                continue
            }
            let format = formats[path] ?? .qcow2
            let copy = try await copy(of: path, format, to: format, in: folder, &names)
            copies.append(copy)
            drive.path = copy.target
            try configuration.setDrive(drive)
            roost.diskFormats[copy.target] = format
        }
        configuration.roost = roost
        return copies
    }
}
