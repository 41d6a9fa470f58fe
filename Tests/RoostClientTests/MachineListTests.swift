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
        (#"{"id":"x","name":"a","state":"off"}"#, "is no id"),
        (#"{"id":"ID","name":"a","state":"melted"}"#, "is no state"),
        (#"{"id":"ID","state":"off"}"#, "name"), (#"{"id":7,"name":"a","state":"off"}"#, "id"),
    ])
    func rowsThatAreNoneAreRefused(text: String, part: String) throws {
        let bytes = Data(text.replacing("ID", with: GUID.zero.uppercased).utf8)
        let error = #expect(throws: DecodingError.self) {
            try JSONDecoder().decode(VirtualMachineSummary.self, from: bytes)
        }
        #expect("\(try #require(error))".contains(part))
    }
}
