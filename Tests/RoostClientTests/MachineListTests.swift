import FoundationEssentials
import RoostAPI
import RoostPrimitives
import Testing

/// The rows of the list of machines on their way through JSON.
@Suite struct MachineListTests {
    private let rows = [
        VirtualMachineSummary(id: .zero, name: "web", state: .off),
        VirtualMachineSummary(
            id: .random(),
            name: "quote\" back\\slash / line\nzero\0 escape\u{1B}\u{1F} space \u{7F} ü 🐓 \u{2028}",
            state: .running,
            generation: 2,
            version: "8.0",
            memoryMiB: .max,
            processors: -1,
            uptimeSeconds: .max
        ),
        VirtualMachineSummary(
            id: .random(),
            name: "",
            state: .broken,
            reason: "a header\tis damaged",
            configurationFile: "/var/lib/roost/vms/\u{1}.vmcx"
        ),
    ]

    @Test func rowsAreReadAsTheyWere() throws {
        for count in 0...rows.count {
            let json = Data(VirtualMachineSummary.json(Array(rows.prefix(count))))
            #expect(try JSONDecoder().decode([VirtualMachineSummary].self, from: json) == Array(rows.prefix(count)))
        }
    }

    /// Key by key as Foundation's encoder has it, so that whoever reads one reads the other.
    @Test func textIsWhatFoundationWrites() throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let ours = try JSONDecoder().decode([[String: Field]].self, from: Data(VirtualMachineSummary.json(rows)))
        let theirs = try JSONDecoder().decode([[String: Field]].self, from: encoder.encode(rows))
        #expect(ours == theirs)
        #expect(ours.map(\.count) == [3, 8, 5])
    }

    /// What is added to a row has to be written and read by hand.
    @Test func everyFieldIsThere() throws {
        let row = VirtualMachineSummary(
            id: .random(),
            name: "n",
            state: .paused,
            generation: 1,
            version: "5.0",
            memoryMiB: 2,
            processors: 3,
            uptimeSeconds: 4,
            reason: "r",
            configurationFile: "/c"
        )
        let fields = Set(Mirror(reflecting: row).children.compactMap(\.label))
        let written = try JSONDecoder().decode([[String: Field]].self, from: Data(VirtualMachineSummary.json([row])))
        let encoded = try JSONDecoder().decode([String: Field].self, from: JSONEncoder().encode(row))
        #expect(written.map { Set($0.keys) } == [fields] && Set(encoded.keys) == fields)
        #expect(try JSONDecoder().decode(VirtualMachineSummary.self, from: JSONEncoder().encode(row)) == row)
    }

    private enum Field: Decodable, Equatable {
        case text(String), number(Int), large(UInt64)

        init(from decoder: any Decoder) throws {
            let value = try decoder.singleValueContainer()
            self =
                if let text = try? value.decode(String.self) {
                    .text(text)
                } else if let number = try? value.decode(Int.self) {
                    .number(number)
                } else {
                    .large(try value.decode(UInt64.self))
                }
        }
    }

    @Test(arguments: [
        (#"{"id":"x","name":"a","state":"off"}"#, "id"), (#"{"id":"ID","name":"a","state":"melted"}"#, "state"),
        (#"{"id":"ID","state":"off"}"#, "name"), (#"{"id":7,"name":"a","state":"off"}"#, "id"),
    ])
    func rowsThatAreNoneAreRefused(text: String, key: String) throws {
        let bytes = Data(text.replacing("ID", with: GUID.zero.uppercased).utf8)
        let error = #expect(throws: DecodingError.self) {
            try JSONDecoder().decode(VirtualMachineSummary.self, from: bytes)
        }
        switch try #require(error) {
        case .dataCorrupted(let context), .typeMismatch(_, let context):
            #expect(context.codingPath.map(\.stringValue) == [key])
        case .keyNotFound(let missing, _): #expect(missing.stringValue == key)
        default: Issue.record(try #require(error))
        }
    }
}
