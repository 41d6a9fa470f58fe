import DurableFiles
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
        let sealed = directory.sealed(id, version)
        try asStore { () throws(FileError) in
            try files.replace(sealed, with: try files.contents(of: path, limit: FileAccess.sizeLimit), mode: 0o400)
        }
        guard version.fileFormat != upgraded.version.fileFormat else {
            _ = try update(id: id, path: path) { $0 = upgraded }
            return path
        }
        let new = try create(upgraded)
        // From here on the new file counts; an old one that cannot be deleted goes at the next start.
        _ = try? remove(path: path)
        return new
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

    /// The sealed files of a machine, oldest version first.
    package func sealed(_ id: GUID) -> [SealedConfiguration] {
        ConfigurationVersion.known.map { SealedConfiguration(version: $0, path: directory.sealed(id, $0)) }
            .filter { files.exists($0.path) }
    }

    /// Deletes the sealed files of a machine.
    package func removeSealed(_ id: GUID) throws(StoreError) {
        for item in sealed(id) { try asStore { () throws(FileError) in try files.removeDurably(item.path) } }
    }
}
