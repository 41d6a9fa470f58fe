import ConfigStore
import QEMUDriver
package import RoostAPI
import RoostPrimitives
import UEFIVariables
import VMConfiguration

extension Host {
    /// Tells what an import would do; changes nothing.
    package func importPlan(_ request: ImportVirtualMachineRequest) async throws -> ImportReport {
        let prepared = try await prepareImport(request)
        let plan = prepared.plan
        var problems = plan.problems
        problems += try await conflicts(of: prepared)
        for disk in plan.disks where disk.kind == .hardDisk {
            do { _ = try await verify(disk, copies: disk.target != nil) } catch {
                problems.append(APIError(translating: error).description)
            }
        }
        return ImportReport(
            configurationFile: prepared.folder.path,
            id: plan.configuration.id,
            name: plan.configuration.name,
            generation: plan.configuration.generation.rawValue,
            version: plan.sourceVersion.description,
            mode: prepared.mode,
            disks: plan.disks.map(ImportedDisk.init),
            mapped: plan.mapped,
            keptKeys: plan.keptKeys,
            warnings: plan.warnings + prepared.folder.remarks,
            problems: problems
        )
    }

    /// Imports a machine and returns its identifier; when this throws, nothing of it is left.
    ///
    /// The files that it is made
    /// from are only read, but for disks that are registered, which the guest will write.
    package func importMachine(
        _ request: ImportVirtualMachineRequest,
        _ reporter: JobCenter.Reporter
    ) async throws -> String {
        let prepared = try await prepareImport(request)
        let configuration = prepared.plan.configuration
        let problems = try await prepared.plan.problems + conflicts(of: prepared)
        guard problems.isEmpty else {
            throw APIError(
                .invalidArgument,
                "cannot import \(prepared.folder.path): " + problems.joined(separator: "; ")
            )
        }
        // Another import of it may be under way, which has its name already.
        guard !names.values.contains(configuration.id) else {
            throw APIError(.busy, "the virtual machine \(configuration.id) is being imported already")
        }
        try claim(configuration.name, for: configuration.id)
        do {
            let machine = try await make(prepared, reporter)
            register(machine)
            await machine.updateRoster()
            for warning in prepared.plan.warnings { await reporter.warn(warning) }
            let kept = prepared.plan.keptKeys.count
            if kept > 0 {
                await reporter.warn("\(kept) keys have no meaning here and are kept; --plan lists them")
            }
            context.events.publish(
                "vm.created",
                virtualMachine: configuration.id,
                subject: configuration.name,
                message: "\(configuration.name) was imported"
            )
            return configuration.id.uppercased
        } catch {
            release(configuration.name)
            throw error
        }
    }

    /// An import with everything that was found out about it.
    private struct PreparedImport: Sendable {
        var folder: ImportFolder
        var plan: ImportPlan
        var mode: ImportMode
        /// The folder for disks.
        var disksFolder: String
        /// The UEFI variables that lie beside the configuration, when Roost can use them.
        var guestState: [UInt8]?
    }

    private func prepareImport(_ request: ImportVirtualMachineRequest) async throws -> PreparedImport {
        for path in [request.path, request.disksFolder].compactMap({ $0 }) where !path.hasPrefix("/") {
            throw APIError(.invalidArgument, "the path \(path) is not absolute")
        }
        let mode = request.mode ?? .restore
        let user = context.user
        let (path, disksFolder) = (request.path, request.disksFolder)
        let folder = try await onDisk { try ImportFolder(path) }
        var facts = try await onDisk { try folder.facts(disksFolder: disksFolder, user: user) }
        var choices = try choices(request, mode)
        let source = folder.source.configuration
        let id = mode == .copy ? choices.newID : source.id
        choices.name = request.name
        // An adapter is not unplugged for a switch that nobody can read of now.
        try await context.switches.readAgain()
        facts.switches = await context.switches.list().map { .init(id: $0.id, name: $0.name) }
        // The disks of a broken machine are unknown; QEMU's lock protects a disk only while a machine runs.
        facts.pathsInUse = await disksInUse(besides: id)
        facts.guestStatePath = context.directory.guestState(id)
        let variables = source.generation == .two ? try await guestState(beside: folder) : nil
        facts.hasGuestState = variables?.bytes != nil
        let name = request.name ?? source.name
        do {
            try VirtualMachineConfiguration.validateName(name)
        } catch {
            throw APIError(.invalidArgument, "\(error.message): choose another one with --name")
        }
        let own = "\(context.directory.disks)/\(name)"
        facts.disksFolder = fileExists(own) ? "\(own)-\(id.uppercased.prefix(8))" : own
        let plan = ImportPlan(folder.source, choices, facts)
        var prepared = PreparedImport(folder: folder, plan: plan, mode: mode, disksFolder: facts.disksFolder)
        if let variables {
            prepared.guestState = variables.bytes
            if variables.bytes == nil {
                prepared.plan.warnings.append(
                    "\(variables.path) holds UEFI variables and TPM state in a form of Hyper-V that is not read here: the "
                        + "firmware begins with fresh ones"
                )
            }
        }
        return prepared
    }

