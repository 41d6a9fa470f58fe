import DurableFiles
package import RoostPrimitives
package import VMConfiguration

/// A configuration file as it was before an upgrade, kept beside the one in use.
package struct SealedConfiguration: Sendable, Hashable {
    /// The configuration version that the machine had.
    package var version: ConfigurationVersion
    /// Tells the older ones of several files of one version apart; the newest has no number.
    package var number: Int?
    package var path: String

    /// Whether this was sealed before another file of the same machine.
    fileprivate func isOlder(than other: SealedConfiguration) -> Bool {
        version == other.version ? (number ?? .max) < (other.number ?? .max) : version < other.version
    }
}

extension ConfigurationStore {
    /// The sealed files of a machine, oldest version first; of one version the oldest file first.
    ///
    /// One that is missing and has a second copy is named too: ``scrubSealed(_:)`` brings it back.
    package func sealed(_ id: GUID) throws(StoreError) -> [SealedConfiguration] {
        try findSealed(needingCopies: false) { $0.hasPrefix("\(id.uppercased).") }[id] ?? []
    }

    /// The sealed files of all machines, as ``sealed(_:)`` has them.
    package func allSealed() throws(StoreError) -> [GUID: [SealedConfiguration]] {
        try findSealed(needingCopies: false) { _ in true }
    }

    /// The sealed files of the machines whose files' names are wanted.
    ///
    /// - Parameter needingCopies: whether a folder of copies that cannot be read is an error; a list without those that only
    ///   have a copy is better than none.
    func findSealed(
        needingCopies: Bool,
        where isWanted: (String) -> Bool
    ) throws(StoreError) -> [GUID: [SealedConfiguration]] {
        let names = try asStore { () throws(FileError) in
            var copies: [String] = []
            do throws(FileError) {
                if files.isFolder(directory.copies) { copies = try files.names(in: directory.copies) }
            } catch {
                if needingCopies { throw error }
            }
            return try files.names(in: directory.virtualMachines)
                + copies.filter { $0.hasSuffix(".copy") }.map { String($0.dropLast(5)) }
        }
        var found: [GUID: Set<SealedConfiguration>] = [:]
        for name in names where isWanted(name) && name.contains(".sealed") {
            guard let (id, sealed) = sealed(named: name) else { continue }
            found[id, default: []].insert(sealed)
        }
        return found.mapValues { $0.sorted { $0.isOlder(than: $1) } }
    }

    /// What a file's name says of it; nil for a name that Roost does not give.
    private func sealed(named name: String) -> (GUID, SealedConfiguration)? {
        guard let id = GUID(String(name.prefix(36))) else { return nil }
        for version in ConfigurationVersion.known {
            let base = directory.sealed(id, version)
            let path = "\(directory.virtualMachines)/\(name)"
            if path == base { return (id, SealedConfiguration(version: version, number: nil, path: path)) }
            guard path.hasPrefix("\(base)-"), let number = Int(path.dropFirst(base.count + 1)),
                (1..<1_000_000).contains(number), path == "\(base)-\(number)"
            else { continue }
            return (id, SealedConfiguration(version: version, number: number, path: path))
        }
        return nil
    }

    /// Deletes the sealed files of a machine.
    package func removeSealed(_ id: GUID) throws(StoreError) {
        for item in try sealed(id) { try removeKept(item.path) }
    }
}
