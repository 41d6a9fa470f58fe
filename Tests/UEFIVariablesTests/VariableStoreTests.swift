import RoostPrimitives
import Testing

@testable import UEFIVariables

@Suite struct VariableStoreTests {
    private let lang = Variable.Key("Lang", .globalVariable)
    private let timeout = Variable.Key("Timeout", .globalVariable)

    private func records() -> [UInt8] {
        Fixture.record("Lang", Array("eng".utf8) + [0]) + Fixture.record("Timeout", [5, 0, 1])
            + Fixture.record("Boot0000", [1, 2, 3, 4, 5])
    }

    @Test func aStoreBuiltByHandIsRead() throws {
        let time: [UInt8] = [0xE9, 0x07, 3, 10, 2, 53, 39, 0, 1, 0, 0, 0, 0xFF, 0x07, 1, 0]
        let image = Fixture.image(
            records: Fixture.record("Lang", [1, 2, 3], attributes: 0x27, time: time) + Fixture.record("Timeout", [9])
        )
        let store = try VariableStore(parsing: image)
        #expect(store.variables.map(\.name) == ["Lang", "Timeout"])
        let variable = try #require(store[lang])
        #expect(variable.data == [1, 2, 3])
        #expect(variable.vendor == GUID("8BE4DF61-93CA-11D2-AA0D-00E098032B8C"))
        #expect(variable.attributes.contains(.timeBasedAuthenticatedWriteAccess))
        #expect(variable.timestamp.year == 2025 && variable.timestamp.month == 3 && variable.timestamp.second == 39)
        #expect(variable.timestamp.nanosecond == 1 && variable.timestamp.timeZone == 2047)
        #expect(variable.timestamp.daylight == 1)
        #expect(store[timeout]?.timestamp == .zero)
        #expect(store.capacity == 400 - 28)
    }

    @Test func aCompactStoreIsWrittenByteForByte() throws {
        let image = Fixture.image(records: records())
        #expect(try VariableStore(parsing: image).serialized() == image)
    }

    @Test func deletedVariablesAreLeftOutAndTheirSpaceIsErased() throws {
        let deleted = Fixture.record("Gone", [7, 7], state: 0x3C)
        let unfinished = Fixture.record("Half", [7, 7], state: 0x7F)
        let image = Fixture.image(records: deleted + records() + unfinished, storeSize: 600, size: 700)
        let compact = Fixture.image(records: records(), storeSize: 600, size: 700)
        #expect(try VariableStore(parsing: image).serialized() == compact)
    }

    @Test func aVariableBeingReplacedCountsUntilItsSuccessorIsInPlace() throws {
        let old = Fixture.record("Lang", [1], state: 0x3E)
        let unfinished = Fixture.record("Lang", [2], state: 0x7F)
        let finished = Fixture.record("Lang", [2])
        #expect(try VariableStore(parsing: Fixture.image(records: old + unfinished))[lang]?.data == [1])
        let both = try VariableStore(parsing: Fixture.image(records: old + finished))
        #expect(both.variables.map(\.data) == [[2]])
    }

    @Test func aHeaderThatWasNeverCompletedIsSteppedOver() throws {
        let started: [UInt8] = [0xAA, 0x55] + [UInt8](repeating: 0xFF, count: 58)
        let store = try VariableStore(parsing: Fixture.image(records: started + records()))
        #expect(store.variables.count == 3)
    }

    @Test func aNameThatIsNoTextIsWrittenAsItWas() throws {
        var record = Fixture.record("Lang", [1])
        record.replaceSubrange(60..<62, with: [0x00, 0xD8])
        let image = Fixture.image(records: record)
        let store = try VariableStore(parsing: image)
        #expect(store.variables.map(\.name) == ["\u{FFFD}ang"])
        #expect(try store.serialized() == image)
    }

    @Test func changesAreReadBack() throws {
        var store = try VariableStore(parsing: Fixture.image(records: records()))
        store[timeout] = nil
        store[lang]?.data = Array("de".utf8)
        let new = Variable("New", vendor: .globalVariable, attributes: [.nonVolatile], data: [1])
        store[new.key] = new
        let bytes = try store.serialized()
        let again = try VariableStore(parsing: bytes)
        #expect(again.variables.map(\.name) == ["Lang", "Boot0000", "New"])
        #expect(again[lang]?.data == Array("de".utf8))
        #expect(again.variables == store.variables)
        #expect(bytes.count == 512)
        #expect(bytes.suffix(40).allSatisfy { $0 == 0xA7 })
    }

