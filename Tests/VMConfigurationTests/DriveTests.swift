import HyperVStorage
import RoostPrimitives
import Testing
import VMConfiguration

@Suite struct DriveTests {
    private func disk(_ type: DriveLocation.ControllerType, _ controller: Int, _ slot: Int) -> Drive {
        Drive(location: DriveLocation(type, controller, slot), kind: .hardDisk, path: "/\(type.rawValue)\(slot)")
    }

    @Test func generation1BeginsWithAnEmptyDVDAndAnEmptyFloppy() throws {
        #expect(
            try makeConfiguration(.one).drives == [
                Drive(location: DriveLocation(.ide, 1, 0), kind: .dvd, path: nil),
                Drive(location: DriveLocation(.floppy, 0, 0), kind: .floppy, path: nil),
            ]
        )
        #expect(try makeConfiguration(.two).drives.isEmpty)
    }

    @Test func drivesAreListedByLocation() throws {
        var configuration = try makeConfiguration(.one)
        for drive in [disk(.scsi, 0, 63), disk(.ide, 0, 1), disk(.scsi, 0, 2)] { try configuration.addDrive(drive) }
        #expect(
            configuration.drives.map(\.location.description) == [
                "ide:0:1", "ide:1:0", "scsi:0:2", "scsi:0:63", "floppy:0:0",
            ]
        )
        #expect(configuration.drive(at: DriveLocation(.scsi, 0, 2))?.path == "/scsi2")
        #expect(configuration.drive(at: DriveLocation(.scsi, 0, 3)) == nil)
    }

    @Test(arguments: [ConfigurationVersion.v5_0, .v8_0, .v9_0])
    func removingTheOnlyScsiDriveRestoresTheTree(version: ConfigurationVersion) throws {
        var configuration = try makeConfiguration(.two, version)
        let before = configuration.root
        try configuration.addDrive(disk(.scsi, 0, 0))
        #expect(configuration.root != before)
        #expect(try configuration.removeDrive(at: DriveLocation(.scsi, 0, 0)) == disk(.scsi, 0, 0))
        #expect(configuration.root == before)
    }

    @Test func removingAnIDEDriveLeavesAnEmptySlot() throws {
        var configuration = try makeConfiguration(.one)
        let before = configuration.root
        try configuration.addDrive(disk(.ide, 0, 0))
        try configuration.removeDrive(at: DriveLocation(.ide, 0, 0))
        #expect(configuration.root == before)
    }

    @Test func aChangedMediumKeepsTheOtherKeysOfTheDisk() throws {
        var configuration = try makeConfiguration()
        try configuration.addDrive(disk(.scsi, 0, 0))
        let path = "_\(try #require(configuration.scsiControllers.first).id.lowercased)_/controller0/drive0"
        configuration.root.set("\(path)/iops_limit", .int(500))
        configuration.root.set("\(path)/unknown", .bool(true))
        var changed = disk(.scsi, 0, 0)
        changed.path = "/new"
        try configuration.setDrive(changed)
        #expect(configuration.drive(at: changed.location) == changed)
        #expect(configuration.root.descendant("\(path)/iops_limit")?.value == .int(500))
        #expect(configuration.root.descendant("\(path)/unknown")?.value == .bool(true))
    }

    @Test func ejectingLeavesTheDrive() throws {
        var configuration = try makeConfiguration(.one)
        let location = DriveLocation(.ide, 1, 0)
        try configuration.setDrive(Drive(location: location, kind: .dvd, path: "/cd.iso"))
        #expect(configuration.drive(at: location)?.path == "/cd.iso")
        try configuration.setDrive(Drive(location: location, kind: .dvd, path: nil))
        #expect(configuration.drive(at: location) == Drive(location: location, kind: .dvd, path: nil))
    }

    @Test func freePlacesComeInOrderUntilNoneIsLeft() throws {
        var configuration = try makeConfiguration(.one)
        var places: [String] = []
        while let location = configuration.nextFreeLocation(for: .hardDisk) {
            try configuration.addDrive(Drive(location: location, kind: .hardDisk, path: "/d"))
            places.append(location.description)
        }
        #expect(places.prefix(4) == ["ide:0:0", "ide:0:1", "ide:1:1", "scsi:0:0"])
        #expect(places.count == 3 + 64)
        #expect(configuration.nextFreeLocation(for: .floppy) == nil)
        try configuration.removeDrive(at: DriveLocation(.floppy, 0, 0))
        #expect(configuration.nextFreeLocation(for: .floppy) == DriveLocation(.floppy, 0, 0))
        try configuration.addScsiController()
        #expect(configuration.nextFreeLocation(for: .dvd)?.description == "scsi:1:0")
        #expect(try makeConfiguration(.two).nextFreeLocation(for: .floppy) == nil)
    }

    @Test(arguments: [
        DriveLocation(.ide, 2, 0), DriveLocation(.ide, 0, 2), DriveLocation(.scsi, 1, 0), DriveLocation(.scsi, 0, 64),
        DriveLocation(.scsi, -1, 0), DriveLocation(.scsi, 0, -1), DriveLocation(.floppy, 0, 1),
        DriveLocation(.scsi, .max, .max),
    ])
    func aPlaceThatDoesNotExistIsRefused(location: DriveLocation) throws {
        var configuration = try makeConfiguration(.one)
        #expect(configuration.drive(at: location) == nil)
        for attempt in [
            { try configuration.addDrive(Drive(location: location, kind: .dvd, path: nil)) },
            { try configuration.setDrive(Drive(location: location, kind: .dvd, path: nil)) },
            { _ = try configuration.removeDrive(at: location) },
        ] {
            #expect(#expect(throws: ConfigurationError.self, performing: attempt)?.code == .notFound)
        }
    }

    @Test func generation2HasNoIDEAndNoFloppy() throws {
        var configuration = try makeConfiguration(.two)
        let error = #expect(throws: ConfigurationError.self) { try configuration.addDrive(disk(.ide, 0, 0)) }
        #expect(error?.code == .notFound)
        #expect(error?.message.contains("ide:0:0") == true)
    }

    @Test func aTakenPlaceAWrongKindAndAMissingPathAreRefused() throws {
        var configuration = try makeConfiguration(.one)
        let before = configuration.root
        func code(_ drive: Drive) -> ConfigurationError.Code? {
            #expect(throws: ConfigurationError.self) { try configuration.addDrive(drive) }?.code
        }
        #expect(code(disk(.ide, 1, 0)) == .alreadyInUse)
        #expect(code(Drive(location: DriveLocation(.ide, 0, 0), kind: .floppy, path: nil)) == .invalidValue)
        #expect(code(Drive(location: DriveLocation(.ide, 0, 0), kind: .hardDisk, path: nil)) == .invalidValue)
        #expect(code(Drive(location: DriveLocation(.ide, 0, 0), kind: .hardDisk, path: "")) == .invalidValue)
        #expect(code(Drive(location: DriveLocation(.ide, 0, 0), kind: .other("NONE"), path: nil)) == .invalidValue)
        #expect(configuration.root == before)
    }

    @Test func aDriveThatRoostDoesNotRunIsShownAndTakesItsPlace() throws {
        var configuration = try makeConfiguration()
        try configuration.addDrive(disk(.scsi, 0, 0))
        let path = "_\(try #require(configuration.scsiControllers.first).id.lowercased)_/controller0/drive0/type"
        configuration.root.set(path, .string("HDD"))
        #expect(configuration.drives.map(\.kind) == [.other("HDD")])
        #expect(configuration.nextFreeLocation(for: .hardDisk) == DriveLocation(.scsi, 0, 1))
    }

    @Test func fourScsiControllersAreTheMost() throws {
        var configuration = try makeConfiguration()
        for number in 1...3 { #expect(try configuration.addScsiController().number == number) }
        #expect(Set(configuration.scsiControllers.map(\.id)).count == 4)
        let error = #expect(throws: ConfigurationError.self) { try configuration.addScsiController() }
        #expect(error?.code == .limitReached)
        #expect(configuration.root["manifest"]?["size"]?.value == .int(30))
    }
}
