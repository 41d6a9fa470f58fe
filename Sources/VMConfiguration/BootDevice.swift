public import RoostPrimitives

/// An entry of a boot order.
///
/// The firmware of Generation 1 tries kinds of devices, that of Generation 2 single devices.
public enum BootDevice: Hashable, Sendable {
    /// Generation 1: the first CD or DVD.
    case optical
    /// Generation 1: the first hard disk.
    case hardDrive
    /// Generation 1: the first legacy network adapter.
    case network
    /// Generation 1: the floppy.
    case floppy
    /// Generation 2: a hard disk or DVD.
    case drive(DriveLocation)
    /// Generation 2: a network adapter.
    case networkAdapter(GUID)

    /// The order of a new Generation 1 virtual machine.
    public static let defaultOrder: [BootDevice] = [.optical, .hardDrive, .network, .floppy]

    /// Reads what ``description`` writes; nil for any other text.
    public init?(_ text: some StringProtocol) {
        switch text {
        case "Optical": self = .optical
        case "HardDrive": self = .hardDrive
        case "Network": self = .network
        case "Floppy": self = .floppy
        default:
            if let location = DriveLocation(text) {
                self = .drive(location)
            } else if text.hasPrefix("network:"), let id = GUID(text.dropFirst(8)) {
                self = .networkAdapter(id)
            } else {
                return nil
            }
        }
    }
}

extension BootDevice: CustomStringConvertible {
    /// Hyper-V's word for a kind of devices, `scsi:0:1` for a drive, `network:` and the identifier for an adapter.
    public var description: String {
        switch self {
        case .optical: "Optical"
        case .hardDrive: "HardDrive"
        case .network: "Network"
        case .floppy: "Floppy"
        case .drive(let location): location.description
        case .networkAdapter(let id): "network:\(id.uppercased)"
        }
    }
}
