extension QMPCommands {
    /// `query-machines`: the machine types this QEMU knows.
    package struct QueryMachines: QMPCommand {
        package static let name = "query-machines"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> [MachineType] {
            try ReplyReader(value, of: name).map { (machine) throws(QMPError) in
                MachineType(
                    name: try machine.string("name"),
                    alias: try machine.optionalString("alias"),
                    isDefault: try machine.optionalBool("is-default") ?? false,
                    isDeprecated: try machine.optionalBool("deprecated") ?? false,
                    processorLimit: try machine.int("cpu-max"),
                    hasHotpluggableProcessors: try machine.bool("hotpluggable-cpus"),
                    defaultProcessorType: try machine.optionalString("default-cpu-type")
                )
            }
        }
    }

    /// `query-cpu-definitions`: the processor models this QEMU knows.
    package struct QueryCPUDefinitions: QMPCommand {
        package static let name = "query-cpu-definitions"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> [ProcessorModel] {
            try ReplyReader(value, of: name).map { (model) throws(QMPError) in
                ProcessorModel(
                    name: try model.string("name"),
                    aliasOf: try model.optionalString("alias-of"),
                    isMigrationSafe: try model.optionalBool("migration-safe") ?? false,
                    isDeprecated: try model.optionalBool("deprecated") ?? false,
                    unavailableFeatures: try model.strings("unavailable-features")
                )
            }
        }
    }

    /// `query-kvm`: whether KVM could be used, and whether it is.
    package struct QueryKVM: QMPCommand {
        package static let name = "query-kvm"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> KVMStatus {
            let reader = ReplyReader(value, of: name)
            return KVMStatus(isEnabled: try reader.bool("enabled"), isPresent: try reader.bool("present"))
        }
    }

    /// `device-list-properties`: the properties of a type of device.
    package struct DeviceListProperties: QMPCommand {
        package static let name = "device-list-properties"

        package var type: String

        package init(type: String) { self.type = type }

        package var arguments: [String: JSONValue] { ["typename": .string(type)] }

        package static func response(from value: JSONValue) throws(QMPError) -> [ObjectProperty] {
            try ReplyReader(value, of: name).map(ObjectProperty.init)
        }
    }
}

/// A machine type that QEMU knows.
package struct MachineType: Hashable, Sendable {
    /// The versioned name: `pc-q35-7.2`.
    package var name: String
    /// The short name that stands for this type: `q35`.
    package var alias: String?
    package var isDefault: Bool
    package var isDeprecated: Bool
    /// The largest number of virtual processors.
    package var processorLimit: Int64
    package var hasHotpluggableProcessors: Bool
    package var defaultProcessorType: String?
}

/// A processor model that QEMU knows.
package struct ProcessorModel: Hashable, Sendable {
    package var name: String
    package var aliasOf: String?
    /// Whether a guest can migrate between different hosts with it.
    package var isMigrationSafe: Bool
    package var isDeprecated: Bool
    /// The features this host lacks; the model can run when there is none.
    package var unavailableFeatures: [String]
}

/// Whether KVM is in use.
package struct KVMStatus: Hashable, Sendable {
    package var isEnabled: Bool
    /// Whether QEMU was built with KVM; it says nothing of the host.
    package var isPresent: Bool
}
