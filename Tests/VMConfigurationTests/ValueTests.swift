import RoostPrimitives
import Testing
import VMConfiguration

@Suite struct MACAddressTests {
    @Test(arguments: ["00-15-5D-01-07-DC", "00:15:5d:01:07:dc", "00-15-5d-01-07-dc"])
    func readsBothSeparatorsInEitherCase(text: String) throws {
        let address = try #require(MACAddress(text))
        #expect(address.description == "00-15-5D-01-07-DC")
        #expect(address.colonSeparated == "00:15:5d:01:07:dc")
        #expect(address.bytes == [0x00, 0x15, 0x5D, 0x01, 0x07, 0xDC])
        #expect(MACAddress(bytes: address.bytes) == address)
    }

    @Test(arguments: [
        "", "00155D0107DC", "00-15-5D-01-07", "00-15-5D-01-07-DC-", "00-15:5D-01-07-DC", "0G-15-5D-01-07-DC",
        "00.15.5D.01.07.DC", "-0-15-5D-01-07-DC",
    ])
    func otherTextIsNoAddress(text: String) {
        #expect(MACAddress(text) == nil)
    }

    @Test func zeroAndGroupAddressesBelongToNoAdapter() throws {
        #expect(try #require(MACAddress("00-00-00-00-00-00")).isZero)
        #expect(try !#require(MACAddress("00-00-00-00-00-00")).isUnicast)
        #expect(try !#require(MACAddress("01-00-5E-00-00-01")).isUnicast)
        #expect(try #require(MACAddress("02-00-00-00-00-01")).isUnicast)
    }

    @Test func randomAddressesAreOfHyperVsRange() {
        let addresses = (0..<64).map { _ in MACAddress.random() }
        #expect(addresses.allSatisfy { $0.bytes.prefix(3).elementsEqual([0x00, 0x15, 0x5D]) })
        #expect(Set(addresses).count > 1)
    }
}

@Suite struct FileTimeTests {
    @Test func knowsTheUnixEpoch() throws {
        let epoch = try #require(FileTime(unixSeconds: 0))
        #expect(epoch.intervals == 116_444_736_000_000_000)
        #expect(epoch.unixSeconds == 0)
        #expect(FileTime(unixSeconds: 1, nanoseconds: 500)?.intervals == 116_444_736_010_000_005)
    }

    @Test func readsBytesLeastSignificantFirst() throws {
        let time = try #require(FileTime(littleEndianBytes: [0xA7, 0x6E, 0x45, 0x66, 0x9E, 0x97, 0xD7, 0x01]))
        #expect(time.intervals == 0x01D7_979E_6645_6EA7)
        #expect(time.littleEndianBytes == [0xA7, 0x6E, 0x45, 0x66, 0x9E, 0x97, 0xD7, 0x01])
    }

    @Test func neverAndImpossibleMomentsAreNil() {
        #expect(FileTime(intervals: 0) == nil)
        #expect(FileTime(intervals: -1) == nil)
        #expect(FileTime(littleEndianBytes: [UInt8](repeating: 0, count: 8)) == nil)
        #expect(FileTime(littleEndianBytes: [UInt8](repeating: 0xFF, count: 8)) == nil)
        #expect(FileTime(littleEndianBytes: [1, 2, 3]) == nil)
        #expect(FileTime(unixSeconds: .max) == nil)
        #expect(FileTime(unixSeconds: .min) == nil)
    }
}

@Suite struct SecureBootTemplateTests {
    @Test func namesFindTemplatesInAnyCase() {
        for template in SecureBootTemplate.all {
            #expect(SecureBootTemplate(name: template.description.uppercased()) == template)
        }
        #expect(SecureBootTemplate(name: "Microsoft") == nil)
    }

    @Test func identifiersAreHyperVs() {
        #expect(
            SecureBootTemplate.all.map(\.id.uppercased) == [
                "1734C6E8-3154-4DDA-BA5F-A874CC483422", "272E7447-90A4-4563-A4B9-8E4AB00526CE",
                "4292AE2B-EE2C-42B5-A969-DD8F8689F6F3",
            ]
        )
    }

    @Test func anUnknownTemplateShowsItsIdentifier() {
        let template = SecureBootTemplate(id: .zero)
        #expect(template.name == nil)
        #expect(template.description == GUID.zero.uppercased)
    }
}

@Suite struct BootDeviceTests {
    @Test func everyEntryIsReadFromItsText() {
        let entries =
            BootDevice.defaultOrder + [.drive(DriveLocation(.scsi, 3, 63)), .networkAdapter(.random())]
        for entry in entries { #expect(BootDevice(entry.description) == entry) }
    }

    @Test(arguments: ["", "optical", "scsi:0", "scsi:0:1:2", "scsi:-1:0", "sata:0:0", "network:", "network:1"])
    func otherTextIsNoEntry(text: String) {
        #expect(BootDevice(text) == nil)
    }
}
