import HyperVStorage

/// A service between host and guest that the virtual machine's owner can switch on and off.
public enum IntegrationService: String, Hashable, Sendable, CaseIterable {
    /// The guest shows that it lives.
    case heartbeat
    /// Host and guest exchange names and values, such as the guest's addresses.
    case keyValuePairExchange
    /// The host asks the guest to shut down.
    case shutdown
    /// The guest's clock follows the host's.
    case timeSynchronization
    /// The guest freezes its file systems for a backup.
    case vss
    /// The host copies files into the guest.
    case guestServiceInterface

    /// Hyper-V's name of the service.
    public var name: String {
        switch self {
        case .heartbeat: "Heartbeat"
        case .keyValuePairExchange: "Key-Value Pair Exchange"
        case .shutdown: "Shutdown"
        case .timeSynchronization: "Time Synchronization"
        case .vss: "VSS"
        case .guestServiceInterface: "Guest Service Interface"
        }
    }

    var deviceClass: DeviceClass {
        switch self {
        case .heartbeat: .heartbeat
        case .keyValuePairExchange: .keyValuePairExchange
        case .shutdown: .shutdown
        case .timeSynchronization: .timeSynchronization
        case .vss: .vss
        case .guestServiceInterface: .guestInterface
        }
    }
}

extension VirtualMachineConfiguration {
    /// Which integration services are on.
    ///
    /// A service without the key `Enabled` is on, one without a row in the manifest is off and cannot be switched on.
    /// Setting a dictionary changes the services that are in it.
    public var integrationServices: [IntegrationService: Bool] {
        get {
            let present = deviceInstances
            return Dictionary(
                uniqueKeysWithValues: IntegrationService.allCases.map { service in
                    (service, present.contains(service.deviceClass.id) && root[enabledKey(service)])
                }
            )
        }
        set {
            let present = deviceInstances
            for service in IntegrationService.allCases {
                guard let isEnabled = newValue[service], present.contains(service.deviceClass.id) else { continue }
                root[enabledKey(service)] = isEnabled
            }
        }
    }

    private func enabledKey(_ service: IntegrationService) -> ConfigurationKey<Bool> {
        ConfigurationKey("\(KeyNode.deviceName(service.deviceClass.id))/Enabled", absent: true)
    }
}
