package import DurableFiles
package import RoostPrimitives

/// Names files that are about to be made for a machine's change of disks, so that those that come to nothing can go.
///
/// A machine has one at most: `Snapshots/<GUID of the machine>.branching`, a path in each line.
///
/// Unlike a ``CreationJournal``, it does not say by itself whether the change has happened: a file stays when any
/// configuration or checkpoint names it, or a file that stays stands on it.
package struct BranchingNote: Sendable, Hashable {
    /// The machine whose disks change.
    package let machine: GUID
    /// The files, by their absolute paths.
    package let paths: [String]
    private let path: String
    private let files: any FileSystem

    package static func == (left: BranchingNote, right: BranchingNote) -> Bool {
        left.path == right.path && left.paths == right.paths
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(path)
        hasher.combine(paths)
    }

    /// Writes the note, durably; none of the files to be made exists yet.
    ///
    /// - Parameter dropped: files that are there and that may not be needed any more behind the change.
    /// - Throws: `StoreError` `.exists` when one to be made does, or a note of the machine that names files; `.failed` for a path that
    ///   a note cannot hold.
    package init(
        _ machine: GUID,
        making made: [String],
        dropping dropped: [String] = [],
        in directory: StateDirectory,
        files: any FileSystem = FileAccess.system
    ) throws(StoreError) {
        self.machine = machine
        self.files = files
        paths = made + dropped
        path = "\(directory.snapshots)/\(machine.uppercased)\(Self.ending)"
        for path in paths where !path.hasPrefix("/") || path.utf8.contains(10) {
            throw StoreError(.failed, "the path \(path.debugDescription) is not absolute, or holds a line break")
        }
        for path in made where files.exists(path) { throw StoreError(.exists, "\(path) exists already") }
        let text = Array(paths.joined(separator: "\n").utf8)
        try asStore { [path] () throws(FileError) in
            // One that names nothing is in nobody's way.
            var isEmpty = false
            if files.exists(path) { isEmpty = try files.contents(of: path, limit: 1 << 20).isEmpty }
            try files.replace(path, with: text, replacing: isEmpty)
        }
    }

    /// Reads the note of a machine; nil when it has none.
    package init?(
        of machine: GUID,
        in directory: StateDirectory,
        files: any FileSystem = FileAccess.system
    ) throws(StoreError) {
        self.machine = machine
        self.files = files
        path = "\(directory.snapshots)/\(machine.uppercased)\(Self.ending)"
        guard files.exists(path) else { return nil }
        let bytes = try asStore { [path] () throws(FileError) in try files.contents(of: path, limit: 1 << 20) }
        paths = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    private static let ending = ".branching"

    /// The machines that an earlier roostd has left notes of.
    package static func machines(
        in directory: StateDirectory,
        files: any FileSystem = FileAccess.system
    ) throws(StoreError) -> [GUID] {
        let names = try asStore { () throws(FileError) in try files.names(in: directory.snapshots) }
        return names.filter { $0.hasSuffix(ending) }.compactMap { GUID($0.dropLast(ending.count)) }.sorted()
    }

    /// Deletes the files that nobody needs, then the note.
    ///
    /// - Parameters:
    ///   - stays: whether something else is still to be settled: the note names nothing then, and is there.
    ///   - isNeeded: whether a file that exists is named by something that stays.
    /// - Throws: what the disk reports; the note is still there then, and this can be called again.
    package func finish(staying stays: Bool = false, keeping isNeeded: (String) -> Bool) throws(StoreError) {
        for made in paths where files.exists(made) && !isNeeded(made) {
            try asStore { () throws(FileError) in try files.removeDurably(made) }
        }
        try asStore { () throws(FileError) in
            if !stays { return try files.removeDurably(path) }
            if !paths.isEmpty { try files.replace(path, with: [], replacing: true) }
        }
    }
}