    @Test func aStoreIsFilledToTheLastByteAndNoFurther() throws {
        var store = try VariableStore(parsing: Fixture.image(records: []))
        let room = store.capacity - 60 - 4
        store.variables = [
            Variable("A", vendor: .globalVariable, attributes: [], data: Array(repeating: 1, count: room))
        ]
        let full = try VariableStore(parsing: store.serialized())
        #expect(full.variables == store.variables)
        store.variables[0].data.append(1)
        #expect(throws: VariableStoreError.self) { try store.serialized() }
        store.variables[0].data.removeLast(3)
        let unaligned = try VariableStore(parsing: store.serialized())
        #expect(unaligned.variables == store.variables)
        store.variables.append(Variable("B", vendor: .globalVariable, attributes: [], data: []))
        #expect(code { _ = try store.serialized() } == .noSpace)
    }

    @Test func namesThatCannotBeStoredAreRefused() throws {
        var store = try VariableStore(parsing: Fixture.image(records: []))
        for name in ["", "A\0B"] {
            store.variables = [Variable(name, vendor: .globalVariable, attributes: [], data: [])]
            #expect(code { _ = try store.serialized() } == .invalidArgument)
        }
        let twin = Variable("A", vendor: .globalVariable, attributes: [], data: [])
        store.variables = [twin, twin]
        #expect(code { _ = try store.serialized() } == .invalidArgument)
    }

    @Test(arguments: [
        ([UInt8](), VariableStoreError.Code.corrupt),
        ([UInt8](repeating: 0xFF, count: 4096), .corrupt),
        ([UInt8](repeating: 0, count: 4096), .corrupt),
        (Fixture.image(records: [], format: 0xFF), .corrupt),
        (Fixture.image(records: [], state: 0xFF), .corrupt),
        (Fixture.image(records: [], storeSize: 441), .corrupt),
        (Fixture.image(records: [], storeSize: 27), .corrupt),
        (Fixture.image(records: [0x12, 0x34]), .corrupt),
        (Fixture.image(records: Fixture.record("Lang", [1]).dropLast(4) + [0]), .corrupt),
        (changed(at: 16, to: 0x8C), .corrupt),
        (changed(at: 16, to: 0x8C, checksum: 1), .unsupported),
        (changed(at: 72, to: 0x77), .corrupt),
        (plain(), .unsupported),
    ])
    func whatIsNoUsableStoreIsRefused(image: [UInt8], expected: VariableStoreError.Code) {
        #expect(code { _ = try VariableStore(parsing: image) } == expected)
    }

    @Test func everyFlippedByteIsReadOrRefusedAndNeverTraps() throws {
        let image = Fixture.image(records: records() + Fixture.record("Gone", [1], state: 0x3C))
        let original = try VariableStore(parsing: image)
        var refused = 0
        for index in image.indices {
            for mask in [UInt8(0xFF), 0x80, 0x01] {
                var damaged = image
                damaged[index] ^= mask
                guard let store = try? VariableStore(parsing: damaged) else {
                    refused += 1
                    continue
                }
                _ = store.bootEntries
                _ = try? store.secureBootState()
                // Whatever was accepted can be written and gives the same variables again.
                #expect(try VariableStore(parsing: store.serialized()).variables == store.variables)
                // Both headers are checked whole but for the size of the store and its reserved bytes.
                #expect(index >= 88 && !(92..<94).contains(index))
            }
        }
        #expect(refused > 3 * 72)
        #expect(original.variables.count == 3)
    }

    @Test func everyTruncationIsRefused() {
        let image = Fixture.image(records: records())
        for length in 0..<image.count {
            #expect(code { _ = try VariableStore(parsing: Array(image.prefix(length))) } == .corrupt)
        }
    }

    private static func changed(at index: Int, to byte: UInt8, checksum delta: UInt8 = 0) -> [UInt8] {
        var image = Fixture.image(records: [])
        image[index] = byte
        image[50] &+= delta
        return image
    }

    private static func plain() -> [UInt8] {
        var image = Fixture.image(records: [])
        image.replaceSubrange(
            72..<88,
            with: [0x16, 0x36, 0xCF, 0xDD, 0x75, 0x32, 0x64, 0x41, 0x98, 0xB6, 0xFE, 0x85, 0x70, 0x7F, 0xFE, 0x7D]
        )
        return image
    }
}

/// The code of the error that `work` throws; nil when it throws none.
func code(_ work: () throws -> Void) -> VariableStoreError.Code? {
    do {
        try work()
        return nil
    } catch {
        return (error as? VariableStoreError)?.code
    }
}
