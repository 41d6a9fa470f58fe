import ConfigStore
import QEMUDriver
package import RoostAPI
import RoostPrimitives
import VMConfiguration

extension Host {
    /// All disks: the files in `Virtual Hard Disks`, and those attached elsewhere.
    package func disks() async throws -> [DiskInfo] {
        var uses: [String: DiskUse] = [:]
        for machine in machines.values {
            // A broken machine's disks are unknown; its entry in the list of machines says why.
            guard let configuration = try? await machine.load() else { continue }
            let name = await machine.name
            let formats = configuration.roost.diskFormats
            for path in configuration.drives.filter({ $0.kind != .floppy }).compactMap(\.path) {
                uses[path, default: DiskUse()].machines.append(name)
                if let format = formats[path] { uses[path]?.format = format }
            }
            for path in configuration.spareDisks where uses[path] == nil {
                uses[path, default: DiskUse()].machines.append("\(name) (to be merged)")
            }
            for checkpoint in context.keeper.shelf.checkpoints(of: machine.id) {
                for disk in checkpoint.record.disks {
                    uses[disk.path, default: DiskUse()].machines.append("\(name) (\(checkpoint.record.name))")
                    uses[disk.path]?.format = disk.format
                }
            }
        }
        let root = context.directory.disks
        let found = try await onDisk { try Self.files(below: root) }
        let paths = Set(found).union(uses.keys)
        return await withTaskGroup(of: DiskInfo.self) { [uses] group in
            var result: [DiskInfo] = []
            for (index, path) in paths.enumerated() {
                // As many at a time as there are processors to run qemu-img on.
                if index >= onlineProcessors(), let info = await group.next() { result.append(info) }
                group.addTask { await self.inspect(path, uses[path] ?? DiskUse()) }
            }
            for await info in group { result.append(info) }
            return result.sorted { $0.path < $1.path }
        }
    }

    /// The files in `Virtual Hard Disks` that no machine and no checkpoint needs, not as one that another stands on either.
    ///
    /// - Throws: `APIError` `.invalidState` when a machine or a checkpoint cannot be read, and so nobody knows.
    package func orphanedDisks() async throws -> [DiskInfo] {
        guard let needed = await disksInUse(besides: .zero) else {
            throw APIError(
                .invalidState,
                "nobody knows which disks are needed while a machine or a checkpoint cannot be read: 'roost vm list' and "
                    + "'roost host show' name it; repair or remove that one first"
            )
        }
        let root = "\(context.directory.disks)/"
        // One that is being made now is needed soon.
        let made = disksBeingMade
        return try await disks().filter { disk in
            disk.path.hasPrefix(root) && !needed.contains(disk.path) && disk.attachedTo.isEmpty
                && !made.contains(disk.path)
        }
    }

    /// Who uses a disk, and as what.
    private struct DiskUse {
        var machines: [String] = []
        var format: RoostSettings.DiskFormat?
    }

    private nonisolated func inspect(_ path: String, _ use: DiskUse) async -> DiskInfo {
        do {
            let info = try await context.images.info(path, format: use.format?.rawValue)
            return DiskInfo(
                path: path,
                format: info.format,
                virtualSizeBytes: info.virtualSizeBytes,
                actualSizeBytes: info.actualSizeBytes,
                backingFile: info.backingFile,
                attachedTo: use.machines.sorted()
            )
        } catch {
            return DiskInfo(
                path: path,
                format: "unknown",
                virtualSizeBytes: 0,
                actualSizeBytes: 0,
                attachedTo: use.machines.sorted(),
                problem: APIError(translating: error).description
            )
        }
    }

    private static func files(below root: String) throws -> [String] {
        var result: [String] = []
        for name in try FileAccess.names(in: root) where !name.hasSuffix(".partial") {
            let path = "\(root)/\(name)"
            if let inner = try? FileAccess.names(in: path) {
                result += inner.filter { !$0.hasSuffix(".partial") }.map { "\(path)/\($0)" }
            } else {
                result.append(path)
            }
        }
        return result
    }

