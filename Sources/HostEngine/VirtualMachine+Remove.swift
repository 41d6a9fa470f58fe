import ConfigStore
import Logging
import QEMUDriver
import RoostAPI
import RoostPrimitives
import VMConfiguration

#if canImport(Glibc)
    import Glibc
#endif

extension VirtualMachine {
    /// Deletes the machine's files; returns what the user should know.
    ///
    /// The configuration goes last, so that a removal that is cut off can be repeated.
    ///
    /// - Parameter shared: disks that other machines use too; they stay in any case.
    func remove(disks: Bool, shared: Set<String>) async throws -> [String] {
        try await gate.run { try await removeFiles(disks: disks, shared: shared) }
    }

    private func removeFiles(disks: Bool, shared: Set<String>) async throws -> [String] {
        if isRemoved { throw APIError(.notFound, "the virtual machine \(name) has been removed") }
        if cycle.damage != nil { return try await removeBroken() }
        try requireEnded("remove")
        try requireDisksAtRest("remove")
        try requireCheckpointsUnread("remove")
        // A record written behind the removal would bring its file back.
        await finishRecordWrites()
        try await settleCheckpoints()
        let configuration = try await load()
        try requireEnded("remove")
        let root = host.directory.disks + "/"
        let checkpoints = host.keeper.shelf.checkpoints(of: id) + host.keeper.shelf.armed(of: id)
        let named =
            configuration.drives.filter { $0.kind == .hardDisk }.compactMap(\.path)
            + checkpoints.flatMap { $0.record.disks.map(\.path) } + configuration.spareDisks
        var seen: Set<String> = []
        let own = named.filter { path in
            path.hasPrefix(root) && !path.split(separator: "/").contains("..") && seen.insert(path).inserted
        }
        let wanted = disks ? own.filter { !shared.contains($0) } : []
        let deleted = try await onDisk { try Self.unneeded(wanted) }
        let (store, directory, id, path) = (host.store, host.directory, id, path)
        let keeper = host.keeper
        if !checkpoints.isEmpty {
            // A removal that is cut off and repeated must still know of them.
            _ = try await commit { [named] configuration in
                let drives = Set(configuration.drives.compactMap(\.path))
                configuration.spareDisks = named.filter { !drives.contains($0) }
            }
        }
        isRemoved = true
        // Whatever was on its way when the machine was marked as removed.
        await finishRecordWrites()
        do {
            for checkpoint in checkpoints { try await keeper.forget(checkpoint) }
            try await fileGate.run {
                try await onDisk {
                    // Without checkpoints it would keep nothing from being deleted.
                    try BranchingNote(of: id, in: directory)?.finish { _ in true }
                    // A note that its creation could not delete would undo the disks of a later machine.
                    try FileAccess.remove(directory.creationJournal(id))
                    for disk in deleted {
                        try FileAccess.remove(disk)
                        let folder = FileAccess.folder(of: disk)
                        // Stays when something else lies in it.
                        if folder != directory.disks { rmdir(folder) }
                    }
                    for file in [directory.seed(id), directory.guestState(id)] { try store.removeKept(file) }
                    try store.removeSealed(id)
                    let saved = directory.savedState(id)
                    for file in [saved, SavedStateWriter.temporary(saved), directory.resumedState(id)] {
                        try FileAccess.remove(file)
                    }
                    for file in [directory.runRecord(id), path] { try store.remove(path: file) }
                }
            }
        } catch {
            isRemoved = false
            throw error
        }
        host.folder(id.uppercased).remove()
        let kept = own.filter { !deleted.contains($0) }
        let why = disks ? "other machines or files need them" : "--remove-disks deletes them"
        let notes = kept.isEmpty ? [] : ["disks that stay (\(why)): " + kept.joined(separator: ", ")]
        return notes + (await others(besides: []))
    }

    /// Those of some files that no other file beside them stands on: one that was detached may.
    private static func unneeded(_ paths: [String]) throws -> [String] {
        var left = paths
        let folders = Set(paths.map { FileAccess.folder(of: $0) })
        let beside = try folders.flatMap { folder in try FileAccess.names(in: folder).map { "\(folder)/\($0)" } }
        for path in beside where !paths.contains(path) {
            var file = path
            var seen: Set<String> = []
            while let below = backingFile(of: file), seen.insert(below).inserted {
                left.removeAll { $0 == below }
                file = below
            }
        }
        return left
    }

    private func removeBroken() async throws -> [String] {
        guard !cycle.isActive else {
            throw APIError(.invalidState, "cannot remove \(name): its guest still runs; turn it off first")
        }
        isRemoved = true
        await finishRecordWrites()
        let (store, directory, id, path) = (host.store, host.directory, id, path)
        // With the time in its name no earlier one is replaced. Who mends the configuration wants the others too.
        let suffix = ".removed-\(secondsSinceEpoch())"
        let parts = [path, directory.guestState(id), directory.seed(id)]
        var checkpoints: [String] = []
        do {
            checkpoints = try await setCheckpointsAside(suffix)
            try await fileGate.run {
                try await onDisk {
                    for part in parts { try store.setAside(path: part, as: part + suffix) }
                    try store.remove(path: directory.runRecord(id))
                }
            }
        } catch {
            isRemoved = false
            throw error
        }
        let copies = directory.ofCheckpoints.copies
        let files = [(parts, directory.copies), (checkpoints, copies)].flatMap { paths, copies in
            paths.flatMap { ["\($0)\(suffix)", "\(copies)/\($0.split(separator: "/").last ?? "")\(suffix).kept"] }
        }.filter { fileExists($0) }
        let notes =
            files.isEmpty ? [] : ["what is left of its configuration is kept as " + files.joined(separator: " and ")]
        return notes + (await others(besides: files))
    }

    /// Lets the checkpoints of a broken machine count no more; their files stay under other names.
    ///
    /// - Returns: the names that they had.
    private func setCheckpointsAside(_ suffix: String) async throws -> [String] {
        let (shelf, directory) = (host.keeper.shelf, host.directory.ofCheckpoints)
        var paths: [String] = []
        for checkpoint in shelf.checkpoints(of: id) + shelf.armed(of: id) {
            let own = [checkpoint.path, directory.guestState(checkpoint.id)]
            try await shelf.using { store in
                for path in own { try store.configurations.setAside(path: path, as: path + suffix) }
            }
            shelf.take(checkpoint.id)
            paths += own
        }
        return paths
    }

    /// Names what still lies in the folders of machines and copies under the machine's identifier: damaged and sealed files.
    private func others(besides files: [String]) async -> [String] {
        let (directory, id) = (host.directory, id)
        var found: [String] = []
        for folder in [directory.virtualMachines, directory.copies] where fileExists(folder) {
            do {
                found += try await onDisk { try FileAccess.names(in: folder) }
                    .filter { $0.hasPrefix("\(id.uppercased).") }.map { "\(folder)/\($0)" }
            } catch {
                return ["what else is left of it is not known: \(APIError(translating: error).description)"]
            }
        }
        found.removeAll(where: files.contains)
        return found.isEmpty ? [] : ["files of earlier states stay: " + found.sorted().joined(separator: ", ")]
    }
}
