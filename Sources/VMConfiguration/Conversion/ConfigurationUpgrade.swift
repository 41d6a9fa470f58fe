import HyperVStorage
import RoostPrimitives

/// Makes the tree of a newer version out of that of an older one.
///
/// What a version has is what the template of its new virtual machines says: a key is added when the newer version's
/// template has it and the older one's has not. A key that the older version has too, and that this virtual machine
/// lacks, stays away, since its absence means something. Nothing random gets into the result: what templates draw by
/// lot, both of them have.
struct ConfigurationUpgrade {
    /// The newer version, and what its new keys say of the virtual machine.
    var machine: NewVirtualMachine
    var source: ConfigurationVersion
    /// Whose signatures the firmware trusts, for versions that do not say it yet.
    var secureBootTemplate: SecureBootTemplate?

    init(machine: NewVirtualMachine, source: ConfigurationVersion) {
        self.machine = machine
        self.source = source
    }

    private var target: ConfigurationVersion { machine.version }
    private var becomesBinary: Bool { source.fileFormat == .xml && target.fileFormat != .xml }

    /// The tree in the newer version, its keys in the order in which Hyper-V makes those of a new virtual machine.
    func upgraded(_ configuration: VirtualMachineConfiguration) -> KeyNode {
        var (older, newer) = (template(source), template(target))
        // Its rows are matched by their devices, not by their numbers.
        let manifests = (older: older.remove("manifest"), newer: newer.remove("manifest"))
        var root = configuration.root.adopting(newer, since: older)
        for adapter in configuration.ethernetInstances where !adapter.isEmulated {
            adopt(&root, adapter.id, Self.adapter(adapter.id, target), since: Self.adapter(adapter.id, source))
        }
        for controller in configuration.scsiControllers {
            let (older, newer) = (Self.controller(controller.id, source), Self.controller(controller.id, target))
            adopt(&root, controller.id, newer, since: older)
            upgradeDisks(&root, controller.id)
        }
        upgradeDisks(&root, DeviceClass.ide.id)
        upgradeManifest(&root, newer: manifests.newer, older: manifests.older)
        root.update(at: "properties/version") { $0.value = .int(Int64(target.rawValue)) }
        root.update(at: "roost") { $0.children.removeAll { $0.name == "machine_type" } }
        if becomesBinary {
            root.children.removeAll { $0.name == "savedstate" }
            root.update(at: VirtualMachineConfiguration.nvramPath) { $0.removeUEFIVariables() }
        }
        return root
    }

    private func template(_ version: ConfigurationVersion) -> KeyNode {
        var machine = machine
        machine.version = version
        var generator = SystemRandomNumberGenerator()
        var root = ConfigurationTemplate(machine).root(using: &generator)
        let path = "\(KeyNode.deviceName(DeviceClass.firmware.id))/secure_boot_template_id"
        root.update(at: path) { $0.value = .string((secureBootTemplate?.id ?? .zero).uppercased) }
        // Not every file of version 5.0 says when the virtual machine was created; those of newer versions do.
        if version.fileFormat == .xml { root.remove("properties/creation_time") }
        return root
    }

    /// Gives a device the keys of its newer template.
    private func adopt(_ root: inout KeyNode, _ instance: GUID, _ newer: KeyNode, since older: KeyNode) {
        root.update(at: KeyNode.deviceName(instance)) { $0 = $0.adopting(newer, since: older) }
    }

    /// A network adapter, without the part of its switch port, which has versions of its own.
    private static func adapter(_ id: GUID, _ version: ConfigurationVersion) -> KeyNode {
        var generator = SystemRandomNumberGenerator()
        var node = ConfigurationTemplate.networkAdapter(id: id, version: version, using: &generator)
        node.remove("Connection")
        return node
    }

    private static func controller(_ id: GUID, _ version: ConfigurationVersion) -> KeyNode {
        var generator = SystemRandomNumberGenerator()
        return ConfigurationTemplate.scsiController(id: id, version: version, using: &generator)
    }

    /// Gives the hard disks of a controller the keys that the newer version has for them.
    private func upgradeDisks(_ root: inout KeyNode, _ controller: GUID) {
        let head = [KeyNode("type", .string("")), KeyNode("pathname", .string(""))]
        let newer = KeyNode("drive", children: head + ConfigurationTemplate.diskLimits(version: target))
        let older = KeyNode("drive", children: head + ConfigurationTemplate.diskLimits(version: source))
        root.update(at: KeyNode.deviceName(controller)) { device in
            for number in device.children.indices where device.children[number].name.hasPrefix("controller") {
                for slot in device.children[number].children.indices {
                    let drive = device.children[number].children[slot]
                    guard drive["type"]?.value.asString.flatMap(Drive.Kind.init(storedType:)) == .hardDisk else {
                        continue
                    }
                    device.children[number].children[slot] = drive.adopting(newer, since: older)
                }
            }
        }
    }
}