    /// Makes an empty disk and returns its path.
    package func createDisk(_ request: CreateDiskRequest) async throws -> String {
        guard request.sizeBytes > 0, request.sizeBytes % 512 == 0 else {
            throw APIError(
                .invalidArgument,
                "a disk's size is a positive multiple of 512 bytes, not \(request.sizeBytes)"
            )
        }
        let path = request.path.contains("/") ? request.path : "\(context.directory.disks)/\(request.path)"
        guard path.hasPrefix("/") else {
            throw APIError(.invalidArgument, "the path \(request.path) is neither absolute nor a plain name")
        }
        try requireAbsolute(path)
        let format = try diskFormat(request.format, path: path)
        try requireDiskSize(request.sizeBytes, format: format)
        guard disksBeingMade.insert(path).inserted else {
            throw APIError(.busy, "the disk \(path) is being made already")
        }
        defer { disksBeingMade.remove(path) }
        // Written down first: a roostd that is killed meanwhile leaves nothing half made behind.
        let temporary = DiskImages.temporaryName(for: path)
        let directory = context.directory
        let journal = try await onDisk { try CreationJournal(.random(), paths: [temporary], in: directory) }
        do {
            try await context.images.create(
                path,
                sizeBytes: request.sizeBytes,
                format: format,
                temporary: temporary,
                owner: context.user
            )
        } catch {
            _ = try? await onDisk { journal.undo() }
            throw error
        }
        // The disk exists: a journal that cannot be deleted now is deleted at the next start.
        _ = try? await onDisk { try journal.finish() }
        return path
    }

    /// Refuses a size that a format cannot hold.
    ///
    /// VHDX: [MS-VHDX] section 2.6.2.4; qcow2: an L1 table of at most 32 MiB (QEMU's `block/qcow2.h`).
    nonisolated func requireDiskSize(_ bytes: UInt64, format: String) throws {
        let most: UInt64 =
            switch format {
            case "vhdx": 64 << 40
            case "qcow2": 2 << 60
            default: UInt64(Int64.max) & ~511
            }
        guard bytes <= most else {
            throw APIError(
                .invalidArgument,
                "a disk of \(ByteCount(bytes: bytes)) is too large for the format \(format), which holds "
                    + "\(ByteCount(bytes: most)) at most"
            )
        }
    }

    private func diskFormat(_ wanted: String?, path: String) throws -> String {
        let known = ["qcow2", "raw", "vhdx"]
        if let wanted {
            guard known.contains(wanted) else {
                throw APIError(
                    .invalidArgument,
                    "\"\(wanted)\" is no disk format: choose \(known.joined(separator: ", "))"
                )
            }
            return wanted
        }
        let suffix = path.split(separator: ".").last.map(String.init) ?? ""
        return suffix == "img" ? "raw" : known.contains(suffix) ? suffix : "qcow2"
    }

    /// Gives a disk another size; a running machine's guest is told.
    package func resizeDisk(_ request: ResizeDiskRequest) async throws {
        try requireAbsolute(request.path)
        let format = try await context.formatOfDisk(
            request.path,
            stated: request.format,
            recorded: try await recordedFormat(request.path, stated: request.format)
        )
        try await requireDisk(request, format)
        let info = try await context.images.info(request.path, format: format.rawValue)
        let shrinks = request.sizeBytes < info.virtualSizeBytes
        if shrinks && request.shrink != true {
            throw APIError(
                .invalidArgument,
                "\(request.path) has \(ByteCount(bytes: info.virtualSizeBytes)): making it smaller cuts off its end; "
                    + "say --shrink when that is meant"
            )
        }
        try requireDiskSize(request.sizeBytes, format: format.rawValue)
        try await requireUnneeded(request.path, to: "resize")
        if format == .vhdx {
            throw APIError(.unsupported, "VHDX disks cannot be resized: convert \(request.path) to qcow2")
        }
        for machine in machines.values {
            // The drives of a broken machine are unknown; QEMU's lock on a disk in use stands before any other.
            guard await machine.isActive, !(await machine.isBroken) else { continue }
            if shrinks, try await machine.load().drives.contains(where: { $0.path == request.path }) {
                throw APIError(
                    .invalidState,
                    "\(request.path) is in use by \(await machine.name): stop it before shrinking"
                )
            }
            if try await machine.resizeRunning(request.path, sizeBytes: request.sizeBytes) { return }
        }
        try await context.images.resize(
            request.path,
            format: format.rawValue,
            sizeBytes: request.sizeBytes,
            shrink: shrinks
        )
    }

