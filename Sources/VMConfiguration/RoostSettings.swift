import HyperVStorage
public import RoostPrimitives

/// What Roost keeps in a configuration that Hyper-V has no key for: the node `/configuration/roost`.
///
/// A key is written only when it says something. Keys below the node that this release does not know stay.
public struct RoostSettings: Hashable, Sendable {
    /// The format of a disk image.
    public enum DiskFormat: String, Hashable, Sendable, CaseIterable {
        /// The disk's bytes as they are.
        case raw
        /// QEMU's format.
        case qcow2
        /// Hyper-V's format.
        case vhdx
    }

    /// The SCSI controllers that the guest sees.
    public enum DiskController: String, Hashable, Sendable, CaseIterable {
        /// A paravirtual controller with 64 slots; the guest needs its driver.
        case virtioSCSI = "virtio-scsi"
        /// A SATA controller with 6 slots, for which every operating system has a driver; takes no drives while the
        /// machine runs.
        case ahci

        /// How many slots of a controller can hold a drive.
        public var slotCount: Int { self == .ahci ? 6 : DriveLocation.ControllerType.scsi.slotCount }
    }

    /// The network adapters that the guest sees.
    public enum AdapterModel: String, Hashable, Sendable, CaseIterable {
        /// A paravirtual adapter; the guest needs its driver.
        case virtio
        /// Intel's 82540EM, as legacy adapters are.
        case e1000
        /// Intel's 82574L.
        case e1000e
    }

    /// `creation_host`: the name of the host that made the virtual machine.
    public var creationHost: String?
    /// `cpu_model`: the processor that the guest sees, as QEMU names it; fixed at the first start.
    public var cpuModel: String?
    /// `machine_type`: the virtual hardware, as QEMU names it, such as `pc-q35-7.2`; fixed at the first start.
    public var machineType: String?
    /// `started`: whether the virtual machine has ever started; its Secure Boot template then needs force to change.
    public var virtualMachineHasStarted = false
    /// `renew_variables`: whether the UEFI variable store is still to be replaced by one with the Secure Boot settings of
    /// this configuration; the next start does so.
    public var renewsVariables = false
    /// `disk_controller`: the SCSI controllers that the guest sees; nil for paravirtual ones.
    public var diskController: DiskController?
    /// `adapter_model`: the network adapters, other than legacy ones, that the guest sees; nil for paravirtual ones.
    public var adapterModel: AdapterModel?
    /// `cloud_init_seed`: the path of the disk image with the data for cloud-init.
    public var cloudInitSeedPath: String?
    /// `disk_formats`: the formats of images by path, so that none is ever guessed from a guest's bytes.
    public var diskFormats: [String: DiskFormat] = [:]
    /// `secure_boot_certificates`: the virtual machine's own trusted certificates, in DER.
    public var secureBootCertificates: [[UInt8]] = []
    /// `legacy_adapters`: the network adapters that are emulated ones.
    public var legacyNetworkAdapters: [GUID] = []

    /// Settings that say nothing.
    public init() {}
}