    private func choices(_ request: ImportVirtualMachineRequest, _ mode: ImportMode) throws -> ImportChoices {
        var choices = ImportChoices(mode: mode.planned)
        choices.keepsVHDX = request.keepVHDX ?? false
        if choices.keepsVHDX && mode == .register {
            throw APIError(.invalidArgument, "a registered machine's disks stay as they are: leave --keep-vhdx out")
        }
        if let text = request.diskController {
            guard let controller = RoostSettings.DiskController(rawValue: text) else {
                let known = RoostSettings.DiskController.allCases.map(\.rawValue).joined(separator: ", ")
                throw APIError(.invalidArgument, "\"\(text)\" is no disk controller: choose \(known)")
            }
            choices.diskController = controller
        }
        if let text = request.adapterModel {
            guard let model = RoostSettings.AdapterModel(rawValue: text) else {
                let known = RoostSettings.AdapterModel.allCases.map(\.rawValue).joined(separator: ", ")
                throw APIError(.invalidArgument, "\"\(text)\" is no network adapter: choose \(known)")
            }
            choices.adapterModel = model
        }
        return choices
    }

    /// Why this host cannot take the machine.
    private func conflicts(of prepared: PreparedImport) async throws -> [String] {
        let configuration = prepared.plan.configuration
        var problems: [String] = []
        if let other = machines[configuration.id] {
            problems.append(
                "the virtual machine \(await other.name) of this host has its identifier, \(configuration.id): import with "
                    + "--copy, or remove that one first"
            )
        }
        if names[configuration.name] != nil {
            problems.append(
                "there is a virtual machine \"\(configuration.name)\" already: choose another name with --name"
            )
        }
        if !context.store.supportedVersions.contains(configuration.version) {
            let known = context.store.supportedVersions.map(\.description).joined(separator: ", ")
            problems.append("this host does not run configuration version \(configuration.version): it runs \(known)")
        }
        return problems
    }
}

// Making
extension Host {
    private func make(_ prepared: PreparedImport, _ reporter: JobCenter.Reporter) async throws -> VirtualMachine {
        var changed = prepared.plan.configuration
        // What was due elsewhere was not missed here.
        changed.checkpointSchedule?.since = secondsSinceEpoch()
        let configuration = changed
        let id = configuration.id
        let directory = context.directory
        let file = directory.configuration(id, configuration.version.fileFormat)
        let guestState = directory.guestState(id)
        var paths: [String] = []
        let copied = prepared.plan.disks.compactMap(\.target)
        if !copied.isEmpty { paths.append(prepared.disksFolder) }
        for target in copied { paths += DiskCopy.paths(target) }
        paths += [guestState, "\(guestState).new", directory.copy(of: guestState), "\(file).new", file]
        let made = paths
        let journal = try await onDisk { try CreationJournal(id, paths: made, in: directory) }
        do {
            try await takeDisks(prepared, reporter)
            let machine = VirtualMachine(
                .readable(ConfigurationSummary(configuration), path: file),
                host: context
            )
            try await makeGuestState(prepared, machine)
            try Task.checkCancellation()
            let store = context.store
            _ = try await onDisk { try store.create(configuration) }
            // The machine exists: a journal that cannot be deleted now is deleted at the next start.
            _ = try? await onDisk { try journal.finish() }
            return machine
        } catch {
            _ = try? await onDisk { journal.undo() }
            throw error
        }
    }

