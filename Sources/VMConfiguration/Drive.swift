/// A place where a drive can be.
public struct DriveLocation: Hashable, Comparable, Sendable {
    /// The kinds of controllers.
    public enum ControllerType: String, Hashable, Comparable, Sendable, CaseIterable {
        /// Generation 1: two controllers with two slots each.
        case ide
        /// Up to four controllers with 64 slots each.
        case scsi
        /// Generation 1: one controller with one slot.
        case floppy

        /// How many slots a controller has.
        public var slotCount: Int {
            switch self {
            case .ide: 2
            case .scsi: 64
            case .floppy: 1
            }
        }

        /// Orders as the cases are listed.
        public static func < (left: ControllerType, right: ControllerType) -> Bool { left.rank < right.rank }

        private var rank: Int {
            switch self {
            case .ide: 0
            case .scsi: 1
            case .floppy: 2
            }
        }
    }

    /// The kind of controller.
    public var controllerType: ControllerType
    /// Which controller of its kind, from 0.
    public var controllerNumber: Int
    /// Which slot of the controller, from 0.
    public var slot: Int

    /// A place; whether the virtual machine has it is checked where it is used.
    public init(_ controllerType: ControllerType, _ controllerNumber: Int, _ slot: Int) {
        self.controllerType = controllerType
        self.controllerNumber = controllerNumber
        self.slot = slot
    }

    /// Reads what ``description`` writes; nil for any other text.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, let type = ControllerType(rawValue: String(parts[0])),
            let controller = Int(parts[1]), let slot = Int(parts[2]), controller >= 0, slot >= 0
        else { return nil }
        self.init(type, controller, slot)
    }

    /// Orders by controller type, controller and slot.
    public static func < (left: DriveLocation, right: DriveLocation) -> Bool {
        (left.controllerType, left.controllerNumber, left.slot)
            < (right.controllerType, right.controllerNumber, right.slot)
    }
}

extension DriveLocation: CustomStringConvertible {
    /// The type, the controller and the slot: `scsi:0:1`.
    public var description: String { "\(controllerType.rawValue):\(controllerNumber):\(slot)" }
}

/// A drive of a virtual machine, with or without a medium.
public struct Drive: Hashable, Sendable {
    /// The kinds of drives.
    public enum Kind: Hashable, Sendable {
        /// A hard disk backed by an image file; stored as the type `VHD`, whatever the image's format.
        case hardDisk
        /// A DVD drive, with or without an image; stored as `ISO`.
        case dvd
        /// A floppy drive, with or without an image; stored as `VFD`.
        case floppy
        /// A kind that Roost does not run, such as a disk of the host (`HDD`), by its stored type.
        case other(String)
    }

    /// Where the drive is.
    public var location: DriveLocation
    /// What it is.
    public var kind: Kind
    /// The image's path; nil for a drive without medium.
    public var path: String?

    /// A drive at a place.
    public init(location: DriveLocation, kind: Kind, path: String?) {
        self.location = location
        self.kind = kind
        self.path = path
    }
}

extension Drive.Kind {
    /// The kind with a stored type; nil for an empty slot.
    init?(storedType: String) {
        switch storedType {
        case "VHD": self = .hardDisk
        case "ISO": self = .dvd
        case "VFD": self = .floppy
        case "NONE", "": return nil
        default: self = .other(storedType)
        }
    }

    /// The type as it is stored.
    var storedType: String {
        switch self {
        case .hardDisk: "VHD"
        case .dvd: "ISO"
        case .floppy: "VFD"
        case .other(let type): type
        }
    }
}

extension Drive.Kind: CustomStringConvertible {
    /// The kind inside a sentence.
    public var description: String {
        switch self {
        case .hardDisk: "hard disk"
        case .dvd: "DVD drive"
        case .floppy: "floppy drive"
        case .other(let type): "drive of type \(type)"
        }
    }
}
