package import DurableFiles
import HyperVStorage
import VMConfiguration

/// Repair by path, for a file that may lie anywhere.
extension FileRepair {
    /// Whether a source has, or may have, an older state than the file had when it was whole.
    package func mayLoseChanges(_ source: Source) -> Bool {
        switch source {
        case .file(let generation): generation < newestGeneration
        case .salvage: true
        case .copy(let generation):
            generation < newestGeneration || copyProblems.contains { $0.hasPrefix("slot ") }
        }
    }

    /// Why the keys of a source are no configuration of a machine; nil when they are, and for a file of another kind.
    package func configurationProblem(_ source: Source) -> String? {
        let name = path[(path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex)...]
        guard name != "host.vmcx", name.hasSuffix(".vmcx") || name.hasSuffix(".xml") else { return nil }
        guard let tree = tree(of: source) else { return nil }
        if let reason = refusal(of: tree) { return reason }
        guard let root = tree["configuration"] else { return "the key /configuration is missing" }
        do {
            _ = try VirtualMachineConfiguration(root: root)
            return nil
        } catch {
            return error.code == .unknownVersion ? nil : error.message
        }
    }

    /// What ``carryOut(from:copy:mode:files:)`` has left beside the new files.
    package struct Kept: Sendable, Hashable {
        /// The damaged file; nil when it was missing.
        package var file: String?
        /// The second copy as it was; nil when nothing in it was damaged or is given up.
        package var copy: String?
    }

    /// Makes the file anew from one of ``sources``, and the second copy with it when there is to be one.
    ///
    /// What is there stays beside it as `<file>.damaged-<number>`; so does a copy that is damaged, or of which another
    /// state is given up. Both are durable when this returns. Nobody else may use the file meanwhile. With a second copy
    /// the generation is higher than that of every source; without one the keys are exactly those of the source.
    ///
    /// - Parameters:
    ///   - copy: the path of the second copy; nil for a file without one.
    ///   - mode: the access rights of a file without a copy.
    package func carryOut(
        from source: Source,
        copy: String?,
        mode: UInt32 = 0o600,
        files: any FileSystem
    ) throws(StoreError) -> Kept {
        guard let index = sources.firstIndex(of: source), let tree = tree(of: source) else {
            throw StoreError(.notFound, "\(path) cannot be made from what was named")
        }
        let file = Self.mirrored(path, copy: copy, files)
        // What cannot be written must not cost the file its name.
        let generation = nextGeneration
        let (_, bytes) = try file.layOut(copy == nil ? trees[index] : tree.with(generation: generation))
        var kept = Kept()
        if files.exists(path) { kept.file = try file.keepAside() }
        guard let copy else {
            try asStore { [path] () throws(FileError) in try files.replace(path, with: bytes, mode: mode) }
            return kept
        }
        if files.exists(copy), !copyProblems.isEmpty || source != newestCopy {
            kept.copy = try Self.keepAside(copy, files)
        }
        _ = try file.writeAnew(tree, generation)
        return kept
    }

    /// Gives a file a second name, under which it stays.
    static func keepAside(_ path: String, _ files: any FileSystem) throws(StoreError) -> String {
        try mirrored(path, copy: nil, files).keepAside()
    }

    /// The newest state of the second copy.
    private var newestCopy: Source? {
        sources.first { if case .copy = $0 { true } else { false } }
    }

    private static func mirrored(_ path: String, copy: String?, _ files: any FileSystem) -> MirroredFile {
        MirroredFile(
            path: path,
            copyPath: copy ?? "\(path).copy",
            files: files,
            distrusted: DistrustedFiles(),
            recent: RecentFiles(),
            report: { _ in }
        )
    }
}
