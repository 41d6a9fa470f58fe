import ConfigStore
import QEMUDriver
import RoostAPI
import RoostPrimitives
import VMConfiguration

/// Whether the files that checkpoints rely on are still what they were.
///
/// A file that another one stands on says nothing of a change itself: what the guest reads would be a mixture of both.
/// Hyper-V refuses such a chain by the identifiers in its files (Set-VHD -IgnoreIdMismatch); qcow2 has none.
extension CheckpointKeeper {
    /// A file that is not what it was when a checkpoint began to rely on it.
    struct ChangedDisk: Sendable {
        var path: String
        var checkpoint: StoredCheckpoint
        var isMissing: Bool

        /// What it means for whoever needs the file.
        ///
        /// - Parameter machine: the machine that the reader thinks of.
        func sentence(for machine: GUID) -> String {
            let owner = checkpoint.record.machine
            let whose = owner == machine ? "" : " of the machine \(owner)"
            let found =
                isMissing
                ? "is gone"
                : "was changed or replaced by another program since: what it held then is not known any more"
            return "\(path), on which the checkpoint \"\(checkpoint.record.name)\"\(whose) relies, \(found)"
        }
    }

    /// Finds which of some files, and of those that they stand on, are not as the checkpoints know them; blocks on the disk.
    ///
    /// - Parameter formats: what the files are; of a raw one the guest says what stands in it.
    func changedDisks(of paths: [String], _ formats: [String: RoostSettings.DiskFormat]) -> [ChangedDisk] {
        var found: [ChangedDisk] = []
        var open = paths
        var seen: Set<String> = []
        while let path = open.popLast() {
            guard seen.insert(path).inserted else { continue }
            let known = shelf.known(path)
            if let (checkpoint, disk) = known, !disk.isAsKnown(fileStatus(path)),
                // Roost itself may have changed it meanwhile.
                shelf.known(path)?.disk == disk
            {
                found.append(ChangedDisk(path: path, checkpoint: checkpoint, isMissing: !fileExists(path)))
            }
            let format =
                known?.disk.format ?? formats[path]
                ?? (paths.contains(path) || BranchPlan.isOverlay(path) ? .qcow2 : nil)
            if format == .qcow2, let below = backingFile(of: path) { open.append(below) }
        }
        return found
    }

    /// Makes sure that the disks of a checkpoint, and all that they stand on, are as they were.
    ///
    /// - Throws: `APIError` `.corrupt` when one is not; `.notFound` for one that is gone.
    func requireUnchanged(_ checkpoint: StoredCheckpoint) async throws {
        let paths = checkpoint.record.disks.map(\.path)
        guard let first = try await onDisk({ changedDisks(of: paths, [:]) }).first else { return }
        let remedy =
            first.isMissing ? "" : ", or, when it is the right one, start the machine once with --accept-changed-disks"
        throw APIError(
            first.isMissing ? .notFound : .corrupt,
            "cannot use the checkpoint \"\(checkpoint.record.name)\": \(first.sentence(for: checkpoint.record.machine)); put the "
                + "right file back\(remedy)"
        )
    }

    /// Makes sure that nothing below a machine's disks was changed by others.
    ///
    /// - Parameter what: what cannot be done otherwise, as in "start".
    /// - Throws: `APIError` `.corrupt` when something was; `.notFound` when it is gone.
    func requireUnchangedBelow(_ configuration: VirtualMachineConfiguration, _ what: String) async throws {
        try Self.refuse(try await changedBelow(configuration), configuration, what)
    }

    /// A file below a machine's disks that others have changed; nil when there is none.
    func changedBelow(_ configuration: VirtualMachineConfiguration) async throws -> ChangedDisk? {
        let tops = Self.hardDisks(of: configuration)
        let formats = configuration.roost.diskFormats
        return try await onDisk { changedDisks(of: tops, formats) }.first
    }

    /// The same for whoever merges files: of all that the machine's checkpoints rely on nothing was changed by others.
    ///
    /// What is gone is merged with nothing.
    func requireUnchangedAround(_ configuration: VirtualMachineConfiguration, _ what: String) async throws {
        let changed = try await changedDisks(around: configuration)
        try Self.refuse(changed.first { !$0.isMissing }, configuration, what)
    }

    /// Takes what the machine's checkpoints rely on as it is; returns what had changed.
    func acceptChanges(around configuration: VirtualMachineConfiguration) async throws -> [ChangedDisk] {
        let changed = try await changedDisks(around: configuration).filter { change in
            change.checkpoint.record.machine == configuration.id && !change.isMissing
        }
        guard !changed.isEmpty else { return [] }
        try await note(relying: Set(changed.map(\.path)), configuration.id) { disk in
            if let status = fileStatus(disk.path) { (disk.sizeInBytes, disk.changed) = (status.size, status.changed) }
        }
        return changed
    }

    /// The disks of a checkpoint, with what is wrong with each or with one that it stands on.
    func rows(of checkpoint: StoredCheckpoint) async throws -> [CheckpointDetail.Disk] {
        try await onDisk {
            checkpoint.record.disks.map { disk in
                CheckpointDetail.Disk(
                    path: disk.path,
                    sizeBytes: disk.sizeInBytes,
                    problem: changedDisks(of: [disk.path], [:]).first?.sentence(for: checkpoint.record.machine)
                )
            }
        }
    }

    private func changedDisks(around configuration: VirtualMachineConfiguration) async throws -> [ChangedDisk] {
        let paths = Self.hardDisks(of: configuration) + shelf.disks(of: configuration.id).sorted()
        let formats = configuration.roost.diskFormats
        return try await onDisk { changedDisks(of: paths, formats) }
    }

    private static func refuse(
        _ change: ChangedDisk?,
        _ configuration: VirtualMachineConfiguration,
        _ what: String
    ) throws(APIError) {
        guard let change else { return }
        let name = configuration.name
        var remedy = "put the right file back"
        if !change.isMissing, change.checkpoint.record.machine != configuration.id {
            remedy += ", or, when it is the right one, start that machine once with --accept-changed-disks"
        } else if !change.isMissing {
            remedy +=
                ", or, when it is the right one, \(what == "start" ? "" : "stop the machine, and ")start it with 'roost vm start "
                + "\(name) --accept-changed-disks'"
        }
        throw APIError(
            change.isMissing ? .notFound : .corrupt,
            "cannot \(what) \(name): \(change.sentence(for: configuration.id)); \(remedy)"
        )
    }

    private static func hardDisks(of configuration: VirtualMachineConfiguration) -> [String] {
        configuration.drives.filter { $0.kind == .hardDisk }.compactMap(\.path)
    }
}

extension CheckpointRecord.Disk {
    /// Whether a file that looks like this is the one that was written down.
    ///
    /// Of one that Roost itself is changing nothing is known. Some programs keep times in whole seconds (tar's own format).
    func isAsKnown(_ status: (size: UInt64, changed: Int64)?) -> Bool {
        guard let status else { return false }
        if changed == 0 { return true }
        let second: Int64 = 1_000_000_000
        return status.size == sizeInBytes
            && (status.changed == changed
                || status.changed % second == 0 && status.changed / second == changed / second)
    }
}