extension VirtualMachineConfiguration {
    /// What Roost keeps beyond Hyper-V's keys.
    public var roost: RoostSettings {
        get {
            guard let node = root["roost"] else { return RoostSettings() }
            var settings = RoostSettings()
            settings.creationHost = node["creation_host"]?.value.asString
            settings.cpuModel = node["cpu_model"]?.value.asString
            settings.machineType = node["machine_type"]?.value.asString
            settings.virtualMachineHasStarted = node[Self.startedKey]
            settings.renewsVariables = node[Self.renewsVariablesKey]
            settings.diskController = node["disk_controller"]?.value.asString.flatMap(
                RoostSettings.DiskController.init(rawValue:)
            )
            settings.adapterModel = node["adapter_model"]?.value.asString.flatMap(
                RoostSettings.AdapterModel.init(rawValue:)
            )
            settings.cloudInitSeedPath = node["cloud_init_seed"]?.value.asString
            settings.diskFormats = node.diskFormats
            settings.secureBootCertificates = node.values("secure_boot_certificates", "certificate", \.asBytes)
            settings.legacyNetworkAdapters = node.legacyNetworkAdapters
            return settings
        }
        set {
            let old = roost
            let before = root["roost"]
            var node = before ?? KeyNode("roost")
            node.assign(text: newValue.creationHost, at: "creation_host")
            node.assign(text: newValue.cpuModel, at: "cpu_model")
            node.assign(text: newValue.machineType, at: "machine_type")
            node[Self.startedKey] = newValue.virtualMachineHasStarted
            node[Self.renewsVariablesKey] = newValue.renewsVariables
            if newValue.diskController != old.diskController {
                node.assign(text: newValue.diskController?.rawValue, at: "disk_controller")
            }
            if newValue.adapterModel != old.adapterModel {
                node.assign(text: newValue.adapterModel?.rawValue, at: "adapter_model")
            }
            node.assign(text: newValue.cloudInitSeedPath, at: "cloud_init_seed")
            node.setDiskFormats(newValue.diskFormats)
            if newValue.secureBootCertificates != old.secureBootCertificates {
                node.setValues(
                    "secure_boot_certificates",
                    "certificate",
                    newValue.secureBootCertificates.map(KeyValue.array)
                )
            }
            if newValue.legacyNetworkAdapters != old.legacyNetworkAdapters {
                node.setValues("legacy_adapters", "id", newValue.legacyNetworkAdapters.map { .string($0.uppercased) })
            }
            if node != before ?? KeyNode("roost") { root.update(replacing: node) }
        }
    }

    /// The network adapters that are emulated ones; ``roost`` says the same and much more.
    var legacyNetworkAdapters: Set<GUID> { Set(root["roost"]?.legacyNetworkAdapters ?? []) }

    private static let renewsVariablesKey = ConfigurationKey<Bool>("renew_variables", absent: false)
    private static let startedKey = ConfigurationKey<Bool>("started", absent: false)
}

extension KeyNode {
    /// The values of all children with a name below a list's node.
    func values<Value>(_ list: String, _ name: String, _ decode: (KeyValue) -> Value?) -> [Value] {
        (self[list]?.children ?? []).filter { $0.name == name }.compactMap { decode($0.value) }
    }

    /// Replaces all children with a name below a list's node; an empty list has no node.
    mutating func setValues(_ list: String, _ name: String, _ values: [KeyValue]) {
        var node = self[list] ?? KeyNode(list)
        node.children.removeAll { $0.name == name }
        node.children += values.map { KeyNode(name, $0) }
        if node.children.isEmpty { remove(list) } else { update(replacing: node) }
    }

    fileprivate var legacyNetworkAdapters: [GUID] {
        values("legacy_adapters", "id", \.asString).compactMap { GUID($0) }
    }

    /// The formats by path; the first row of a path counts.
    fileprivate var diskFormats: [String: RoostSettings.DiskFormat] {
        let rows = (self["disk_formats"]?.children ?? []).compactMap { row -> (String, RoostSettings.DiskFormat)? in
            guard row.name == "disk", let path = row["pathname"]?.value.asString,
                let format = row["format"]?.value.asString.flatMap(RoostSettings.DiskFormat.init(rawValue:))
            else { return nil }
            return (path, format)
        }
        return Dictionary(rows) { first, _ in first }
    }

    /// Writes the formats in the order of the paths, unless the rows say just these.
    fileprivate mutating func setDiskFormats(_ formats: [String: RoostSettings.DiskFormat]) {
        let rows = { (formats: [String: RoostSettings.DiskFormat]) in
            Set(formats.map { path, format in Array("\(format.rawValue)\0\(path)".utf8) })
        }
        guard rows(formats) != rows(diskFormats) else { return }
        var node = self["disk_formats"] ?? KeyNode("disk_formats")
        node.children.removeAll { $0.name == "disk" }
        node.children += formats.sorted { $0.key < $1.key }.map { path, format in
            KeyNode(
                "disk",
                children: [KeyNode("pathname", .string(path)), KeyNode("format", .string(format.rawValue))]
            )
        }
        if node.children.isEmpty { remove("disk_formats") } else { update(replacing: node) }
    }

    /// Puts a node in the place of the first child with its name, or behind the last child.
    fileprivate mutating func update(replacing node: KeyNode) {
        if let index = children.firstIndex(where: { $0.name == node.name }) {
            children[index] = node
        } else {
            children.append(node)
        }
    }
}
