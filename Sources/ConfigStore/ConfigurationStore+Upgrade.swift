import DurableFiles
import HyperVStorage
package import RoostPrimitives
package import VMConfiguration

/// A configuration file as it was before an upgrade, kept beside the one in use.
package struct SealedConfiguration: Sendable, Hashable {
    /// The configuration version that the machine had.
    package var version: ConfigurationVersion
    package var path: String
}

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
        if hasSealed(sealed) {
            try toleratingDamage { () throws(StoreError) in _ = try scrubSealed(sealed, version) }
        }
        let keys = Self.keys(bytes, version)
        let earlier = try? files.contents(of: sealed, limit: FileAccess.sizeLimit)
        if files.exists(sealed), keys == nil || earlier.flatMap({ Self.keys($0, version) })?.children != keys?.children
        {
            // A machine that was restored from a backup is upgraded a second time.
            try number(sealed, earlier, id, version)
        }
        if earlier != bytes {
            try asStore { () throws(FileError) in try files.replace(sealed, with: bytes, mode: 0o400) }
        }
        if bytes.count <= KeptCopy.largest { try keep(sealed) }
    }

    /// Gives a sealed file its lasting name, with a number, and a second copy under that.
    private func number(
        _ sealed: String,
        _ bytes: [UInt8]?,
        _ id: GUID,
        _ version: ConfigurationVersion
    ) throws(StoreError) {
        let numbers = try numbers(ofSealed: sealed)
        let last = numbers.last.map { "\(sealed)-\($0)" }
        // An upgrade that was cut off may have done this already.
        let isDone = bytes != nil && last.flatMap { try? files.contents(of: $0, limit: FileAccess.sizeLimit) } == bytes
        let name = isDone ? last ?? sealed : "\(sealed)-\((numbers.last ?? 0) + 1)"
        try asStore { () throws(FileError) in
            if !isDone { try files.link(sealed, to: name) }
            try files.syncFolder(directory.virtualMachines)
        }
        // One that is damaged has no copy, so that it is not taken for whole.
        guard let bytes, bytes.count <= KeptCopy.largest else { return }
        try toleratingDamage { () throws(StoreError) in try keep(name) { Self.keys($0, version) != nil } }
    }

    /// Passes on every error but that both places are damaged.
    private func toleratingDamage(_ body: () throws(StoreError) -> Void) throws(StoreError) {
        do throws(StoreError) {
            try body()
        } catch {
            guard error.code == .corrupt else { throw error }
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

    /// The sealed files of a machine, oldest version first; of one version the oldest file first.
    ///
    /// One that is missing and has a second copy is named too: ``scrubSealed(_:)`` brings it back.
    package func sealed(_ id: GUID) throws(StoreError) -> [SealedConfiguration] {
        var found: [SealedConfiguration] = []
        for version in ConfigurationVersion.known {
            let path = directory.sealed(id, version)
            var paths: [String] = []
            let mayBe = hasSealed(path) || hasSealed("\(path)-1")
            if mayBe { paths = try numbers(ofSealed: path).map { "\(path)-\($0)" } }
            if hasSealed(path) { paths.append(path) }
            found += paths.map { SealedConfiguration(version: version, path: $0) }
        }
        return found
    }

    private func hasSealed(_ path: String) -> Bool {
        files.exists(path) || files.exists(directory.copy(of: path))
    }

    /// The numbers of the sealed files of a name that have one, in order.
    private func numbers(ofSealed path: String) throws(StoreError) -> [Int] {
        let prefix = "\(path[path.index(after: path.lastIndex(of: "/") ?? path.startIndex)...])-"
        let names = try asStore { () throws(FileError) in
            try files.names(in: directory.virtualMachines)
                + (files.isFolder(directory.copies) ? files.names(in: directory.copies) : [])
        }
        let numbers = names.lazy.filter { $0.hasPrefix(prefix) }
            .compactMap { name in
                let rest = name.dropFirst(prefix.count)
                return Int(rest.hasSuffix(".copy") ? rest.dropLast(5) : rest)
            }
        return Set(numbers.filter { (1..<1_000_000).contains($0) }).sorted()
    }

    /// Deletes the sealed files of a machine.
    package func removeSealed(_ id: GUID) throws(StoreError) {
        for item in try sealed(id) { try removeKept(item.path) }
    }
}
