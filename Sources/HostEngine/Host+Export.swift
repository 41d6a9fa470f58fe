import ConfigStore
import HyperVStorage
import QEMUDriver
package import RoostAPI
import RoostPrimitives
import VMConfiguration

extension Host {
    /// Exports a machine that is off into a folder of its name, as Hyper-V does; returns the folder's path.
    ///
    /// The folder appears when it is complete. The machine cannot start or change meanwhile.
    package func export(
        _ reference: String,
        _ request: ExportVirtualMachineRequest,
        _ reporter: JobCenter.Reporter
    ) async throws -> String {
        let machine = try machine(reference)
        try requireExportFolder(request.directory)
        return try await machine.whileOff("export") { configuration in
            // What is exported is whole, or the export fails.
            let variables = self.context.directory.guestState(configuration.id)
            try await machine.checkKept(variables)
            return try await self.export(configuration, variables: variables, request, reporter)
        }
    }

    /// The same with what one of its checkpoints keeps; the machine may run.
    package func exportCheckpoint(
        _ reference: String,
        _ checkpoint: String,
        _ request: ExportVirtualMachineRequest,
        _ reporter: JobCenter.Reporter
    ) async throws -> String {
        try requireExportFolder(request.directory)
        return try await reading(checkpoint, of: try machine(reference), "export a checkpoint of") { kept in
            var configuration = kept.configuration
            // Whoever runs it goes back in time.
            configuration.vmGenerationID = .random()
            return try await self.export(configuration, variables: kept.variables, request, reporter)
        }
    }

    private func requireExportFolder(_ path: String) throws(APIError) {
        guard path.hasPrefix("/"), !path.utf8.contains(where: { $0 < 0x20 }) else {
            throw APIError(.invalidArgument, "the path \(path) is not absolute, or has a control character")
        }
    }

    private func export(
        _ configuration: VirtualMachineConfiguration,
        variables: String?,
        _ request: ExportVirtualMachineRequest,
        _ reporter: JobCenter.Reporter
    ) async throws -> String {
        let layout = try await layout(configuration, request)
        try await write(layout, variables: variables, reporter)
        for warning in layout.warnings { await reporter.warn(warning) }
        return layout.folder
    }

    /// What an export consists of.
    private struct ExportLayout: Sendable {
        /// The folder, once it is complete.
        var folder: String
        /// Its name until then.
        var temporary: String
        /// The configuration as it stands in the export, with the paths of the exported disks.
        var configuration: VirtualMachineConfiguration
        var copies: [DiskCopy] = []
        var warnings: [String] = []

        static let machines = "Virtual Machines"
        static let snapshots = "Snapshots"
        static let disks = "Virtual Hard Disks"

        var subfolders: [String] { [Self.machines, Self.snapshots, Self.disks].map { "\(temporary)/\($0)" } }

        /// The path of a file of the machine, by its extension.
        func file(_ fileExtension: String) -> String {
            "\(temporary)/\(Self.machines)/\(configuration.id.uppercased).\(fileExtension)"
        }
    }

    private func layout(
        _ configuration: VirtualMachineConfiguration,
        _ request: ExportVirtualMachineRequest
    ) async throws -> ExportLayout {
        let directory =
            request.directory.count > 1 && request.directory.hasSuffix("/")
            ? String(request.directory.dropLast()) : request.directory
        let folder = "\(directory)/\(configuration.name)"
        guard !fileExists(folder) else {
            throw APIError(.exists, "\(folder) exists already: move it away, or export into another folder")
        }
        guard fileExists(directory) else {
            throw APIError(.notFound, "there is no folder \(directory): make it first")
        }
        guard isFolder(directory) else {
            throw APIError(.invalidArgument, "\(directory) is not a folder: name the folder to export into")
        }
        // Short enough beside any name, and such as nobody else uses.
        let temporary = "\(directory)/.roost-export-\(configuration.id.uppercased.prefix(8)).partial"
        var layout = ExportLayout(folder: folder, temporary: temporary, configuration: configuration)
        layout.configuration.forgetCheckpoints()
        var roost = layout.configuration.roost
        let formats = roost.diskFormats
        roost.diskFormats = [:]
        roost.renewsVariables = false
        if roost.cloudInitSeedPath != nil {
            roost.cloudInitSeedPath = nil
            layout.warnings.append("the cloud-init seed is not exported")
        }
        var names: Set<String> = []
        for drive in configuration.drives {
            guard let path = drive.path else { continue }
            guard drive.kind == .hardDisk else {
                if drive.kind == .dvd { roost.diskFormats[path] = formats[path] ?? .raw }
                layout.warnings.append("\(path), in the \(drive.kind) at \(drive.location), is not exported")
                continue
            }
            let copies = "\(layout.temporary)/\(ExportLayout.disks)"
            let format = formats[path] ?? .qcow2
            let copy = try await copy(of: path, format, to: request.vhdx == true ? .vhdx : format, in: copies, &names)
            layout.copies.append(copy)
            var exported = drive
            let final = "\(layout.folder)/\(ExportLayout.disks)/\(DiskSearch.fileName(of: copy.target))"
            exported.path = final
            try layout.configuration.setDrive(exported)
            roost.diskFormats[final] = RoostSettings.DiskFormat(rawValue: copy.targetFormat)
        }
        layout.configuration.roost = roost
        if configuration.guestStateFilePath != nil {
            layout.configuration.guestStateFilePath =
                "\(folder)/\(ExportLayout.machines)/\(configuration.id.uppercased).vmgs"
        }
        return layout
    }

