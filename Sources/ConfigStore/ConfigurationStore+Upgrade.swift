import DurableFiles
import HyperVStorage
package import RoostPrimitives
package import VMConfiguration

extension ConfigurationStore {
    /// Puts an upgraded configuration in the place of the old one, whose file is kept sealed, and returns the new path.
    ///
    /// Where the format of the file changes, there are two files for a moment; ``finishUpgrades()`` deals with a cut at
    /// any step: the machine has the old or the new version, whole.
    package func replace(
        id: GUID,
        path: String,
        version: ConfigurationVersion,
        with upgraded: VirtualMachineConfiguration
    ) throws -> String {
        // At rest, so that the sealed file can be read without its log.
        try settle(path: path)
        try seal(
            try asStore { () throws(FileError) in try files.contents(of: path, limit: FileAccess.sizeLimit) },
            id,
            version
        )
        guard version.fileFormat != upgraded.version.fileFormat else {
            _ = try update(id: id, path: path) { $0 = upgraded }
            return path
        }
        let new = try create(upgraded)
        // From here on the new file counts; an old one that cannot be deleted goes at the next start.
        _ = try? remove(path: path)
        return new
    }

    /// Keeps a configuration's file as it is, with a second copy; an earlier one of the same version gets a number.
    private func seal(_ bytes: [UInt8], _ id: GUID, _ version: ConfigurationVersion) throws(StoreError) {
        let sealed = directory.sealed(id, version)
        // What one is damaged in, the other may still have; damage of both is no reason to lose what is left.
        let isDamaged = try isSealedDamaged(sealed, version)
        let keys = Self.keys(bytes, version)
        let earlier = try? files.contents(of: sealed, limit: FileAccess.sizeLimit)
        let isAnother =
            isDamaged
            ? earlier != bytes
            : files.exists(sealed)
                && (keys == nil || earlier.flatMap { Self.keys($0, version) }?.children != keys?.children)
        if isAnother {
            // A machine that was restored from a backup is upgraded a second time.
            try number(sealed, earlier, isDamaged: isDamaged, id, version)
        }
        let copy = directory.copy(of: sealed)
        try asStore { () throws(FileError) in
            // That of an earlier, smaller file says nothing of this one, and goes before anybody could take it for its.
            if bytes.count > KeptCopy.largest, files.exists(copy) { try files.removeDurably(copy) }
            if earlier != bytes { try files.replace(sealed, with: bytes, mode: 0o400) }
        }
        if bytes.count <= KeptCopy.largest { try keep(sealed) }
    }

    /// Gives a sealed file its lasting name, with a number, and a second copy under that.
    private func number(
        _ sealed: String,
        _ bytes: [UInt8]?,
        isDamaged: Bool,
        _ id: GUID,
        _ version: ConfigurationVersion
    ) throws(StoreError) {
        let copy = directory.copy(of: sealed)
        let last = try findSealed(needingCopies: true) { $0.hasPrefix("\(id.uppercased).") }[id]?.last {
            $0.version == version && $0.number != nil
        }
        // An upgrade that was cut off may have done some of this already.
        let isBegun = last.map { last in
            files.exists(last.path)
                ? holdTheSame(last.path, sealed) : isDamaged && holdTheSame(directory.copy(of: last.path), copy)
        }
        let name = isBegun == true ? last?.path ?? sealed : "\(sealed)-\((last?.number ?? 0) + 1)"
        let newCopy = directory.copy(of: name)
        try asStore { () throws(FileError) in
            // The damaged copy may have what the file has lost, and stays beside it; a new one would call the file whole.
            if isDamaged, files.exists(copy), !files.exists(newCopy) {
                try files.link(copy, to: newCopy)
                try files.syncFolder(directory.copies)
            }
            if files.exists(sealed), !files.exists(name) { try files.link(sealed, to: name) }
            try files.syncFolder(directory.virtualMachines)
        }
        guard !isDamaged, let bytes, bytes.count <= KeptCopy.largest else { return }
        try keep(name) { Self.keys($0, version) != nil }
    }

    private func holdTheSame(_ path: String, _ other: String) -> Bool {
        guard let one = try? files.readableContents(of: path, limit: FileAccess.sizeLimit),
            let two = try? files.readableContents(of: other, limit: FileAccess.sizeLimit)
        else { return false }
        return one.unreadable == two.unreadable && one.bytes == two.bytes
    }

    /// Mends a sealed file, or its second copy, from the other; returns whether both are damaged.
    private func isSealedDamaged(_ path: String, _ version: ConfigurationVersion) throws(StoreError) -> Bool {
        guard files.exists(path) || files.exists(directory.copy(of: path)) else { return false }
        do throws(StoreError) {
            _ = try scrubSealed(path, version)
            return false
        } catch {
            guard error.code == .corrupt else { throw error }
            return true
        }
    }

    /// Compares a sealed file with its second copy, and puts right what is damaged or missing.
    ///
    /// - Throws: `StoreError` `.corrupt` when both are damaged.
    package func scrubSealed(_ item: SealedConfiguration) throws(StoreError) -> [StorageReport] {
        try scrubSealed(item.path, item.version)
    }

    private func scrubSealed(_ path: String, _ version: ConfigurationVersion) throws(StoreError) -> [StorageReport] {
        if files.exists(path) {
            let size = try asStore { () throws(FileError) in
                try DurableFile(path, for: .reading(followingLinks: false), in: files).size()
            }
            guard size <= KeptCopy.largest else { return [] }
        }
        return try scrubKept(path) { Self.keys($0, version) != nil }
    }

    /// The keys of a file's bytes, without their generation; nil when they cannot be read.
    private static func keys(_ bytes: [UInt8], _ version: ConfigurationVersion) -> KeyNode? {
        switch version.fileFormat {
        case .xml: (try? ConfigurationXML.parse(bytes)).map { KeyNode("", children: [$0.root]).withoutGeneration() }
        case .vmcx: (try? StorageFile(parsing: bytes))?.tree.withoutGeneration()
        }
    }

    /// Completes upgrades that were cut off: where the old file stands beside the new one, just as it was sealed, it goes.
    ///
    /// Returns the machines. A pair of files that no upgrade explains is left alone.
    package func finishUpgrades() throws(StoreError) -> [GUID] {
        var finished: [GUID] = []
        for (id, path) in try list() where path.hasSuffix(".xml") {
            let new = directory.configuration(id, .vmcx)
            guard files.exists(new), case .readable = inspect(id: id, path: new),
                let old = try? files.contents(of: path, limit: FileAccess.sizeLimit),
                let sealed = try? files.contents(of: directory.sealed(id, .v5_0), limit: FileAccess.sizeLimit),
                old == sealed
            else { continue }
            try remove(path: path)
            finished.append(id)
        }
        return finished
    }
}
