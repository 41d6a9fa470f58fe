import ConfigStore
import QEMUDriver
package import RoostAPI
import RoostPrimitives
import VMConfiguration

extension Host {
    /// Creates a machine; when this throws, nothing of it is left.
    package func create(_ request: CreateVirtualMachineRequest, _ reporter: JobCenter.Reporter) async throws -> String {
        let id = GUID.random()
        try claim(request.name, for: id)
        do {
            let plan = try await plan(request, id: id)
            let machine = try await make(plan, request, reporter)
            register(machine)
            await machine.updateRoster()
            context.events.publish(
                "vm.created",
                virtualMachine: id,
                subject: request.name,
                message: "\(request.name) was created"
            )
            return id.uppercased
        } catch {
            release(request.name)
            throw error
        }
    }

    /// A machine to be made: its configuration and the disk it starts with.
    private struct CreationPlan {
        var configuration: VirtualMachineConfiguration
        var ownDisk: String?
        var imageFormat: String?
        var folder: String
        var seed: String?
    }

    private func plan(_ request: CreateVirtualMachineRequest, id: GUID) async throws -> CreationPlan {
        if request.image != nil && request.disk != nil {
            throw APIError(.invalidArgument, "name either an image to copy or a disk to attach, not both")
        }
        if request.disk != nil && request.diskSizeBytes != nil {
            throw APIError(.invalidArgument, "a disk that is attached where it lies keeps its size: leave the size out")
        }
        if request.diskFormat != nil && request.disk == nil {
            throw APIError(
                .invalidArgument,
                "a disk's format is stated for a disk that is attached: name one, or leave it out"
            )
        }
        for path in [request.image, request.disk].compactMap({ $0 }) { try requireAbsolute(path) }
        var configuration = try await newConfiguration(request, id: id)
        let folder = "\(context.directory.disks)/\(request.name)"
        let unique = fileExists(folder) ? "\(folder)-\(id.uppercased.prefix(8))" : folder
        var plan = CreationPlan(configuration: configuration, folder: unique)
        let location = try firstDiskLocation(configuration)
        var roost = configuration.roost
        if let size = request.diskSizeBytes { try requireDiskSize(size, format: "qcow2") }
        if request.image != nil || request.diskSizeBytes != nil {
            // A file's name has room for 255 bytes, and the longest names of machines need more with their endings.
            let stem = request.name.utf8.count <= 200 ? request.name : id.uppercased
            let path = "\(unique)/\(stem).qcow2"
            plan.ownDisk = path
            if let image = request.image { plan.imageFormat = try await formatOfImage(image) }
            try configuration.addDrive(Drive(location: location, kind: .hardDisk, path: path))
            roost.diskFormats[path] = .qcow2
        } else if let disk = request.disk {
            try await requireUnneeded(disk, to: "attach")
            try configuration.addDrive(Drive(location: location, kind: .hardDisk, path: disk))
            let format = try await context.formatOfDisk(
                disk,
                stated: request.diskFormat,
                recorded: try await recordedFormat(disk, stated: nil)
            )
            let user = context.user
            try await onDisk { try user.requireAccess(to: disk, writable: true) }
            roost.diskFormats[disk] = format
        }
        if request.cloudInitUserData != nil {
            plan.seed = context.directory.seed(id)
            roost.cloudInitSeedPath = plan.seed
        }
        configuration.roost = roost
        plan.configuration = configuration
        return plan
    }

    private func newConfiguration(
        _ request: CreateVirtualMachineRequest,
        id: GUID
    ) async throws -> VirtualMachineConfiguration {
        let generation = try generation(request.generation ?? 2)
        let version = try version(request.version)
        var new = NewVirtualMachine(name: request.name, generation: generation, version: version)
        new.id = id
        new.memory = MemorySettings(startup: request.memoryMiB ?? 1024)
        new.memory.minimum = min(new.memory.minimum, new.memory.startup)
        new.processors = ProcessorSettings(count: request.processors ?? 1)
        new.notes = request.notes ?? ""
        new.creationTime = FileTime(unixSeconds: secondsSinceEpoch())
        new.creationHost = readSmallText("/proc/sys/kernel/hostname")
        new.networkAdapters = []
        if let name = request.switchName {
            let item = try await context.switches.find(name: name)
            new.networkAdapters = [
                NetworkAdapter(macAddress: .random(), switchID: item.id, switchName: item.name)
            ]
        }
        if generation == .two { new.guestStateFilePath = context.directory.guestState(id) }
        try applySecureBoot(request.secureBoot, to: &new)
        return try VirtualMachineConfiguration.new(new)
    }

    private func applySecureBoot(_ text: String?, to new: inout NewVirtualMachine) throws {
        guard let text else { return }
        guard new.generation == .two else {
            if text.lowercased() == "off" { return }
            throw APIError(.unsupported, "Secure Boot needs generation 2, \(new.name) is to be of generation 1")
        }
        switch text.lowercased() {
        case "off": new.secureBootEnabled = false
        case "on": new.secureBootEnabled = true
        default:
            new.secureBootTemplate = try secureBootTemplate(text, version: new.version)
            new.secureBootEnabled = true
        }
    }