// Manifest
extension ConfigurationUpgrade {
    /// Adds the rows of devices that the newer version has, each at its place, and puts the manifest last.
    private func upgradeManifest(_ root: inout KeyNode, newer: KeyNode?, older: KeyNode?) {
        guard let index = root.children.firstIndex(where: { $0.name == "manifest" }), let newer, let older else {
            return
        }
        let isOnly = root.children.count { $0.name == "manifest" } == 1
        var manifest = root.children.remove(at: index)
        let isRow = { (key: KeyNode) in key.name.hasPrefix("vdev") }
        var rows = manifest.children.filter(isRow)
        var ordered: [KeyNode] = []
        for wanted in newer.children.filter(isRow) {
            if let present = rows.firstIndex(where: { $0.instance == wanted.instance }) {
                ordered.append(row(rows.remove(at: present)))
            } else if !older.children.contains(where: { isRow($0) && $0.instance == wanted.instance }) {
                ordered.append(wanted)
            }
        }
        ordered += rows.map(row)
        manifest.children.removeAll(where: isRow)
        let head = KeyNode("manifest", children: newer.children.filter { !isRow($0) })
        manifest = manifest.adopting(head, since: head)
        if case .int(let version)? = newer["version"]?.value {
            manifest.update(at: "version") { key in
                if let present = key.value.asInteger, present < version { key.value = .int(version) }
            }
        }
        manifest.children += ordered
        VirtualMachineConfiguration.numberRows(&manifest)
        // Siblings of one name keep their order, however little sense a second manifest makes.
        root.children.insert(manifest, at: isOnly ? root.children.count : index)
    }

    /// A row with its keys in the newer version's order and its instance in that version's case.
    private func row(_ row: KeyNode) -> KeyNode {
        guard let instance = row.instance else { return row }
        let shape = VirtualMachineConfiguration.manifestRow(.vmBus, instance: instance, number: 1, version: target)
        var row = row.adopting(shape, since: shape)
        row.update(at: "instance") { $0.value = shape["instance"]?.value ?? $0.value }
        return row
    }
}

extension KeyNode {
    /// This key with the keys that `newer` has beyond `older`, and higher versions of devices, in the order of
    /// `newer`; keys that it does not know come last, in their order.
    fileprivate func adopting(_ newer: KeyNode, since older: KeyNode) -> KeyNode {
        var result = self
        if name == "VDEVVersion", case .int(let old) = value, case .int(let new) = newer.value {
            result.value = .int(max(old, new))
        }
        guard value == .node, newer.value == .node else { return result }
        var rest = children
        result.children = []
        for wanted in newer.children {
            let isWanted = { (key: KeyNode) in key.name.hasSameBytes(as: wanted.name) }
            let present = rest.filter(isWanted)
            let known = older[wanted.name]
            rest.removeAll(where: isWanted)
            if let first = present.first {
                result.children.append(first.adopting(wanted, since: known ?? KeyNode(wanted.name)))
                result.children += present.dropFirst()
            } else if known == nil {
                result.children.append(wanted)
            }
        }
        result.children += rest
        return result
    }

    /// Takes away UEFI variables and what counts them; keeps everything if there is anything else among them.
    fileprivate mutating func removeUEFIVariables() {
        let variableKeys: Set<String> = ["attributes", "data", "index", "timestamp"]
        var seen: Set<String> = []
        let isUnderstood = children.allSatisfy { child in
            guard seen.insert(child.name).inserted else { return false }
            switch child.name {
            case "map":
                return child.children.allSatisfy {
                    $0.value.asString != nil && VirtualMachineConfiguration.mapIndex($0.name) != nil
                }
            case "map_max_index": return child.value.asInteger != nil
            case "last_update_time": return child.value.asBytes != nil
            default: return UEFIVariable(child) != nil && child.children.allSatisfy { variableKeys.contains($0.name) }
            }
        }
        if isUnderstood { children = [] }
    }

    /// The device of a row of the manifest.
    fileprivate var instance: GUID? { GUID(self["instance"]?.value.asString ?? "") }
}
