package import RoostPrimitives
package import VMConfiguration

#if canImport(Glibc)
    import Glibc
#endif

/// Where everything that outlives roostd lies.
///
/// ```
/// <state>/Virtual Machines/<GUID>.vmcx | <GUID>.xml   configuration
///                          <GUID>.vmrs                run record
///                          <GUID>.saved.vmrs          the memory of a guest that was saved
///                          <GUID>.<version>.<xml|vmcx>.sealed   the configuration before an upgrade
///                          <GUID>.vmgs                UEFI variables
///                          <GUID>.seed.iso            cloud-init seed
///                          <GUID>.creating            what to undo when a creation was cut off
/// <state>/Configuration Copies/<file>.copy            second copies of these two and of host.vmcx
/// <state>/Snapshots/<GUID>.vmcx | <GUID>.xml          a checkpoint: a whole configuration with a record of its own
/// <state>/Configuration Copies/Snapshots/             the second copies of these
/// <state>/Virtual Hard Disks/<VM name>/               disks
/// <state>/host.vmcx                                   switches, the host's last start
/// <state>/copies-folder                               where the second copies are, when that is elsewhere
/// <state>/cache/                                      what can be found out again
/// ```
package struct StateDirectory: Sendable, Hashable {
    package var root: String

    /// The folder of the second copies; one on another disk survives the loss of this one.
    package var copies: String

    /// The state directory at `root`, with its second copies in a folder of its own or in `copies`.
    package init(_ root: String, copies: String? = nil) {
        self.root = root
        self.copies = copies ?? "\(root)/Configuration Copies"
        virtualMachines = "\(root)/Virtual Machines"
    }

    /// A state directory as roostd has left it, which may have its second copies elsewhere.
    package init(existing root: String) {
        let note = (try? FileAccess.read("\(root)/\(Self.note)", limit: 16384)).map {
            String(decoding: $0, as: UTF8.self)
        }
        let lines = note?.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) ?? []
        // In a copy of the directory it leads to what belongs to the original.
        let isOurs = lines.count == 2 && lines[0] == Self.real(root) && lines[1].hasPrefix("/")
        self.init(root, copies: isOurs ? lines[1] : nil)
    }

    /// The file that tells other programs where the second copies are: the directory's own path, and theirs.
    private static let note = "copies-folder"

    private static func real(_ path: String) -> String {
        guard let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }

    /// Lets other programs know where the second copies are; only whoever holds the ``lock()`` may.
    package func noteCopies() throws(StoreError) {
        let path = "\(root)/\(Self.note)"
        if copies == "\(root)/Configuration Copies" { return try FileAccess.remove(path) }
        let text = Array("\(Self.real(root))\n\(copies)".utf8)
        if (try? FileAccess.read(path)) != text { try FileAccess.write(text, to: path, mode: 0o644) }
    }

    /// The same with the configurations of checkpoints in the place of those of machines.
    package var ofCheckpoints: StateDirectory {
        var other = self
        other.virtualMachines = snapshots
        other.copies = "\(copies)/Snapshots"
        return other
    }

    /// The folder of the configurations.
    package private(set) var virtualMachines: String
    package var snapshots: String { "\(root)/Snapshots" }
    package var disks: String { "\(root)/Virtual Hard Disks" }
    package var cache: String { "\(root)/cache" }
    package var hostFile: String { "\(root)/host.vmcx" }
    package var jobsFile: String { "\(root)/jobs.ndjson" }

    /// The path of a machine's configuration.
    package func configuration(_ id: GUID, _ format: ConfigurationVersion.FileFormat) -> String {
        "\(virtualMachines)/\(id.uppercased).\(format.fileExtension)"
    }

    /// The path of a file's second copy.
    package func copy(of path: String) -> String {
        let start = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { path.utf8.index(after: $0) } ?? path.startIndex
        return "\(copies)/\(path[start...]).copy"
    }

    /// The path under which a machine's configuration of an older version is kept after an upgrade.
    package func sealed(_ id: GUID, _ version: ConfigurationVersion) -> String {
        "\(virtualMachines)/\(id.uppercased).\(version).\(version.fileFormat.fileExtension).sealed"
    }

    /// The path of a machine's run record.
    package func runRecord(_ id: GUID) -> String { "\(virtualMachines)/\(id.uppercased).vmrs" }

    /// The path of a machine's saved state.
    package func savedState(_ id: GUID) -> String { "\(virtualMachines)/\(id.uppercased).saved.vmrs" }

    /// The path that it has from the moment in which the guest goes on from it.
    package func resumedState(_ id: GUID) -> String { "\(savedState(id)).resumed" }

    /// The path of a machine's UEFI variables.
    package func guestState(_ id: GUID) -> String { "\(virtualMachines)/\(id.uppercased).vmgs" }

    /// The path of a machine's cloud-init seed.
    package func seed(_ id: GUID) -> String { "\(virtualMachines)/\(id.uppercased).seed.iso" }

    /// The path of the note that tells what to undo when a machine's creation is cut off.
    package func creationJournal(_ id: GUID) -> String { "\(virtualMachines)/\(id.uppercased).creating" }

    /// Makes the folders that are missing, passable for QEMU's user but not readable.
    package func prepare() throws(StoreError) {
        for folder in [root, virtualMachines, snapshots, disks, cache] {
            try FileAccess.makeFolder(folder, mode: 0o711)
        }
        for folder in [copies, ofCheckpoints.copies] { try FileAccess.makeFolder(folder, mode: 0o700) }
    }

    /// Takes the folder for this process until the returned descriptor is closed.
    ///
    /// - Throws: `StoreError` `.busy` when another roostd has it.
    package func lock() throws(StoreError) -> Int32 {
        try FileAccess.lock(root, "the state directory", remedy: "give this one its own --state-dir")
    }
}
