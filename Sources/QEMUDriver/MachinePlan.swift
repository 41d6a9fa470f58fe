package import RoostPrimitives
package import VMConfiguration

/// What the arguments of a machine depend on besides its configuration: the host's side.
package struct MachinePlan: Sendable, Hashable {
    /// A way from a network adapter to its switch.
    package enum NetworkBackend: Sendable, Hashable {
        /// QEMU's own NAT.
        case user
        /// The same without a way out, and none in.
        case isolatedUser
        /// A tap device; the number is QEMU's descriptor.
        case tap(descriptor: Int)
        /// The cable is unplugged.
        case disconnected
    }

    /// The file behind a drive.
    package struct DriveFile: Sendable, Hashable {
        package var path: String
        /// `raw`, `qcow2` or `vhdx`: recorded, never guessed from what a guest may have written.
        package var format: RoostSettings.DiskFormat

        package init(path: String, format: RoostSettings.DiskFormat) {
            self.path = path
            self.format = format
        }
    }

    package var accelerator: Accelerator
    package var processorModel: String
    package var machineType: String
    package var firmware: UEFIFirmware?
    /// The machine's own UEFI variable store; nil for generation 1.
    package var variablesPath: String?
    /// The files behind drives; a drive without an entry is empty.
    package var driveFiles: [DriveLocation: DriveFile] = [:]
    /// Where each network adapter leads.
    package var networks: [GUID: NetworkBackend] = [:]
    /// QEMU's descriptors of the listening sockets.
    package var monitorDescriptor: Int
    package var agentDescriptor: Int
    package var serialDescriptor: Int
    /// Whether QEMU waits for the state that another one has sent.
    package var takesState = false
    /// The path of a NoCloud seed image.
    package var seedPath: String?

    package init(
        accelerator: Accelerator,
        processorModel: String,
        machineType: String,
        monitorDescriptor: Int,
        agentDescriptor: Int,
        serialDescriptor: Int
    ) {
        self.accelerator = accelerator
        self.processorModel = processorModel
        self.machineType = machineType
        self.monitorDescriptor = monitorDescriptor
        self.agentDescriptor = agentDescriptor
        self.serialDescriptor = serialDescriptor
    }

    /// The machine type that a configuration pins: `pc-i440fx-…` for generation 1, `pc-q35-…` for generation 2.
    ///
    /// - Parameter version: the configuration version to pin for; nil means its own.
    package static func machineType(
        for configuration: VirtualMachineConfiguration,
        version: ConfigurationVersion? = nil
    ) -> String {
        let family = configuration.generation == .one ? "pc-i440fx" : "pc-q35"
        return "\(family)-\((version ?? configuration.version).machineVersion)"
    }
}
