package import DurableFiles
import RoostPrimitives

/// Names files that are about to be made for a change of disks, so that those that come to nothing can go.
///
/// Unlike a ``CreationJournal``, it does not say by itself whether the change has happened: a file stays when any
/// configuration or checkpoint names it, or a file that stays stands on it.
package struct BranchingNote: Sendable, Hashable {
    /// The files, by their absolute paths.
    package var paths: [String]
    private let path: String
    private let files: any FileSystem

    package static func == (left: BranchingNote, right: BranchingNote) -> Bool {
        left.path == right.path && left.paths == right.paths
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(path)
        hasher.combine(paths)
    }

    /// Writes the note, durably; none of the files exists yet.
    ///
    /// - Throws: `StoreError` `.exists` when one does, `.failed` for a path that a note cannot hold.
    package init(
        making paths: [String],
        in directory: StateDirectory,
        files: any FileSystem = FileAccess.system
    ) throws(StoreError) {
        self.paths = paths
        self.files = files
        path = "\(directory.snapshots)/\(GUID.random().uppercased)\(Self.ending)"
        for made in paths {
            guard made.hasPrefix("/"), !made.utf8.contains(10) else {
                throw StoreError(.failed, "the path \(made.debugDescription) is not absolute, or holds a line break")
            }
            guard !files.exists(made) else { throw StoreError(.exists, "\(made) exists already") }
        }
        let text = Array(paths.joined(separator: "\n").utf8)
        try asStore { [path] () throws(FileError) in try files.replace(path, with: text) }
    }

    private init(path: String, paths: [String], files: any FileSystem) {
        (self.path, self.paths, self.files) = (path, paths, files)
    }

    private static let ending = ".branching"

    /// The notes that an earlier roostd has left.
    package static func found(
        in directory: StateDirectory,
        files: any FileSystem = FileAccess.system
    ) throws(StoreError) -> [BranchingNote] {
        try asStore { () throws(FileError) in
            try files.names(in: directory.snapshots).filter { $0.hasSuffix(ending) }.sorted().map {
                name throws(FileError) in
                let path = "\(directory.snapshots)/\(name)"
                let bytes = try files.contents(of: path, limit: 1 << 20)
                let paths = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
                return BranchingNote(path: path, paths: paths, files: files)
            }
        }
    }

    /// Deletes the files that nobody needs, then the note.
    ///
    /// - Parameter isNeeded: whether a file that exists is named by something that stays.
    /// - Throws: what the disk reports; the note is still there then, and this can be called again.
    package func finish(keeping isNeeded: (String) -> Bool) throws(StoreError) {
        for made in paths where files.exists(made) && !isNeeded(made) {
            try asStore { () throws(FileError) in try files.removeDurably(made) }
        }
        try asStore { () throws(FileError) in try files.removeDurably(path) }
    }
}