    private func takeDisks(_ prepared: PreparedImport, _ reporter: JobCenter.Reporter) async throws {
        let disks = prepared.plan.disks.filter { $0.kind == .hardDisk }
        var copies: [DiskCopy] = []
        for disk in disks {
            let isDirty = try await verify(disk, copies: disk.target != nil)
            guard let source = disk.source, let format = disk.format, let target = disk.target,
                let targetFormat = disk.targetFormat
            else { continue }
            copies.append(
                DiskCopy(
                    source: source,
                    format: format.driver,
                    isDirty: isDirty,
                    keepsBytes: format == .vhdx && targetFormat == .vhdx,
                    target: target,
                    targetFormat: targetFormat.rawValue
                )
            )
        }
        guard !copies.isEmpty else { return }
        let folder = prepared.disksFolder
        try await onDisk { try FileAccess.makeFolder(folder, mode: 0o711) }
        try await context.images.make(copies, reporter)
        let user = context.user
        for copy in copies { try await onDisk { try user.takeOwnership(of: copy.target) } }
    }

    /// Makes sure that a disk is what its name says and needs no other file; tells whether its log is dirty.
    private func verify(_ disk: ImportPlan.Disk, copies: Bool) async throws -> Bool {
        guard let path = disk.source, let format = disk.format else { return false }
        let user = context.user
        // A link in a stranger's folder must not lead to a file that no guest could open.
        try await onDisk { if isSymbolicLink(path) { try user.requireAccess(to: path, writable: false) } }
        if format == .vhd { try await onDisk { try refuseDifferencingVHD(path) } }
        if !copies {
            try await onDisk { try user.requireAccess(to: path, writable: true) }
        }
        do {
            let info = try await context.images.info(path, format: format.driver)
            if let other = info.backingFile ?? info.dataFile {
                throw APIError(
                    .unsupported,
                    "the disk \(path) needs the file \(other): make one disk of both with 'qemu-img convert' first"
                )
            }
            return false
        } catch let error as EngineError where format == .vhdx && DiskImages.saysLogIsDirty(error) {
            if copies { return true }
            throw APIError(
                .invalidState,
                "the log of \(path) holds changes that are not in their place yet: import without --register, which puts "
                    + "them into a copy"
            )
        } catch let error as EngineError where error.code == .corrupt {
            throw APIError(
                .corrupt,
                "the disk \(path) is damaged, or of another format than \(format.rawValue), which its name says it is: give it "
                    + "the name that it should have, or take it from a backup",
                cause: error.cause ?? error.message
            )
        }
    }

    /// The file with UEFI variables beside a configuration, and its bytes when Roost can use them; nil when there is none.
    private func guestState(beside folder: ImportFolder) async throws -> (path: String, bytes: [UInt8]?)? {
        guard let path = try await onDisk({ try folder.guestStateFile() }) else { return nil }
        return try await onDisk {
            do {
                return (path, try readVariables(path))
            } catch is VariableStoreError {
                return (path, nil)
            }
        }
    }

    private func makeGuestState(_ prepared: PreparedImport, _ machine: VirtualMachine) async throws {
        let configuration = prepared.plan.configuration
        guard configuration.generation == .two, let firmware = context.installation.firmware else { return }
        let path = context.directory.guestState(configuration.id)
        let (user, store) = (context.user, context.store)
        if let bytes = prepared.guestState {
            try await onDisk {
                try FileAccess.write(bytes, to: path)
                try user.takeOwnership(of: path)
                try store.keep(path)
            }
            return
        }
        try await machine.makeVariables(configuration, firmware, path: path)
        let variables = prepared.plan.uefiVariables
        guard !variables.isEmpty else { return }
        try await onDisk {
            try FileAccess.write(try addingVariables(variables, to: try FileAccess.read(path)), to: path)
            try user.takeOwnership(of: path)
            try store.keep(path)
        }
    }
}

extension ImportMode {
    fileprivate var planned: ImportChoices.Mode {
        switch self {
        case .restore: .restore
        case .register: .register
        case .copy: .copy
        }
    }
}

extension ImportedDisk {
    fileprivate init(_ disk: ImportPlan.Disk) {
        self.init(
            location: disk.location.description,
            recordedPath: disk.recordedPath,
            candidates: disk.candidates.map { Candidate(path: $0.path, isUsable: $0.isUsable, note: $0.note) },
            source: disk.source,
            format: disk.format?.rawValue,
            target: disk.target
        )
    }
}