    /// Refuses files that are no disks as far as anybody knows: any file is a raw disk by its looks.
    private func requireDisk(_ request: ResizeDiskRequest, _ format: RoostSettings.DiskFormat) async throws {
        var isDisk = request.path.hasPrefix(context.directory.disks + "/")
        for machine in machines.values {
            // A broken machine's drives are unknown.
            for drive in (try? await machine.load().drives) ?? [] where drive.path == request.path {
                guard drive.kind == .hardDisk else {
                    throw APIError(
                        .invalidArgument,
                        "\(request.path) is in a DVD or floppy drive of \(await machine.name): only hard disks get another size"
                    )
                }
                isDisk = true
            }
        }
        guard isDisk || format != .raw || request.format != nil else {
            throw APIError(
                .invalidArgument,
                "\(request.path) is no disk of this host, and looks like none: say --format raw if it is one all the same"
            )
        }
    }

    /// The format that a machine's configuration records for a disk: that of one that has it before that of one that had.
    ///
    /// - Throws: `APIError` `.invalidArgument` when another one is stated for a disk that is attached.
    func recordedFormat(_ path: String, stated: String?) async throws -> RoostSettings.DiskFormat? {
        var earlier: RoostSettings.DiskFormat?
        for machine in machines.values {
            // A broken machine records nothing that could be read.
            guard let configuration = try? await machine.load(), let format = configuration.roost.diskFormats[path]
            else { continue }
            guard configuration.drives.contains(where: { $0.path == path }) else {
                earlier = format
                continue
            }
            if let stated, stated != format.rawValue {
                throw APIError(
                    .invalidArgument,
                    "the disk \(path) is attached to \(configuration.name) as \(format.rawValue), not \(stated)"
                )
            }
            return format
        }
        return earlier
    }

    /// Attaches a file to a machine; what any machine used it as decides its format, unless that is stated.
    package func attachDisk(to reference: String, _ request: AttachDiskRequest) async throws -> DriveInfo {
        try requireAbsolute(request.path)
        try await requireUnneeded(request.path, to: "attach")
        let recorded = try await recordedFormat(request.path, stated: nil)
        return try await machine(reference).attach(request, recorded: recorded)
    }

    /// The files that all machines but one need, those that their disks stand on among them; nil when a machine's
    /// configuration or a checkpoint cannot be read, and so nobody knows.
    func disksInUse(besides id: GUID) async -> Set<String>? {
        guard context.keeper.shelf.isComplete else { return nil }
        var paths = context.keeper.shelf.disks(besides: id)
        for machine in machines.values where machine.id != id {
            guard let configuration = try? await machine.load() else { return nil }
            paths.formUnion(configuration.drives.compactMap(\.path))
            paths.formUnion(configuration.spareDisks)
        }
        let found = paths
        // Cannot fail: a file that cannot be read stands on none.
        return try? await onDisk { found.union(Self.below(found)) }
    }

    /// The files that some files stand on.
    private static func below(_ paths: Set<String>) -> Set<String> {
        var below: Set<String> = []
        for path in paths {
            var file = path
            while let next = backingFile(of: file), below.insert(next).inserted { file = next }
        }
        return below
    }

    /// Refuses to change a file that a checkpoint relies on, or another file stands on.
    func requireUnneeded(_ path: String, to verb: String) async throws {
        if let checkpoint = context.keeper.shelf.checkpoint(relyingOn: path) {
            throw APIError(
                .busy,
                "cannot \(verb) \(path): the checkpoint \"\(checkpoint.record.name)\" relies on it as it is; remove that one "
                    + "first"
            )
        }
        var paths = context.keeper.shelf.disks(besides: .zero)
        for machine in machines.values {
            // The disks of a broken machine are unknown.
            guard let configuration = try? await machine.load() else { continue }
            let own = configuration.drives.compactMap(\.path)
            if await machine.isSaved, own.contains(path) {
                throw APIError(
                    .busy,
                    "cannot \(verb) \(path): the virtual machine \(await machine.name) has a saved state, which fits the disk as it "
                        + "is; start it first, or give that up with 'roost vm discard-saved-state'"
                )
            }
            paths.formUnion(own)
            // The one that a guest writes to is spare too when its merge was given up.
            guard !configuration.spareDisks.contains(path) || own.contains(path) else { throw standsBelow(path, verb) }
        }
        let found = paths
        if try await onDisk({ Self.below(found).contains(path) }) { throw standsBelow(path, verb) }
    }

    private func standsBelow(_ path: String, _ verb: String) -> APIError {
        APIError(.busy, "cannot \(verb) \(path): a disk of a virtual machine or a checkpoint stands on it as it is")
    }
}
