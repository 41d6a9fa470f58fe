import RoostPrimitives
import Testing

@testable import UEFIVariables

@Suite struct BootEntryTests {
    private let end: [UInt8] = [0x7F, 0xFF, 4, 0]

    private func option(_ description: String, path: [UInt8], attributes: UInt64 = 1, data: [UInt8] = []) -> [UInt8] {
        Fixture.little(attributes, 4) + Fixture.little(UInt64(path.count), 2) + Fixture.utf16(description) + path + data
    }

    @Test func entriesAreListedInBootOrderThenByNumber() throws {
        var store = try VariableStore(parsing: Fixture.image(records: [], storeSize: 2000, size: 4096))
        func add(_ name: String, _ data: [UInt8]) {
            store.variables.append(Variable(name, vendor: .globalVariable, attributes: [], data: data))
        }
        add("BootOrder", [0x0A, 0, 9, 0, 1, 0])
        add("Boot0002", option("Third", path: end))
        add("Boot0000", option("Second", path: end, attributes: 8))
        add("Boot000A", option("First", path: end, data: [7]))
        add("Boot0001", [1, 0, 0])
        add("Boot00zz", option("Foreign", path: end))
        add("Boot000a", option("Foreign", path: end))
        #expect(store.bootOrder == [10, 9, 1])
        #expect(store.bootEntries.map(\.description) == ["First", "Second", "Third"])
        #expect(store.bootEntries.map(\.number) == [10, 0, 2])
        #expect(store.bootEntries.map(\.isActive) == [true, false, true])
        #expect(store.bootEntries.map(\.isHidden) == [false, true, false])
        #expect(store.bootEntries.first?.optionalData == [7])
        #expect(BootEntry.name(10) == "Boot000A")
    }

    @Test func anEntryThatIsCutShortIsRefused() throws {
        let data = option("Disk", path: end)
        #expect(try BootEntry(number: 1, data: data).description == "Disk")
        for length in 0..<data.count {
            #expect(code { _ = try BootEntry(number: 1, data: Array(data.prefix(length))) } == .corrupt)
        }
    }

    @Test(
        arguments: [
            ([2, 1, 12, 0, 0xD0, 0x41, 0x03, 0x0A, 0, 0, 0, 0, 1, 1, 6, 0, 2, 0x1F], "PciRoot(0x0)/Pci(0x1F,0x2)"),
            ([2, 1, 12, 0, 0xD0, 0x41, 0x01, 0x05, 1, 0, 0, 0], "Acpi(PNP0501,0x1)"),
            ([3, 18, 10, 0, 1, 0, 0xFF, 0xFF, 0, 0], "Sata(0x1,0xFFFF,0x0)"),
            ([3, 2, 8, 0, 3, 0, 1, 0], "Scsi(0x3,0x1)"),
            ([3, 23, 16, 0, 1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8], "NVMe(0x1,08-07-06-05-04-03-02-01)"),
            (
                [3, 11, 37, 0, 0x52, 0x54, 0, 0x12, 0x34, 0x56] + [UInt8](repeating: 0, count: 26) + [1],
                "MAC(525400123456,0x1)"
            ),
            ([4, 4, 14, 0, 0x5C, 0, 0x61, 0, 0x5C, 0, 0x62, 0, 0, 0], #"\a\b"#),
            ([4, 6, 20, 0] + Fixture.globalVariable, "FvFile(8BE4DF61-93CA-11D2-AA0D-00E098032B8C)"),
            (
                [4, 1, 42, 0, 1, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0x40, 6, 0, 0, 0, 0, 0] + Fixture.globalVariable
                    + [2, 2], "HD(1,GPT,8BE4DF61-93CA-11D2-AA0D-00E098032B8C,0x800,0x64000)"
            ),
            ([5, 1, 6, 0, 0xAB, 0x0C], "Path(5,1,AB0C)"),
            ([1, 1, 5, 0, 2], "Path(1,1,02)"),
            ([3, 24, 7, 0, 0x68, 0x3A, 0x2F, 0x7F, 1, 4, 0, 1, 1, 6, 0, 0, 1], "Uri(h:/),Pci(0x1,0x0)"),
        ] as [([UInt8], String)]
    )
    func nodesAreWrittenAsText(path: [UInt8], text: String) {
        #expect(DevicePath.text((path + end)[...]) == text)
        #expect(DevicePath.text(path[...]) == text)
    }

    @Test func damagedPathsEndWithAMark() {
        let path: [UInt8] = [1, 1, 6, 0, 2, 1]
        #expect(DevicePath.text((path + [1, 1, 3, 0])[...]) == "Pci(0x1,0x2)…")
        for length in 1..<6 { #expect(DevicePath.text(path.prefix(length)) == "…") }
        for type in UInt8(0)...7 {
            for subtype in UInt8(0)...32 {
                for size in UInt8(4)...50 {
                    let node = [type, subtype, size, 0] + [UInt8](repeating: 0xFF, count: Int(size) - 4)
                    #expect(!DevicePath.text(node[...]).hasSuffix("…"))
                }
            }
        }
    }
}
