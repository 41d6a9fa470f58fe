import ConfigStore
import QEMUDriver
import RoostAPI
import RoostPrimitives
import VMConfiguration

/// Giving checkpoints up, and the disk files that nobody needs for themselves behind that.
extension CheckpointKeeper {
    /// Gives checkpoints up; those that came from them come from their nearest ancestor that stays.
    ///
    /// Decided in one transaction of the machine's configuration; whatever is cut off behind it ``settle(_:)`` completes.
    /// Disks are left to ``mergeSpareDisks(of:besides:onProgress:)``.
    func remove(_ ids: Set<GUID>, of machine: Machine) async throws {
        try await settle(machine)
        let checkpoints = shelf.checkpoints(of: machine.id)
        let given = checkpoints.filter { ids.contains($0.id) }
        guard !given.isEmpty else { return }
        let parents = Dictionary(checkpoints.map { ($0.id, $0.record.parent) }) { first, _ in first }
        try await note(machine)
        _ = try await machine.commit { configuration in
            configuration.removedCheckpoints = given.map(\.id)
            var spare = configuration.spareDisks
            for path in given.flatMap({ $0.record.disks.map(\.path) }) where !spare.contains(path) {
                spare.append(path)
            }
            configuration.spareDisks = spare
            // Damaged records may go round in circles.
            var steps = 0
            while let current = configuration.currentCheckpoint, ids.contains(current) {
                steps += 1
                configuration.currentCheckpoint = steps > ids.count ? nil : parents[current] ?? nil
            }
        }
        try await settle(machine)
    }

    /// Deletes the files of checkpoints whose removal is decided.
    func finishRemoval(_ ids: [GUID], of machine: Machine) async throws {
        for id in ids {
            // Gone when the removal was cut off behind it.
            guard let checkpoint = shelf.checkpoints(of: machine.id).first(where: { $0.id == id }) else { continue }
            let parent = checkpoint.record.parent
            for child in shelf.checkpoints(of: machine.id) where child.record.parent == id {
                let moved = try await shelf.using { store in
                    try store.update(child) { _, record in record.parent = parent }
                }
                shelf.put(moved)
            }
            try await forget(checkpoint)
        }
        _ = try await machine.commit { $0.removedCheckpoints = [] }
    }

    // MARK: - Disks

    /// Merges or deletes the files that no state begins with any more, as far as that can be done; the machine is off, or
    /// its guest runs and goes on running.
    ///
    /// Cut off anywhere, every state reads the same, and another call does the rest.
    ///
    /// - Parameters:
    ///   - others: tells the files that other machines need, which stay as they are; nil when nobody knows.
    ///   - onProgress: called with fractions from 0 to 1.
    func mergeSpareDisks(
        of machine: Machine,
        besides others: @Sendable () async -> Set<String>?,
        onProgress: @escaping @Sendable (Double) async -> Void = { _ in }
    ) async throws {
        try await settle(machine)
        var configuration = try await machine.load()
        guard !configuration.spareDisks.isEmpty, shelf.isComplete else { return }
        try await requireUnchangedAround(configuration, "merge the disks of")
        // The next roostd goes on when this is cut off.
        try await note(machine)
        if machine.running == nil { for path in configuration.spareDisks { try await replayLog(of: path) } }
        var done = 0
        while true {
            // Asked anew for each step: a file may have been attached elsewhere meanwhile.
            guard let others = await others() else { break }
            let chains = try await machine.running?.chains() ?? []
            let files = try await layers(of: configuration, machine.id, chains)
            let plan = MergePlan(
                parents: files.parents,
                tops: files.tops,
                spare: Set(configuration.spareDisks.filter { fileExists($0) }),
                untouchable: others.union(files.fixed)
            )
            guard let step = plan.steps.first else { break }
            try Task.checkCancellation()
            let total = Double(done + plan.steps.count)
            let before = Double(done)
            switch step {
            case .delete(let path):
                // The file that a user has named is a user's to delete.
                if BranchPlan.isOverlay(path) { try await delete(path, machine) }
                _ = try await machine.commit { $0.spareDisks.removeAll { $0 == path } }
            case .merge(let upper, let lower):
                try await merge(upper, into: lower, files, chains, machine) {
                    await onProgress((before + $0) / total)
                }
                if BranchPlan.isOverlay(upper) { try await delete(upper, machine) }
            }
            done += 1
            await onProgress(Double(done) / total)
            configuration = try await machine.load()
        }
        // What is left is shared by branches; what is gone, or needed after all, needs no name.
        let tops = try await layers(of: configuration, machine.id, try await machine.running?.chains() ?? []).tops
        let left = configuration.spareDisks.filter { fileExists($0) && !tops.contains($0) }
        if left != configuration.spareDisks { _ = try await machine.commit { $0.spareDisks = left } }
        try await settle(machine, isMerged: true)
    }

