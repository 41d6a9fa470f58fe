import ConfigStore
import QEMUDriver
import QMP
import RoostAPI
import VMConfiguration

/// Merging into the file below while the guest writes.
///
/// At the end there is a moment at which both files read the same and the guest stands still. QEMU goes on in the lower
/// file, then the configuration names it, then the guest goes on: cut anywhere, either file is right.
extension CheckpointKeeper {
    /// Lets the guest go on in the lower file of a merge that is ready.
    func goOn(in lower: String, _ format: RoostSettings.DiskFormat, _ machine: Machine) async throws {
        guard let running = machine.running, let standstill = machine.standstill else {
            throw APIError(.internal, "a merge of disks has no way to let the guest stand still")
        }
        // From here on nobody's change of mind counts.
        try await uncancelled {
            do {
                _ = try await standstill { machine in
                    try await running.completeMerge()
                    try await onDisk { try syncFile(lower) }
                    try await followQEMU(machine)
                }
            } catch {
                _ = try? await running.endMerge()
                throw error
            }
        }
    }

    /// Lets the configuration name the files that QEMU uses, where it has gone on in a lower one; gives up a merge that an
    /// earlier roostd has begun.
    ///
    /// The guest must not write before that has been done. Nothing to do most of the time.
    func followQEMU(_ machine: Machine) async throws {
        guard let running = machine.running else { return }
        try await running.endMerge()
        var lowered: [String: String] = [:]
        let configuration = try await machine.load()
        for drive in configuration.drives where drive.kind == .hardDisk {
            guard let path = drive.path, let used = try await running.topNode(drive.location)?.path, used != path else {
                continue
            }
            lowered[path] = used
        }
        for (path, used) in lowered where configuration.roost.diskFormats[path] ?? .qcow2 == .qcow2 {
            // QEMU is ahead of the configuration in a higher file while a checkpoint is made, which is another matter.
            guard let format = try await format(of: used, below: path) else { continue }
            _ = try await machine.commit { try $0.useDisks([path: used], format: format) }
        }
    }

    /// The format of a file that a qcow2 file stands on; nil when it does not.
    private func format(of lower: String, below path: String) async throws -> RoostSettings.DiskFormat? {
        var upper = path
        var seen: Set<String> = []
        while seen.insert(upper).inserted, fileExists(upper) {
            let info = try await images.info(upper, format: "qcow2")
            if info.backingFile == lower { return RoostSettings.DiskFormat(rawValue: info.backingFormat ?? "raw") }
            // Only the lowest file may be of another format, and what a guest has written there names nothing.
            guard let base = info.backingFile, info.backingFormat == "qcow2" else { return nil }
            upper = base
        }
        return nil
    }
}
