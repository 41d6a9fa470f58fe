import HyperVStorage
import RoostPrimitives

extension KeyNode {
    /// The name of the node with a device's data: the instance in lower case between underscores.
    static func deviceName(_ instance: GUID) -> String { "_\(instance.lowercased)_" }

    /// Whether a child of the manifest is the row of a device.
    fileprivate var isManifestRow: Bool {
        var rest = name.utf8.makeIterator()
        for byte in "vdev".utf8 where rest.next() != byte { return false }
        return true
    }

    /// The instance of a row of the manifest; nil when it has none.
    var deviceInstance: GUID? { GUID(text(of: "instance")) }
}

extension VirtualMachineConfiguration {
    /// The instances of a class of devices, in the order of the manifest; a row without a GUID is not a device.
    func instances(of deviceClass: DeviceClass) -> [GUID] {
        var found: [GUID] = []
        forEachManifestRow { name, row in
            if deviceClass.isNamed(by: name), let id = row.deviceInstance { found.append(id) }
        }
        return found
    }

    /// Calls `body` with the class of each row of the manifest, in order, empty when missing, and with the row.
    func forEachManifestRow(_ body: (_ deviceClass: String, _ row: KeyNode) -> Void) {
        root.forEachChild(of: "manifest") { row in
            guard row.isManifestRow else { return }
            body(row.text(of: "device"), row)
        }
    }

    /// The instances of all devices of the manifest.
    var deviceInstances: Set<GUID> { Set(manifestRows.compactMap { GUID($0["instance"]?.value.asString ?? "") }) }

    /// Whether the manifest has a device.
    func hasDevice(instance: GUID) -> Bool { deviceInstances.contains(instance) }

    /// The node with a device's data; nil when it has none.
    func device(_ instance: GUID) -> KeyNode? { root[KeyNode.deviceName(instance)] }

    /// Adds a device with its data: the row behind the last one of the manifest, the data behind the last key.
    mutating func addDevice(_ deviceClass: DeviceClass, instance: GUID, node: KeyNode) {
        root.children.append(node)
        if root["manifest"] == nil { root.children.append(KeyNode("manifest", children: [KeyNode("size", .int(0))])) }
        let row = Self.manifestRow(deviceClass, instance: instance, number: manifestRows.count + 1, version: version)
        updateManifest { $0.children.append(row) }
    }

    /// Removes a device, its row and its data; the rows behind it move up, since their numbers have no gaps.
    mutating func removeDevice(instance: GUID) {
        root.remove(KeyNode.deviceName(instance))
        updateManifest { manifest in
            manifest.children.removeAll { child in
                child.name.hasPrefix("vdev") && GUID(child["instance"]?.value.asString ?? "") == instance
            }
        }
    }

    /// A row of the manifest; version 5.0 writes the instance in upper case, the binary files in lower case.
    static func manifestRow(
        _ deviceClass: DeviceClass,
        instance: GUID,
        number: Int,
        version: ConfigurationVersion
    ) -> KeyNode {
        KeyNode(
            manifestRowName(number),
            children: [
                KeyNode("device", .string(deviceClass.id.lowercased)),
                KeyNode("instance", .string(version < .v6_0 ? instance.uppercased : instance.lowercased)),
                KeyNode("name", .string(deviceClass.name)),
                KeyNode("flags", .int(1)),
            ]
        )
    }

    private var manifestRows: [KeyNode] {
        root["manifest"]?.children.filter { $0.name.hasPrefix("vdev") } ?? []
    }

    private static func manifestRowName(_ number: Int) -> String {
        let digits = String(number)
        return "vdev" + String(repeating: "0", count: max(0, 3 - digits.count)) + digits
    }

    /// Changes the manifest, then numbers the rows and stores their count.
    private mutating func updateManifest(_ change: (inout KeyNode) -> Void) {
        guard let index = root.children.firstIndex(where: { $0.name == "manifest" }) else { return }
        change(&root.children[index])
        Self.numberRows(&root.children[index])
    }

    /// Numbers the rows of a manifest without gaps and stores their count.
    static func numberRows(_ manifest: inout KeyNode) {
        var count = 0
        for row in manifest.children.indices where manifest.children[row].name.hasPrefix("vdev") {
            count += 1
            manifest.children[row].name = manifestRowName(count)
        }
        manifest[ConfigurationKey<Int>("size", absent: 0)] = count
    }
}