    /// The files that a machine and its checkpoints are read from.
    private struct Layers {
        var tops: Set<String> = []
        /// The file that each stands on.
        var parents: [String: String] = [:]
        var formats: [String: String] = [:]
        var sizes: [String: UInt64] = [:]
        /// Files that nothing can be merged into.
        var fixed: Set<String> = []
    }

    private func layers(
        of configuration: VirtualMachineConfiguration,
        _ machine: GUID,
        _ chains: [RunningMachine.Chain]
    ) async throws -> Layers {
        var layers = Layers()
        for path in configuration.drives.filter({ $0.kind == .hardDisk }).compactMap(\.path) {
            layers.formats[path] = configuration.roost.diskFormats[path]?.rawValue ?? "qcow2"
            layers.tops.insert(path)
        }
        for disk in shelf.checkpoints(of: machine).flatMap(\.record.disks) {
            layers.formats[disk.path] = layers.formats[disk.path] ?? disk.format.rawValue
            layers.tops.insert(disk.path)
        }
        // A file that was detached stands on others all the same, whoever it belongs to now.
        let strangers = try await overlays(beside: layers.tops.union(configuration.spareDisks))
        layers.fixed = strangers.subtracting(layers.tops).subtracting(configuration.spareDisks)
        layers.tops.formUnion(layers.fixed)
        var open = layers.tops.union(configuration.spareDisks.filter(BranchPlan.isOverlay)).sorted()
        var seen: Set<String> = []
        while let path = open.popLast() {
            guard seen.insert(path).inserted, fileExists(path) else { continue }
            if let chain = chains.first(where: { $0.paths.first == path }), chain.paths.count == 1 {
                // The guest writes to it; of some formats nobody but QEMU can read more then.
                layers.sizes[path] = chain.size
                continue
            }
            let info = try await images.info(path, format: layers.formats[path] ?? "qcow2")
            layers.sizes[path] = info.virtualSizeBytes
            guard info.format == "qcow2", let base = info.backingFile else { continue }
            layers.parents[path] = base
            // What a file says of the one below counts: a guest may have made a raw disk look like another one.
            layers.formats[base] = layers.formats[base] ?? info.backingFormat ?? "raw"
            open.append(base)
        }
        for (upper, lower) in layers.parents {
            // A VHDX cannot grow, and nothing becomes smaller by a merge.
            let (above, below) = (layers.sizes[upper] ?? 0, layers.sizes[lower] ?? 0)
            if above < below || above != below && layers.formats[lower] == "vhdx" { layers.fixed.insert(lower) }
        }
        // A file with two names is none that could be reasoned about.
        var names: [FileIdentity: String] = [:]
        for path in layers.sizes.keys.sorted() {
            guard let identity = FileIdentity(path) else { continue }
            if let other = names[identity] { layers.fixed.formUnion([path, other]) }
            names[identity] = path
        }
        return layers
    }

    /// The files that stand on others by their names, in the folders of some files.
    private func overlays(beside paths: Set<String>) async throws -> Set<String> {
        let folders = Set(paths.map { FileAccess.folder(of: $0) })
        return try await onDisk {
            var found: Set<String> = []
            for folder in folders {
                let names = try FileAccess.names(in: folder)
                found.formUnion(names.map { "\(folder)/\($0)" }.filter(BranchPlan.isOverlay))
            }
            return found
        }
    }

