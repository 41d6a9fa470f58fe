import ConfigStore
import QEMUDriver
import RoostPrimitives

/// What a host and a machine are, as far as a saved state asks.
struct SavedStateFit: Sendable {
    var machine: GUID
    var machineType: String
    var processorModel: String
    var accelerator: String
    var memoryMiB: UInt64
    var processors: Int
    var qemu: QEMUVersion

    /// The processor features that a guest had and would lack, given those of its model that the host does not have.
    static func lacking(_ info: SavedStateInfo, _ missing: [String]?) -> [String] {
        guard let before = info.missingFeatures, let missing else { return [] }
        return missing.filter { !before.contains($0) }
    }

    /// What a saved state needs and what is found instead; nil when it fits.
    func problem(with info: SavedStateInfo) -> String? {
        let needs: [(field: String, wanted: String, found: String)] = [
            ("virtual machine", info.machine.uppercased, machine.uppercased),
            ("virtual hardware", info.machineType, machineType),
            ("processor model", info.processorModel, processorModel),
            ("accelerator", info.accelerator, accelerator),
            ("memory in MiB", "\(info.memoryMiB)", "\(memoryMiB)"),
            ("number of processors", "\(info.processors)", "\(processors)"),
        ]
        if let need = needs.first(where: { $0.wanted != $0.found }) {
            return "\(need.field) \(need.wanted), and this is \(need.found)"
        }
        guard let version = QEMUVersion(info.qemuVersion), qemu < version else { return nil }
        return "QEMU \(version) or newer, and this host has \(qemu)"
    }
}
