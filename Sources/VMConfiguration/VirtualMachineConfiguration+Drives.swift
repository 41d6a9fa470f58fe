import HyperVStorage
public import RoostPrimitives

/// A SCSI controller of a virtual machine.
public struct ScsiController: Hashable, Sendable, Identifiable {
    /// The device's instance; it stays when other controllers come and go.
    public var id: GUID
    /// The controller's number in drive locations, from 0.
    public var number: Int
}

extension VirtualMachineConfiguration {
    /// The SCSI controllers in the order of the manifest, which numbers them.
    public var scsiControllers: [ScsiController] {
        instances(of: .scsi).enumerated().map { ScsiController(id: $1, number: $0) }
    }

    /// The drives, by location: IDE, SCSI, floppy.
    ///
    /// An empty slot is no drive, a drive without medium is one.
    public var drives: [Drive] {
        var drives: [Drive] = []
        for controller in controllers {
            for (slot, node) in controller.node.slots where slot < controller.type.slotCount {
                let location = DriveLocation(controller.type, controller.number, slot)
                if let drive = Drive(location, node) { drives.append(drive) }
            }
        }
        return drives
    }

    /// The drive at a place; nil when the slot is empty or does not exist.
    public func drive(at location: DriveLocation) -> Drive? {
        knownPath(of: location).flatMap { root.descendant($0) }.flatMap { Drive(location, $0) }
    }

    /// The first free place for a new drive; nil when there is none.
    ///
    /// Hard disks and DVD drives of Generation 1 come to IDE and then to SCSI, those of Generation 2 to SCSI.
    public func nextFreeLocation(for kind: Drive.Kind) -> DriveLocation? {
        let types: [DriveLocation.ControllerType] = kind == .floppy ? [.floppy] : [.ide, .scsi]
        let taken = Set(drives.map(\.location))
        for type in types {
            for controller in 0..<controllerCount(type) {
                for slot in 0..<usableSlotCount(type) {
                    let location = DriveLocation(type, controller, slot)
                    if !taken.contains(location) { return location }
                }
            }
        }
        return nil
    }

    /// Adds a drive at a free place.
    ///
    /// - Throws: ``ConfigurationError`` with the code `notFound` when the virtual machine does not have the place,
    ///   `alreadyInUse` when a drive is there, `invalidValue` when the kind does not belong there or the path is empty.
    public mutating func addDrive(_ drive: Drive) throws(ConfigurationError) {
        let path = try path(of: drive.location)
        if let present = self.drive(at: drive.location) {
            throw ConfigurationError(
                .alreadyInUse,
                "add \(drive.kind) to \(name): \(drive.location) already holds a \(present.kind)"
            )
        }
        try check(drive)
        guard drive.location.slot < usableSlotCount(drive.location.controllerType) else {
            throw ConfigurationError(
                .notFound,
                "add \(drive.kind) to \(name): its SATA controllers have the slots 0 to "
                    + "\(usableSlotCount(.scsi) - 1), not \(drive.location.slot)"
            )
        }
        let keys = drive.keys(version: version)
        root.assign(.node, at: path)
        root.update(at: path) { $0.children = keys }
    }

    /// Changes the drive at its location: its medium, or what it is.
    ///
    /// The keys of a hard disk that stays one, as its limits, are kept.
    ///
    /// - Throws: ``ConfigurationError`` with the code `notFound` when no drive is there, `invalidValue` when the kind
    ///   does not belong there or the path is empty.
    public mutating func setDrive(_ drive: Drive) throws(ConfigurationError) {
        let path = try path(of: drive.location)
        guard let present = self.drive(at: drive.location) else { throw noDrive(at: drive.location) }
        try check(drive)
        let keys = drive.keys(version: version)
        root.update(at: path) { node in
            if present.kind == drive.kind {
                node[ConfigurationKey<String>("pathname")] = drive.path ?? ""
            } else {
                node.children = keys
            }
        }
    }

    /// Removes the drive at a place and returns it.
    ///
    /// The image file is left alone.
    ///
    /// - Throws: ``ConfigurationError`` with the code `notFound` when no drive is there.
    @discardableResult
    public mutating func removeDrive(at location: DriveLocation) throws(ConfigurationError) -> Drive {
        let path = try path(of: location)
        guard let drive = drive(at: location) else { throw noDrive(at: location) }
        if location.controllerType == .scsi {
            root.remove(path)
            let controller = String(path.prefix { $0 != "/" }) + "/controller0"
            if root.descendant(controller)?.children.isEmpty == true { root.remove(controller) }
        } else {
            root.update(at: path) {
                $0.children = [KeyNode("pathname", .string("")), KeyNode("type", .string("NONE"))]
            }
        }
        return drive
    }

    /// Adds a SCSI controller without drives, numbered behind the present ones.
    ///
    /// - Throws: ``ConfigurationError/Code/limitReached`` when there are four.
    @discardableResult
    public mutating func addScsiController() throws(ConfigurationError) -> ScsiController {
        var generator = SystemRandomNumberGenerator()
        return try addScsiController(using: &generator)
    }

    /// Adds a SCSI controller whose identifiers come from a generator.
    @discardableResult
    mutating func addScsiController(
        using generator: inout some RandomNumberGenerator
    ) throws(ConfigurationError) -> ScsiController {
        let number = scsiControllers.count
        guard number < Limits.scsiControllers else {
            throw ConfigurationError(
                .limitReached,
                "add SCSI controller to \(name): it has \(number), \(Limits.scsiControllers) is the most"
            )
        }
        let id = GUID.random(using: &generator)
        let node = ConfigurationTemplate.scsiController(id: id, version: version, using: &generator)
        addDevice(.scsi, instance: id, node: node)
        return ScsiController(id: id, number: number)
    }
}

