import DurableFiles
package import RoostPrimitives
import VMConfiguration

#if canImport(Glibc)
    import Glibc
#endif

/// Undoes the creation of a machine that was cut off: the paths that it was going to make, written before any of them.
///
/// The configuration is made last and deleted first, each durably: where it is, everything else is too.
package struct CreationJournal: Sendable {
    private let path: String

    /// Begins a creation that will make the given paths in this order, none of which exists yet.
    package init(_ id: GUID, paths: [String], in directory: StateDirectory) throws(StoreError) {
        path = directory.creationJournal(id)
        for made in paths where access(made, F_OK) == 0 { throw StoreError(.exists, "\(made) exists already") }
        try FileAccess.write(Array(paths.joined(separator: "\n").utf8), to: path)
    }

    /// The creation is complete.
    package func finish() throws(StoreError) { try FileAccess.remove(path) }

    /// The creation failed: deletes what it made.
    package func undo() { Self.undo(path) }

    /// Finishes or undoes what an earlier roostd left: a machine whose configuration is there is complete.
    ///
    /// Returns the identifiers of the machines whose creation was undone.
    package static func recover(in directory: StateDirectory) throws(StoreError) -> [GUID] {
        for folder in [directory.virtualMachines, directory.copies, directory.root] {
            try asStore { () throws(FileError) in try FileAccess.system.removeLeftovers(in: folder) }
        }
        var undone: [GUID] = []
        for name in try FileAccess.names(in: directory.virtualMachines) where name.hasSuffix(".creating") {
            guard let id = GUID(name.dropLast(".creating".count)) else { continue }
            let journal = directory.creationJournal(id)
            // Its format is not known any more: the machine is complete when it has a configuration of any.
            if access(directory.configuration(id, .vmcx), F_OK) == 0 || access(directory.configuration(id, .xml), F_OK) == 0
            {
                try FileAccess.remove(journal)
            } else {
                undo(journal)
                undone.append(id)
            }
        }
        return undone
    }

    private static func undo(_ journal: String) {
        // Best effort: what cannot be deleted now is tried again at the next start, as the journal stays then.
        guard let bytes = try? FileAccess.read(journal, limit: 1 << 20) else { return }
        let paths = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        var isComplete = true
        for path in paths.reversed() {
            if unlink(path) == 0 || rmdir(path) == 0 {
                _ = try? FileAccess.syncFolder(of: path)
            } else if ![ENOENT, ENOTEMPTY, ENOTDIR].contains(errno) {
                // ENOTEMPTY: a folder that somebody else uses by now stays.
                isComplete = false
            }
        }
        if isComplete { unlink(journal) }
    }
}
