import HyperVStorage
import RoostPrimitives
import Testing

@testable import VMConfiguration

/// The UEFI variables that a version 5.0 configuration holds.
@Suite struct UEFIVariableTests {
    private static let global = GUID("8BE4DF61-93CA-11D2-AA0D-00E098032B8C") ?? .zero
    private static let nvram = "_ac6b8dc1-3257-4a70-b1b2-a9c9215659ad_/nvram"
    private static let start = FileTime(unixSeconds: 0)

    private func variable(_ name: String, _ data: [UInt8] = [1]) -> UEFIVariable {
        UEFIVariable(vendor: Self.global, name: name, attributes: 7, data: data)
    }

    private func machine(_ names: [String]) throws -> VirtualMachineConfiguration {
        var machine = try makeConfiguration(.two, .v5_0)
        try machine.setUEFIVariables(names.map { variable($0) }, at: try #require(Self.start))
        return machine
    }

    @Test func variablesAreWrittenAsHyperVWritesThem() throws {
        var machine = try makeConfiguration(.two, .v5_0)
        var first = variable("Boot0000", [9, 8])
        first.timestamp = Array(1...16)
        try machine.setUEFIVariables([first, variable("BootOrder", [])], at: try #require(Self.start))
        let prefix = "8BE4DF61-93CA-11D2-AA0D-00E098032B8C"
        let expected = KeyNode(
            "nvram",
            children: [
                KeyNode(
                    "_\(prefix)Boot0000",
                    children: [
                        KeyNode("attributes", .int(7)), KeyNode("data", .array([9, 8])), KeyNode("index", .int(0)),
                        KeyNode("timestamp", .array(Array(1...16))),
                    ]
                ),
                KeyNode(
                    "_\(prefix)BootOrder",
                    children: [
                        KeyNode("attributes", .int(7)), KeyNode("data", .array([])), KeyNode("index", .int(1)),
                    ]
                ),
                KeyNode("last_update_time", .array([0xB2, 7, 1, 0, 4, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
                KeyNode(
                    "map",
                    children: [
                        KeyNode("index0", .string("\(prefix)Boot0000")),
                        KeyNode("index1", .string("\(prefix)BootOrder")),
                    ]
                ),
                KeyNode("map_max_index", .int(2)),
            ]
        )
        let read = try ConfigurationXML.parse(ConfigurationXML.serialize(machine.root)).root
        #expect(read.descendant(Self.nvram) == expected)
        #expect(machine.uefiVariables == [first, variable("BootOrder", [])])
    }

    @Test func manyVariablesKeepTheirOrderThroughAFile() throws {
        let names = (0..<120).map { "Name\(($0 * 37) % 120)" }
        let machine = try machine(names)
        let read = try VirtualMachineConfiguration(
            root: ConfigurationXML.parse(ConfigurationXML.serialize(machine.root)).root
        )
        #expect(read.uefiVariables.map(\.name) == names)
    }

    @Test func variablesThatAreNotInTheNewListGoAndTheOthersAreNumberedAnew() throws {
        var machine = try machine(["A", "B", "C"])
        machine.root.set("\(Self.nvram)/unknown", .int(5))
        machine.root.set("\(Self.nvram)/_\(Self.global.uppercased)C/extra", .int(6))
        try machine.setUEFIVariables([variable("C", [3]), variable("A")], at: try #require(Self.start))
        #expect(machine.uefiVariables == [variable("C", [3]), variable("A")])
        let node = try #require(machine.root.descendant(Self.nvram))
        #expect(node["map"]?.children.map(\.name) == ["index0", "index1"])
        #expect(node["map_max_index"]?.value == .int(2))
        #expect(node["unknown"]?.value == .int(5))
        #expect(node["_\(Self.global.uppercased)C"]?["extra"]?.value == .int(6))
        #expect(node["_\(Self.global.uppercased)B"] == nil)
    }

    @Test func whatIsNoVariableIsLeftOut() throws {
        var machine = try machine(["A"])
        let path = "\(Self.nvram)/_\(Self.global.uppercased)"
        machine.root.set("\(path)NoData/attributes", .int(7))
        machine.root.set("\(path)Wide/attributes", .int(0x1_0000_0000))
        machine.root.set("\(path)Wide/data", .array([]))
        machine.root.set("\(path)/attributes", .int(7))
        machine.root.set("\(path)/data", .array([]))
        machine.root.set("\(Self.nvram)/_x/data", .array([]))
        #expect(machine.uefiVariables == [variable("A")])
        // A second node of the name, and one without an index, which comes last.
        let index = try #require(machine.root.children.firstIndex { Self.nvram.hasPrefix($0.name) })
        let nvram = try #require(machine.root.children[index].children.firstIndex { $0.name == "nvram" })
        let again = try #require(machine.root.descendant("\(path)A"))
        machine.root.children[index].children[nvram].children.append(again)
        machine.root.set("\(path)Z/attributes", .int(7))
        machine.root.set("\(path)Z/data", .array([1]))
        #expect(machine.uefiVariables == [variable("A"), variable("Z")])
    }

    @Test(
        arguments: [
            (951_827_696, [2000, 2, 2, 29, 12, 34, 56, 0]), (1_735_689_599, [2024, 12, 2, 31, 23, 59, 59, 0]),
            (4_107_542_400, [2100, 3, 1, 1, 0, 0, 0, 0]), (-11_644_473_599, [1601, 1, 1, 1, 0, 0, 1, 0]),
            (978_303_600, [2000, 12, 0, 31, 23, 0, 0, 0]), (978_307_200, [2001, 1, 1, 1, 0, 0, 0, 0]),
        ] as [(Int64, [UInt16])]
    )
    func theTimeIsWrittenAsWindowsCountsIt(seconds: Int64, fields: [UInt16]) throws {
        var machine = try makeConfiguration(.two, .v5_0)
        try machine.setUEFIVariables([], at: try #require(FileTime(unixSeconds: seconds)))
        let bytes = fields.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
        #expect(machine.root.descendant("\(Self.nvram)/last_update_time")?.value == .array(bytes))
    }

    @Test func whatTheFileCannotHoldIsRefused() throws {
        var machine = try makeConfiguration(.two, .v5_0)
        let before = machine.root
        let start = try #require(Self.start)
        func code(_ variables: [UEFIVariable]) -> ConfigurationError.Code? {
            do throws(ConfigurationError) {
                try machine.setUEFIVariables(variables, at: start)
                return nil
            } catch {
                return error.code
            }
        }
        #expect(code([variable("")]) == .invalidValue)
        #expect(code([variable("with space")]) == .invalidValue)
        #expect(code([variable("a/b")]) == .invalidValue)
        #expect(code([variable(String(repeating: "a", count: 218))]) == .invalidValue)
        #expect(code([variable("A"), variable("A")]) == .invalidValue)
        #expect(code([variable("A", [UInt8](repeating: 0, count: 65_537))]) == .outOfBounds)
        #expect(code((0...1024).map { variable("A\($0)") }) == .outOfBounds)
        var wrong = variable("A")
        wrong.timestamp = [1]
        #expect(code([wrong]) == .invalidValue)
        #expect(machine.root == before)
        #expect(code([variable(String(repeating: "a", count: 217))]) == nil)
        machine = try makeConfiguration(.one, .v5_0)
        #expect(code([]) == .invalidValue)
        machine = try makeConfiguration(.two, .v8_0)
        #expect(code([]) == .invalidValue)
    }

    // MARK: - Boot entries for another firmware

    private static let bus: [UInt8] = [1, 4, 6, 0, 0xAA, 0xBB]
    private static let partition: [UInt8] = [4, 1, 42, 0] + Array(repeating: 7, count: 38)
    private static let file: [UInt8] = [4, 4, 8, 0, 0x41, 0, 0, 0]
    private static let end: [UInt8] = [0x7F, 0xFF, 4, 0]

    private func option(_ path: [UInt8]) -> [UInt8] {
        [1, 0, 0, 0, UInt8(path.count), 0] + [0x61, 0, 0, 0] + path + [0xEE]
    }

    @Test func bootEntriesOfFilesBeginWithTheirPartition() {
        let found = UEFIVariable.portableBootEntries([
            variable("Boot0000", option(Self.bus + Self.end)),
            variable("Boot000A", option(Self.bus + Self.partition + Self.file + Self.end)),
            variable("BootOrder", [0, 0, 10, 0, 3, 0]),
            // In no order: nobody would start it by itself.
            variable("Boot0005", option(Self.partition + Self.file + Self.end)),
        ])
        #expect(
            found == [
                variable("Boot000A", option(Self.partition + Self.file + Self.end)), variable("BootOrder", [10, 0]),
            ]
        )
    }

    @Test(
        arguments: [
            [], [1, 0, 0, 0], [1, 0, 0, 0, 4, 0, 0x61], [1, 0, 0, 0, 90, 0, 0, 0] + partition + file,
            [1, 0, 0, 0, 46, 0, 0, 0] + partition + end, [1, 0, 0, 0, 8, 0, 0, 0] + file,
            [1, 0, 0, 0, 8, 0, 0, 0, 4, 1, 0, 0, 4, 4, 255, 255], [1, 0, 0, 0, 3, 0, 0, 0, 4, 1, 42],
        ] as [[UInt8]]
    )
    func damagedOrForeignBootEntryIsLeftOut(data: [UInt8]) {
        #expect(
            UEFIVariable.portableBootEntries([variable("Boot0001", data), variable("BootOrder", [1, 0, 1])]).isEmpty
        )
    }
}
