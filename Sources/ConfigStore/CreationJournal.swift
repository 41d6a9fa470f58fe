package import DurableFiles
package import RoostPrimitives
import VMConfiguration

/// Undoes the creation of a machine that was cut off: the paths that it was going to make, written before any of them.
///
/// The configuration is made last and deleted first, each durably: where it is, everything else is too. Its second copy
/// comes behind it and needs no line here.
package struct CreationJournal: Sendable {
    private let path: String
    private let files: any FileSystem

    /// Begins a creation that will make the given paths in this order, none of which exists yet.
    package init(
        _ id: GUID,
        paths: [String],
        in directory: StateDirectory,
        files: any FileSystem = FileAccess.system
    ) throws(StoreError) {
        path = directory.creationJournal(id)
        self.files = files
        // A line is a path.
        for made in paths where made.utf8.contains(10) {
            throw StoreError(.failed, "the path \(made.debugDescription) holds a line break: rename the file")
        }
        let others = try asStore { () throws(FileError) in try files.names(in: directory.virtualMachines) }
        for name in others where name.hasSuffix(".creating") {
            guard let bytes = try? files.contents(of: "\(directory.virtualMachines)/\(name)", limit: 1 << 20) else {
                continue
            }
            let taken = Set(String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init))
            guard let path = paths.first(where: taken.contains) else { continue }
            throw StoreError(
                .busy,
                "\(path) is being made, or was and could not be deleted: restart roostd, which tries again"
            )
        }
        for made in paths where files.exists(made) { throw StoreError(.exists, "\(made) exists already") }
        let text = Array(paths.joined(separator: "\n").utf8)
        try asStore { [path] () throws(FileError) in try files.replace(path, with: text) }
    }

    /// The creation is complete.
    package func finish() throws(StoreError) {
        try asStore { () throws(FileError) in try files.removeDurably(path) }
    }

    /// The creation failed: deletes what it made.
    package func undo() { Self.undo(path, files) }

    /// Finishes or undoes what an earlier roostd left: a machine whose configuration is there is complete.
    ///
    /// Temporary files of writers that were cut off go too. Nobody else may use the directory meanwhile.
    /// Returns the identifiers of the machines whose creation was undone.
    package static func recover(
        in directory: StateDirectory,
        files: any FileSystem = FileAccess.system
    ) throws(StoreError) -> [GUID] {
        let folders = [
            directory.virtualMachines, directory.copies, directory.root, directory.snapshots,
            directory.ofCheckpoints.copies,
        ]
        for folder in folders where files.isFolder(folder) {
            try asStore { () throws(FileError) in try files.removeLeftovers(in: folder) }
        }
        var undone: [GUID] = []
        let names = try asStore { () throws(FileError) in try files.names(in: directory.virtualMachines) }
        for name in names where name.hasSuffix(".creating") {
            guard let id = GUID(name.dropLast(".creating".count)) else { continue }
            let journal = directory.creationJournal(id)
            // Its format is not known here: a configuration of any makes the machine complete.
            if [.vmcx, .xml].contains(where: { files.exists(directory.configuration(id, $0)) }) {
                try asStore { () throws(FileError) in try files.removeDurably(journal) }
            } else {
                undo(journal, files)
                undone.append(id)
            }
        }
        return undone
    }

    private static func undo(_ journal: String, _ files: any FileSystem) {
        // Best effort: what cannot be deleted now is tried again at the next start, as the journal stays then.
        guard let bytes = try? files.contents(of: journal, limit: 1 << 20) else { return }
        let paths = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        var isComplete = true
        for path in paths.reversed() where files.exists(path) {
            do {
                if files.isFolder(path) {
                    // A folder that somebody else uses by now stays.
                    do { try files.removeFolder(path) } catch  where error.code == .exists { continue }
                } else {
                    try files.remove(path)
                }
                try files.syncFolder(parentFolder(of: path))
            } catch {
                isComplete = false
            }
        }
        if isComplete { _ = try? files.removeDurably(journal) }
    }
}