    private func merge(
        _ upper: String,
        into lower: String,
        _ files: Layers,
        _ chains: [RunningMachine.Chain],
        _ machine: Machine,
        onProgress: @escaping @Sendable (Double) async -> Void
    ) async throws {
        let format = files.formats[lower] ?? "qcow2"
        guard let known = RoostSettings.DiskFormat(rawValue: format) else {
            throw APIError(.unsupported, "the disk \(lower) is of the format \(format), into which nothing is merged")
        }
        // Named as spare before anything else: from the moment that nobody begins with it any more it is to go.
        let wasSpare = try await machine.load().spareDisks.contains(upper)
        if !wasSpare { _ = try await machine.commit { $0.spareDisks.append(upper) } }
        var above = Set(files.parents.filter { $0.value == upper }.keys)
        let chain = chains.first { $0.paths.contains(upper) }
        if let chain, let running = machine.running {
            // QEMU changes the header of the one above itself.
            try await note(relying: above, machine.id) { $0.changed = 0 }
            try await running.merge(upper, into: lower, of: chain, onProgress: onProgress)
            if let child = chain.above(upper) {
                above.remove(child)
                // QEMU leaves the new header to the kernel, and the file that the old one names is about to go.
                try await onDisk { for file in [lower, child] { try syncFile(file) } }
            } else {
                try await goOn(in: lower, known, machine)
            }
        } else {
            try await mergeClosed(upper, into: lower, onProgress)
            // Their headers are about to change, and with them what their checkpoints know of them.
            try await note(relying: above, machine.id) { $0.changed = 0 }
        }
        // Not to be cut off in the middle of a header.
        try await uncancelled { [images, above] in
            for file in above { try await images.changeBase(file, to: lower, format: format) }
        }
        try await learnChanges(of: machine.id)
        for checkpoint in shelf.checkpoints(of: machine.id)
        where checkpoint.record.disks.contains(where: { $0.path == upper }) {
            let changed = try await shelf.using { store in
                let disk = try Self.disk(lower, known)
                return try store.update(checkpoint) { configuration, record in
                    try configuration.useDisks([upper: lower], format: known)
                    record.disks = record.disks.map { $0.path == upper ? disk : $0 }
                }
            }
            shelf.put(changed)
        }
        _ = try await machine.commit { configuration in
            try configuration.useDisks([upper: lower], format: known)
            // The lower file is from now on what the upper one was; the upper one is nothing any more.
            if !wasSpare { configuration.spareDisks.removeAll { $0 == lower } }
        }
    }

    /// Merges two files that no QEMU has open.
    private func mergeClosed(
        _ upper: String,
        into lower: String,
        _ onProgress: @escaping @Sendable (Double) async -> Void
    ) async throws {
        let (progress, continuation) = AsyncStream.makeStream(of: Double.self, bufferingPolicy: .bufferingNewest(1))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { for await fraction in progress { await onProgress(fraction) } }
            defer { continuation.finish() }
            try await images.merge(upper, into: lower) { continuation.yield($0) }
        }
    }

    /// Learns when the files were changed of which that is not known, as Roost was changing them.
    func learnChanges(of machine: GUID) async throws {
        let unknown = shelf.checkpoints(of: machine).flatMap(\.record.disks).filter { $0.changed == 0 }.map(\.path)
        guard !unknown.isEmpty else { return }
        // A time of change that is only in memory would be another one behind a power cut.
        try await onDisk { for path in unknown where fileExists(path) { try syncFile(path) } }
        try await note(relying: Set(unknown), machine) { disk in
            if let status = fileStatus(disk.path) { (disk.sizeInBytes, disk.changed) = (status.size, status.changed) }
        }
    }

    /// Changes what the checkpoints of a machine know of some files.
    func note(
        relying paths: Set<String>,
        _ machine: GUID,
        _ change: @escaping @Sendable (inout CheckpointRecord.Disk) -> Void
    ) async throws {
        for checkpoint in shelf.checkpoints(of: machine) {
            guard checkpoint.record.disks.contains(where: { paths.contains($0.path) }) else { continue }
            let changed = try await shelf.using { store in
                try store.update(checkpoint) { _, record in
                    for index in record.disks.indices where paths.contains(record.disks[index].path) {
                        change(&record.disks[index])
                    }
                }
            }
            shelf.put(changed)
        }
    }

    private func delete(_ path: String, _ machine: Machine) async throws {
        try await machine.running?.close(path)
        try await onDisk { try FileAccess.remove(path) }
    }

    /// Puts the changes in a VHDX's log in their place: a merge into it that was cut off leaves some, and QEMU does not read
    /// such a file from another one.
    func replayLog(of path: String) async throws {
        guard [".vhdx", ".avhdx"].contains(where: path.lowercased().hasSuffix), fileExists(path) else { return }
        do {
            _ = try await images.info(path, format: "vhdx")
        } catch let error as EngineError where DiskImages.saysLogIsDirty(error) {
            try await images.repair(path, format: "vhdx")
        }
    }
}
