import ConfigStore
import QEMUDriver
package import RoostAPI
import RoostPrimitives
import VMConfiguration

extension Host {
    /// All disks: the files in `Virtual Hard Disks`, and those attached elsewhere.
    package func disks() async throws -> [DiskInfo] {
        var attached: [String: [String]] = [:]
        for machine in machines.values {
            // A broken machine's disks are unknown; its entry in the list of machines says why.
            guard let drives = try? await machine.load().drives else { continue }
            let name = await machine.name
            for path in drives.filter({ $0.kind != .floppy }).compactMap(\.path) {
                attached[path, default: []].append(name)
            }
        }
        let root = context.directory.disks
        let found = try await onDisk { try Self.files(below: root) }
        var result: [DiskInfo] = []
        for path in Set(found).union(attached.keys).sorted() {
            guard let info = try? await context.images.info(path) else { continue }
            result.append(
                DiskInfo(
                    path: path,
                    format: info.format,
                    virtualSizeBytes: info.virtualSizeBytes,
                    actualSizeBytes: info.actualSizeBytes,
                    backingFile: info.backingFile,
                    attachedTo: attached[path]?.sorted() ?? []
                )
            )
        }
        return result
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
        let format = try diskFormat(request.format, path: path)
        guard disksBeingMade.insert(path).inserted else {
            throw APIError(.busy, "the disk \(path) is being made already")
        }
        defer { disksBeingMade.remove(path) }
        do {
            try await context.images.create(path, sizeBytes: request.sizeBytes, format: format)
        } catch let error as EngineError where error.code == .invalidArgument {
            throw APIError(.exists, error.message)
        }
        let user = context.user
        try await onDisk { try user.takeOwnership(of: path) }
        return path
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
        let info = try await context.images.info(request.path)
        let shrinks = request.sizeBytes < info.virtualSizeBytes
        if shrinks && request.shrink != true {
            throw APIError(
                .invalidArgument,
                "\(request.path) has \(ByteCount(bytes: info.virtualSizeBytes)): making it smaller cuts off its end; "
                    + "say --shrink when that is meant"
            )
        }
        if info.format == "vhdx" {
            throw APIError(.unsupported, "VHDX disks cannot be resized: convert \(request.path) to qcow2")
        }
        for machine in machines.values {
            guard [.starting, .running, .paused, .stopping].contains(await machine.state) else { continue }
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
            format: await recordedFormat(request.path) ?? info.format,
            sizeBytes: request.sizeBytes,
            shrink: shrinks
        )
    }

    /// The format that a machine's configuration records for a disk: what a guest wrote into a raw disk must not decide.
    private func recordedFormat(_ path: String) async -> String? {
        for machine in machines.values {
            // A broken machine records nothing that could be read.
            if let format = try? await machine.load().roost.diskFormats[path] { return format.rawValue }
        }
        return nil
    }

    /// The disks of all machines but one, as far as their configurations can be read.
    func disksInUse(besides id: GUID) async -> Set<String> {
        var paths: Set<String> = []
        for machine in machines.values where machine.id != id {
            guard let drives = try? await machine.load().drives else { continue }
            paths.formUnion(drives.compactMap(\.path))
        }
        return paths
    }
}
