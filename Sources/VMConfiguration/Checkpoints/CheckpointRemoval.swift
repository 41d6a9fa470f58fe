import HyperVStorage
package import RoostPrimitives

extension VirtualMachineConfiguration {
    /// The checkpoints that are given up, as long as their files are still to be deleted.
    ///
    /// Naming one here decides: whatever is cut off afterwards is completed.
    package var removedCheckpoints: [GUID] {
        get {
            (root["roost"]?.values("removed_checkpoints", "id", \.asString) ?? []).compactMap { GUID($0) }
        }
        set {
            guard newValue != removedCheckpoints else { return }
            setList("removed_checkpoints", "id", newValue.map(\.uppercased))
        }
    }

    /// The files that the virtual machine or its checkpoints may stand on and that are not needed for themselves: each goes
    /// once what stands on it can do without.
    package var spareDisks: [String] {
        get { root["roost"]?.values("spare_disks", "pathname", \.asString) ?? [] }
        set {
            guard newValue != spareDisks else { return }
            setList("spare_disks", "pathname", newValue)
        }
    }

    /// Forgets all that ties the configuration to checkpoints of this host: elsewhere it would name strangers' files.
    package mutating func forgetCheckpoints() {
        checkpoint = nil
        (currentCheckpoint, variablesToTake, memoryToTake) = (nil, nil, nil)
        (removedCheckpoints, spareDisks) = ([], [])
    }

    private mutating func setList(_ list: String, _ name: String, _ values: [String]) {
        if root["roost"] == nil { root.children.append(KeyNode("roost")) }
        root.update(at: "roost") { $0.setValues(list, name, values.map(KeyValue.string)) }
        if root["roost"]?.children.isEmpty == true { root.remove("roost") }
    }
}