extension VirtualMachineConfiguration {
    /// The controllers with their nodes; without those that have no data.
    private var controllers: [(type: DriveLocation.ControllerType, number: Int, node: KeyNode)] {
        var controllers: [(DriveLocation.ControllerType, Int, KeyNode)] = []
        if generation == .one, let ide = device(DeviceClass.ide.id) {
            for number in 0..<2 {
                if let node = ide["controller\(number)"] { controllers.append((.ide, number, node)) }
            }
        }
        for controller in scsiControllers {
            if let node = device(controller.id)?["controller0"] { controllers.append((.scsi, controller.number, node)) }
        }
        if generation == .one, let node = device(DeviceClass.floppy.id)?["controller0"] {
            controllers.append((.floppy, 0, node))
        }
        return controllers
    }

    /// How many slots of a controller a drive can be added to.
    private func usableSlotCount(_ type: DriveLocation.ControllerType) -> Int {
        type == .scsi ? roost.diskController?.slotCount ?? type.slotCount : type.slotCount
    }

    /// How many controllers of a type the virtual machine has.
    private func controllerCount(_ type: DriveLocation.ControllerType) -> Int {
        switch type {
        case .ide: generation == .one ? 2 : 0
        case .floppy: generation == .one ? 1 : 0
        case .scsi: scsiControllers.count
        }
    }

    /// The path of the node of a place; nil when the virtual machine does not have the place.
    private func knownPath(of location: DriveLocation) -> String? {
        let (type, number, slot) = (location.controllerType, location.controllerNumber, location.slot)
        guard (0..<controllerCount(type)).contains(number), (0..<type.slotCount).contains(slot) else { return nil }
        switch type {
        case .ide: return "\(KeyNode.deviceName(DeviceClass.ide.id))/controller\(number)/drive\(slot)"
        case .floppy: return "\(KeyNode.deviceName(DeviceClass.floppy.id))/controller\(number)/drive\(slot)"
        case .scsi: return "\(KeyNode.deviceName(scsiControllers[number].id))/controller0/drive\(slot)"
        }
    }

    /// The path of the node of a place.
    private func path(of location: DriveLocation) throws(ConfigurationError) -> String {
        if let path = knownPath(of: location) { return path }
        throw ConfigurationError(
            .notFound,
            "drive location \(location): \(name), generation \(generation.rawValue), does not have it"
        )
    }

    private func noDrive(at location: DriveLocation) -> ConfigurationError {
        ConfigurationError(.notFound, "drive of \(name): there is none at \(location)")
    }

    private func check(_ drive: Drive) throws(ConfigurationError) {
        let fits =
            switch drive.kind {
            case .floppy: drive.location.controllerType == .floppy
            case .hardDisk, .dvd: drive.location.controllerType != .floppy
            case .other(let type): Drive.Kind(storedType: type) == drive.kind
            }
        guard fits else {
            throw ConfigurationError(
                .invalidValue,
                "\(drive.kind) of \(name): a \(drive.location.controllerType.rawValue) controller cannot hold it"
            )
        }
        guard drive.kind != .hardDisk || !(drive.path ?? "").isEmpty else {
            throw ConfigurationError(
                .invalidValue,
                "hard disk of \(name) at \(drive.location): it needs an image's path"
            )
        }
    }
}

extension Drive {
    /// The drive that a node describes; nil for an empty slot.
    fileprivate init?(_ location: DriveLocation, _ node: KeyNode) {
        guard let kind = node["type"]?.value.asString.flatMap(Kind.init(storedType:)) else { return nil }
        let path = node["pathname"]?.value.asString ?? ""
        self.init(location: location, kind: kind, path: path.isEmpty ? nil : path)
    }

    /// The keys of a new drive, in the order in which Hyper-V adds them.
    fileprivate func keys(version: ConfigurationVersion) -> [KeyNode] {
        let keys = [KeyNode("type", .string(kind.storedType)), KeyNode("pathname", .string(path ?? ""))]
        return kind == .hardDisk ? keys + ConfigurationTemplate.diskLimits(version: version) : keys
    }
}

extension KeyNode {
    /// Changes the first key at a path, if there is one.
    mutating func update(at path: String, _ change: (inout KeyNode) -> Void) {
        update(at: path.split(separator: "/")[...], change)
    }

    private mutating func update(at path: ArraySlice<Substring>, _ change: (inout KeyNode) -> Void) {
        guard let name = path.first else { return change(&self) }
        guard let index = children.firstIndex(where: { $0.name.hasSameBytes(as: name) }) else { return }
        children[index].update(at: path.dropFirst(), change)
    }
}

extension KeyNode {
    /// The slots of a controller in their order, `drive0` and so on; the first of a name counts.
    fileprivate var slots: [(number: Int, node: KeyNode)] {
        var found: [(number: Int, node: KeyNode)] = []
        for child in children {
            guard let number = child.name.slotNumber, !found.contains(where: { $0.number == number }) else { continue }
            found.append((number, child))
        }
        return found.sorted { $0.number < $1.number }
    }
}

extension String {
    /// The number in the name of a slot, `drive12`; nil for any other name.
    fileprivate var slotNumber: Int? {
        let prefix = "drive"
        guard utf8.starts(with: prefix.utf8) else { return nil }
        let digits = utf8.dropFirst(prefix.utf8.count)
        guard let first = digits.first, digits.count < 4, digits.allSatisfy({ $0 >= 48 && $0 <= 57 }),
            first != 48 || digits.count == 1
        else { return nil }
        return digits.reduce(0) { $0 * 10 + Int($1 - 48) }
    }
}