    /// How a disk is copied whole into a folder, under the name that it had before any checkpoint.
    ///
    /// - Parameter names: the names that are taken there, in lower case.
    func copy(
        of path: String,
        _ format: RoostSettings.DiskFormat,
        to target: RoostSettings.DiskFormat,
        in folder: String,
        _ names: inout Set<String>
    ) async throws -> DiskCopy {
        var isDirty = false
        var needsOther = false
        do {
            let info = try await context.images.info(path, format: format.rawValue)
            needsOther = info.backingFile != nil || info.dataFile != nil
        } catch let error as EngineError where format == .vhdx && DiskImages.saysLogIsDirty(error) {
            isDirty = true
        }
        let file = DiskSearch.fileName(of: BranchPlan.trunk(of: path))
        let stem = file.lastIndex(of: ".").map { String(file[..<$0]) } ?? file
        let ending = target == .raw ? "img" : target.rawValue
        var name = "\(stem).\(ending)"
        var number = 2
        while !names.insert(name.lowercased()).inserted {
            name = "\(stem)-\(number).\(ending)"
            number += 1
        }
        return DiskCopy(
            source: path,
            format: format.rawValue,
            isDirty: isDirty,
            // A file that needs another one is made whole on the way.
            keepsBytes: target == format && !needsOther,
            target: "\(folder)/\(name)",
            targetFormat: target.rawValue
        )
    }

    private func write(
        _ layout: ExportLayout,
        variables: String?,
        _ reporter: JobCenter.Reporter
    ) async throws {
        let format = layout.configuration.version.fileFormat
        let configurationFile = layout.file(format.fileExtension)
        let bytes = try Self.bytes(layout.configuration)
        var paths = [layout.temporary] + layout.subfolders
        for copy in layout.copies { paths += DiskCopy.paths(copy.target) }
        for file in [layout.file("vmrs"), layout.file("vmgs"), configurationFile] { paths += ["\(file).new", file] }
        let (made, directory) = (paths, context.directory)
        let journal = try await onDisk { try CreationJournal(.random(), paths: made, in: directory) }
        do {
            try await onDisk {
                for folder in [layout.temporary] + layout.subfolders { try FileAccess.makeFolder(folder, mode: 0o700) }
            }
            try await context.images.make(layout.copies, reporter)
            try Task.checkCancellation()
            try await onDisk {
                if let variables, fileExists(variables) {
                    try FileAccess.write(try FileAccess.read(variables), to: layout.file("vmgs"))
                }
                if format == .vmcx {
                    try FileAccess.write(try Self.runRecord(layout.configuration), to: layout.file("vmrs"))
                }
                try FileAccess.write(bytes, to: configurationFile)
                guard !fileExists(layout.folder) else { throw APIError(.exists, "\(layout.folder) exists already") }
                try FileAccess.move(layout.temporary, to: layout.folder)
            }
        } catch {
            _ = try? await onDisk { journal.undo() }
            throw error
        }
        // The export is complete: a journal that cannot be deleted now names nothing that exists.
        _ = try? await onDisk { try journal.finish() }
    }

    private static func bytes(_ configuration: VirtualMachineConfiguration) throws -> [UInt8] {
        switch configuration.version.fileFormat {
        case .xml: try ConfigurationXML.serialize(configuration.root)
        case .vmcx: try container(KeyNode("", children: [configuration.root]))
        }
    }

    /// The run record of a machine that is off and has no saved state.
    private nonisolated static func runRecord(_ configuration: VirtualMachineConfiguration) throws -> [UInt8] {
        var tree = KeyNode("")
        tree.set("configuration/properties/version", .int(Int64(configuration.version.rawValue)))
        return try container(tree)
    }

    private nonisolated static func container(_ tree: KeyNode) throws -> [UInt8] {
        do throws(StorageError) {
            return try StorageFile.create(tree: tree).bytes
        } catch {
            throw APIError(.internal, "cannot make a file of the configuration", cause: error.message)
        }
    }
}

extension VirtualMachine {
    /// Runs `body` while the machine is off; nothing starts or changes it meanwhile.
    ///
    /// - Throws: `APIError` `.invalidState` when it is not off.
    func whileOff<Result: Sendable>(
        _ what: String,
        _ body: @Sendable (VirtualMachineConfiguration) async throws -> Result
    ) async throws -> Result {
        try await gate.run {
            try requireOff(what)
            try requireDisksAtRest(what)
            try await settleCheckpoints()
            return try await body(try await load())
        }
    }
}
