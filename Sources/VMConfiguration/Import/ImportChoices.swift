package import RoostPrimitives

/// What the user decides about an import, and the identifiers and folders that the host gives.
package struct ImportChoices: Hashable, Sendable {
    /// How a virtual machine comes to this host (Hyper-V: Import-VM).
    package enum Mode: String, Hashable, Sendable, CaseIterable {
        /// Its disks are copied; it keeps its identifier.
        case restore
        /// Its disks are used where they lie; it keeps its identifier.
        case register
        /// Its disks are copied; it gets a new identifier, so that the original can go on beside it.
        case copy
    }

    /// How the virtual machine comes to this host.
    package var mode: Mode
    /// The new display name; nil keeps the one in the file.
    package var name: String?
    /// Whether copies of VHDX disks stay VHDX instead of becoming qcow2.
    package var keepsVHDX = false
    /// The kind of SCSI controller that the guest sees; nil for what the file says or the default.
    package var diskController: RoostSettings.DiskController?
    /// The kind of network adapter that the guest sees; nil for what the file says or what fits the generation.
    package var adapterModel: RoostSettings.AdapterModel?
    /// The identifier of a copy.
    package var newID: GUID
    /// The VM-Generation ID of everything but a registered virtual machine.
    package var newGenerationID: GUID

    /// Choices for a mode; the identifiers are drawn by lot.
    package init(mode: Mode, newID: GUID = .random(), newGenerationID: GUID = .random()) {
        self.mode = mode
        self.newID = newID
        self.newGenerationID = newGenerationID
    }
}

/// What the host found around a configuration that is to be imported.
package struct ImportFacts: Hashable, Sendable {
    /// A folder in which disks are looked for, with the names in it.
    package struct Folder: Hashable, Sendable {
        /// The folder's path, without a slash at its end.
        package var path: String
        /// The names of its files.
        package var names: [String]

        package init(path: String, names: [String]) {
            self.path = path
            self.names = names
        }
    }

    /// A virtual switch of this host.
    package struct Switch: Hashable, Sendable {
        package var id: GUID
        package var name: String

        package init(id: GUID, name: String) {
            self.id = id
            self.name = name
        }
    }

    /// Where disks are looked for, the most likely place first.
    package var folders: [Folder] = []
    /// Recorded paths at which there is a file that may be used.
    package var usablePaths: Set<String> = []
    /// Recorded paths at which there is a file that may not be used, with the reason.
    package var refusedPaths: [String: String] = [:]
    /// Paths of disks that other virtual machines of this host have; nil when one of them cannot be read.
    package var pathsInUse: Set<String>? = []
    /// Files of saved states that lie beside the configuration.
    package var savedStateFiles: [String] = []
    /// The switches of this host.
    package var switches: [Switch] = []
    /// The folder that copied disks come to.
    package var disksFolder = ""
    /// Whether a file with UEFI variables lies beside the configuration, which counts instead of those that it holds.
    package var hasGuestState = false
    /// The path of the file with the UEFI variables.
    package var guestStatePath = ""

    package init() {}
}