    private func generation(_ number: Int) throws -> Generation {
        guard let generation = Generation(rawValue: number) else {
            throw APIError(.invalidArgument, "there is no generation \(number): choose 1 or 2")
        }
        return generation
    }

    private func version(_ text: String?) throws -> ConfigurationVersion {
        guard let text else { return context.level.defaultConfigurationVersion }
        guard let version = ConfigurationVersion(text) else {
            throw APIError(.invalidArgument, "\"\(text)\" is no configuration version: write it as 8.0")
        }
        guard context.store.supportedVersions.contains(version) else {
            let known = context.store.supportedVersions.map(\.description).joined(separator: ", ")
            throw APIError(.unsupported, "this host does not run configuration version \(version): it runs \(known)")
        }
        return version
    }

    private func firstDiskLocation(_ configuration: VirtualMachineConfiguration) throws -> DriveLocation {
        guard let location = configuration.nextFreeLocation(for: .hardDisk) else {
            throw APIError(.internal, "a new machine has no place for a disk")
        }
        return location
    }

    /// The format of an image that is to be copied.
    ///
    /// roostd reads it with its own rights, so it must not name other files: their contents would end up in the guest.
    private func formatOfImage(_ path: String) async throws -> String {
        let info = try await context.images.info(path)
        guard RoostSettings.DiskFormat(rawValue: info.format) != nil else {
            throw APIError(
                .unsupported,
                "the image \(path) is of the format \(info.format): convert it to qcow2, raw or vhdx"
            )
        }
        if let other = info.backingFile ?? info.dataFile {
            throw APIError(
                .unsupported,
                "the image \(path) needs the file \(other): make one image of both with 'qemu-img convert' first"
            )
        }
        return info.format
    }

    private func make(
        _ plan: CreationPlan,
        _ request: CreateVirtualMachineRequest,
        _ reporter: JobCenter.Reporter
    ) async throws -> VirtualMachine {
        let id = plan.configuration.id
        let directory = context.directory
        let guestState = directory.guestState(id)
        var paths = plan.ownDisk.map { [plan.folder, $0, "\($0).partial"] } ?? []
        if let seed = plan.seed { paths += [seed, "\(seed).partial", directory.copy(of: seed)] }
        let file = directory.configuration(id, plan.configuration.version.fileFormat)
        paths += [guestState, directory.copy(of: guestState), file]
        let made = paths
        let journal = try await onDisk { try CreationJournal(id, paths: made, in: directory) }
        do {
            try await makeDisk(plan, request, reporter)
            if let seed = plan.seed { try await makeSeed(seed, request, id) }
            let machine = VirtualMachine(
                .readable(ConfigurationSummary(plan.configuration), path: file),
                host: context
            )
            if plan.configuration.generation == .two, let firmware = context.installation.firmware {
                try await machine.makeVariables(plan.configuration, firmware, path: guestState)
                if plan.configuration.memory.startup < 384 {
                    await reporter.warn(
                        "UEFI firmware with Secure Boot needs 384 MiB of memory; with less it may not boot"
                    )
                }
            }
            try Task.checkCancellation()
            let store = context.store
            _ = try await onDisk { try store.create(plan.configuration) }
            // The machine exists: a journal that cannot be deleted now is deleted at the next start.
            _ = try? await onDisk { try journal.finish() }
            return machine
        } catch {
            _ = try? await onDisk { journal.undo() }
            throw error
        }
    }

    private func makeDisk(
        _ plan: CreationPlan,
        _ request: CreateVirtualMachineRequest,
        _ reporter: JobCenter.Reporter
    ) async throws {
        guard let path = plan.ownDisk else { return }
        let folder = plan.folder
        try await onDisk { try FileAccess.makeFolder(folder, mode: 0o711) }
        let images = context.images
        if let image = request.image, let format = plan.imageFormat {
            let (progress, continuation) = AsyncStream.makeStream(of: Double.self, bufferingPolicy: .bufferingNewest(1))
            let reporting = Task { for await fraction in progress { await reporter.progress(fraction) } }
            defer { continuation.finish(); reporting.cancel() }
            try await images.convert(image, format: format, to: path, format: "qcow2") { continuation.yield($0) }
            if let size = request.diskSizeBytes {
                let now = try await images.info(path).virtualSizeBytes
                guard size >= now else {
                    throw APIError(
                        .invalidArgument,
                        "the disk cannot be \(ByteCount(bytes: size)): its image has \(ByteCount(bytes: now))"
                    )
                }
                try await images.resize(path, format: "qcow2", sizeBytes: size, shrink: false)
            }
        } else if let size = request.diskSizeBytes {
            try await images.create(path, sizeBytes: size, format: "qcow2")
        }
        let user = context.user
        try await onDisk { try user.takeOwnership(of: path) }
    }

    private func makeSeed(_ path: String, _ request: CreateVirtualMachineRequest, _ id: GUID) async throws {
        guard let text = request.cloudInitUserData else { return }
        try await SeedImage.make(
            path,
            userData: text,
            instanceID: id.lowercased,
            hostName: SeedImage.hostName(request.name),
            folder: context.directory.cache
        )
        let (user, store) = (context.user, context.store)
        try await onDisk {
            try user.takeOwnership(of: path)
            try store.keep(path)
        }
    }
}
