import HyperVStorage
package import RoostPrimitives
package import VMConfiguration

/// What is found at start: one entry for each configuration file, readable or not.
package enum StoredMachine: Sendable {
    case readable(ConfigurationSummary, path: String)
    /// The file stays as it is; the reason says why nobody can use it.
    case broken(id: GUID, path: String, reason: StoreError)
}

/// Reads and writes the configurations of a state directory.
///
/// Every function blocks on the disk: call it from a thread that may. Writes are durable when they return. One caller at
/// a time per machine: the machine's owner sees to that.
package struct ConfigurationStore: Sendable {
    package let directory: StateDirectory
    /// The configuration versions that the host runs; a file of any other is left alone.
    package let supportedVersions: [ConfigurationVersion]

    package init(directory: StateDirectory, supportedVersions: [ConfigurationVersion]) {
        self.directory = directory
        self.supportedVersions = supportedVersions
    }

    /// The paths of all configuration files, with the machine each belongs to.
    package func list() throws(StoreError) -> [(id: GUID, path: String)] {
        var found: [(GUID, String)] = []
        for name in try FileAccess.names(in: directory.virtualMachines) {
            guard name.hasSuffix(".vmcx") || name.hasSuffix(".xml"), let dot = name.lastIndex(of: "."),
                let id = GUID(name[..<dot])
            else { continue }
            found.append((id, "\(directory.virtualMachines)/\(name)"))
        }
        return found.sorted { ($0.0, $0.1) < ($1.0, $1.1) }
    }

    /// Reads one file for the list of machines; never throws, so that one bad file hides no other.
    package func inspect(id: GUID, path: String) -> StoredMachine {
        do throws(StoreError) {
            let configuration = try load(id: id, path: path)
            return .readable(ConfigurationSummary(configuration), path: path)
        } catch {
            return .broken(id: id, path: path, reason: error)
        }
    }

    /// Reads a configuration.
    ///
    /// - Throws: `StoreError` `.corrupt` for a damaged file or one that belongs to another machine, `.unsupported` for a
    ///   configuration version that the host does not know.
    package func load(id: GUID, path: String) throws(StoreError) -> VirtualMachineConfiguration {
        try open(id: id, path: path).configuration
    }

    /// Makes the file of a new machine.
    ///
    /// - Throws: `StoreError` `.exists` when there is one.
    package func create(_ configuration: VirtualMachineConfiguration) throws(StoreError) -> String {
        let path = directory.configuration(configuration.id, try format(of: configuration))
        let bytes: [UInt8]
        do throws(StorageError) {
            bytes = try StorageFile.create(tree: KeyNode("", children: [configuration.root])).bytes
        } catch {
            throw StoreError(.failed, "cannot make \(path)", cause: error.message)
        }
        try FileAccess.write(bytes, to: path, replacing: false)
        return path
    }

    /// Changes a configuration in one transaction and returns it as it is now.
    ///
    /// When `change` throws, or leaves the configuration as it was, nothing is written.
    package func update(
        id: GUID,
        path: String,
        _ change: (inout VirtualMachineConfiguration) throws -> Void
    ) throws -> VirtualMachineConfiguration {
        var opened = try open(id: id, path: path)
        try change(&opened.configuration)
        guard opened.configuration.id == id else {
            throw StoreError(.corrupt, "the identifier of \(path) must not change")
        }
        var tree = opened.file.tree
        guard let index = tree.children.firstIndex(where: { $0.name == opened.configuration.root.name }) else {
            throw StoreError(.corrupt, "\(path) holds no configuration")
        }
        tree.children[index] = opened.configuration.root
        let actions: [StorageAction]
        do throws(StorageError) {
            actions = try opened.file.commit(tree)
        } catch {
            throw StoreError(.failed, "cannot change \(path)", cause: error.message)
        }
        try FileAccess.perform(actions, on: path)
        return opened.configuration
    }

    private func open(
        id: GUID,
        path: String
    ) throws(StoreError) -> (file: StorageFile, configuration: VirtualMachineConfiguration) {
        guard !path.hasSuffix(".xml") else {
            throw StoreError(
                .unsupported,
                "\(path) is a version 5.0 configuration in XML, which this release cannot read yet"
            )
        }
        let bytes = try FileAccess.read(path)
        let file: StorageFile
        do throws(StorageError) {
            file = try StorageFile(parsing: bytes)
        } catch {
            throw StoreError(.corrupt, "cannot read \(path)", cause: error.message)
        }
        guard let root = file.tree["configuration"] else {
            throw StoreError(.corrupt, "\(path) holds no configuration")
        }
        let configuration: VirtualMachineConfiguration
        do throws(ConfigurationError) {
            configuration = try VirtualMachineConfiguration(root: root)
        } catch {
            throw StoreError(
                error.code == .unknownVersion ? .unsupported : .corrupt,
                "cannot use \(path)",
                cause: error.message
            )
        }
        guard configuration.id == id else {
            throw StoreError(
                .corrupt,
                "\(path) holds the configuration of \(configuration.id), another virtual machine"
            )
        }
        guard supportedVersions.contains(configuration.version) else {
            throw StoreError(
                .unsupported,
                "\(path) has configuration version \(configuration.version), which this host does not run; it runs "
                    + supportedVersions.map(\.description).joined(separator: ", ")
            )
        }
        return (file, configuration)
    }

    private func format(
        of configuration: VirtualMachineConfiguration
    ) throws(StoreError) -> ConfigurationVersion.FileFormat {
        guard configuration.version.fileFormat == .vmcx else {
            throw StoreError(
                .unsupported,
                "a configuration of version \(configuration.version) is an XML file, which this release cannot write yet: "
                    + "choose 6.0 or newer"
            )
        }
        return .vmcx
    }
}
