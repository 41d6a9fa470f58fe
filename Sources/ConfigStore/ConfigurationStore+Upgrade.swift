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
        // An upgrade that was cut off has sealed the same already.
        let keys = Self.keys(bytes, version)
        let earlier = (try? files.contents(of: sealed, limit: FileAccess.sizeLimit)).flatMap { Self.keys($0, version) }
        if files.exists(sealed), earlier == nil || earlier?.children != keys?.children {
            // A machine that was restored from a backup is upgraded a second time.
            try asStore { () throws(FileError) in
                for number in 1... {
                    do throws(FileError) {
                        try files.link(sealed, to: "\(sealed)-\(number)")
                        break
                    } catch  where error.code == .exists && number < 100_000 {
                        continue
                    }
                }
            }
        }
        try asStore { () throws(FileError) in try files.replace(sealed, with: bytes, mode: 0o400) }
        if bytes.count <= KeptCopy.largest { try keep(sealed) }
    }

    /// Compares the sealed files of a machine with their second copies, and puts right what is damaged.
    ///
    /// - Throws: `StoreError` `.corrupt` when both are damaged.
    package func scrubSealed(_ id: GUID) throws(StoreError) -> [StorageReport] {
        var reports: [StorageReport] = []
        for item in sealed(id) {
            let size = try asStore { () throws(FileError) in
                try DurableFile(item.path, for: .reading(followingLinks: false), in: files).size()
            }
            guard size <= KeptCopy.largest else { continue }
            reports += try scrubKept(item.path) { Self.keys($0, item.version) != nil }
        }
        return reports
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
    package func sealed(_ id: GUID) -> [SealedConfiguration] {
        ConfigurationVersion.known.flatMap { version -> [SealedConfiguration] in
            let path = directory.sealed(id, version)
            var paths: [String] = []
            while files.exists("\(path)-\(paths.count + 1)") { paths.append("\(path)-\(paths.count + 1)") }
            if files.exists(path) { paths.append(path) }
            return paths.map { SealedConfiguration(version: version, path: $0) }
        }
    }

    /// Deletes the sealed files of a machine.
    package func removeSealed(_ id: GUID) throws(StoreError) {
        // The last first, as they are counted.
        for item in sealed(id).reversed() { try removeKept(item.path) }
    }
}
