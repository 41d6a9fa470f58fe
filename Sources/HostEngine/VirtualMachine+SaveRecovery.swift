import ConfigStore
import Logging
import QEMUDriver
import RoostPrimitives

/// What is left of a saved state by a start or a save that came to nothing, and by an earlier roostd.
extension VirtualMachine {
    /// Gives the file its name again: QEMU has refused to let the guest run, so that it has not changed anything.
    func keepSavedState() async throws {
        let (from, to) = (host.directory.resumedState(id), host.directory.savedState(id))
        try await onDisk { if fileExists(from) { try FileAccess.rename(from, to: to) } }
    }

    /// Deletes the file from which the guest has gone on; nobody waits for the tenth of a second that a GiB takes.
    func finishGoingOn() {
        let path = host.directory.resumedState(id)
        resumedStateRemoval = Task {
            // At worst it takes room until the next save.
            _ = try? await onDisk { try FileAccess.remove(path) }
        }
    }

    /// Finds a complete saved state at roostd's start, and ends a QEMU that has not gone on from it; what a save or a start
    /// that was cut off has left otherwise goes.
    func recoverSavedState() async -> Bool {
        let (directory, id) = (host.directory, id)
        let path = directory.savedState(id)
        let isUsed = fileExists(directory.resumedState(id))
        // What is left of a cut is no state any more.
        _ = try? await onDisk {
            for file in [SavedStateWriter.temporary(path), directory.resumedState(id)] { try FileAccess.remove(file) }
        }
        guard fileExists(path) else { return recoverMissingSavedState(isUsed: isUsed) }
        // Whoever saves a guest, or lets it go on, says so first. This one ran without, and has written to its disks since.
        if [.running, .stopping].contains(record.phase), record.standstill == .none {
            host.log.warning("a saved state that belongs to nothing is deleted", metadata: ["machine": "\(name)"])
            _ = try? await deleteSavedState()
            return false
        }
        if let process = leftQEMU() {
            process.signal(9)
            _ = await process.end()
        }
        host.folder(id.uppercased).remove(keepingLog: true)
        if record.phase != .off || record.standstill != .none {
            var off = record
            off.phase = .off
            off.standstill = .none
            write(off)
        }
        note(hasSavedState: true)
        return true
    }

    /// Finds at roostd's start that the machine is saved and its file is gone: its start is refused until that is back, or
    /// given up.
    private func recoverMissingSavedState(isUsed: Bool) -> Bool {
        guard !record.savedDisks.isEmpty else { return false }
        guard !isUsed, record.phase == .off, record.standstill == .none else {
            var next = record
            next.savedDisks = []
            write(next)
            return false
        }
        host.log.error(
            "a saved state is gone",
            metadata: ["machine": "\(name)", "file": "\(host.directory.savedState(id))"]
        )
        note(hasSavedState: true)
        return true
    }
}
