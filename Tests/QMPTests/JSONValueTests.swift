import Testing

@testable import QMP

@Suite struct JSONValueTests {
    private func parse(_ text: String) throws -> JSONValue { try JSONValue(parsing: text.utf8) }

    @Test func everyKindIsReadAsItsOwnCase() throws {
        let text = #" {"a": null, "b": [true, false], "c": -7, "d": 1.5, "e": "x", "f": {}, "g": []} "#
        let expected: JSONValue = [
            "a": nil, "b": [true, false], "c": -7, "d": 1.5, "e": "x", "f": .object([:]), "g": .array([]),
        ]
        #expect(try parse(text) == expected)
    }

    @Test(arguments: [
        ("9223372036854775807", JSONValue.int(.max)),
        ("-9223372036854775808", JSONValue.int(.min)),
        ("9223372036854775808", JSONValue.uint64(1 << 63)),
        ("18446744073709551615", JSONValue.uint64(.max)),
        ("18446744073709551616", JSONValue.double(18_446_744_073_709_551_616)),
        ("-0", JSONValue.int(0)),
        ("1e2", JSONValue.double(100)),
        ("0.5E-1", JSONValue.double(0.05)),
    ])
    func numbersKeepTheirBits(text: String, value: JSONValue) throws {
        #expect(try parse(text) == value)
    }

    @Test func escapesAndPairsBecomeTheirCharacters() throws {
        #expect(try parse(#""\"\\\/\b\f\n\r\t\u00E9\uD83D\uDE00\u0000""#) == "\"\\/\u{8}\u{C}\n\r\té😀\0")
        #expect(try parse("\"é😀\"") == "é😀")
    }

    @Test(arguments: [
        "", " ", "{", "[", "[1", "[1,", "[1,]", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,}", "{a:1}", "{1:1}", "tru",
        "nul", "True", "01", "-", "+1", ".5", "1.", "1e", "1e+", "1e999", "0x10", "\"", "\"\\", "\"\\x\"", "\"\\u12\"",
        "\"\\u12G4\"", "\"\\uD800\"", "\"\\uD800\\n\"", "\"\\uD800\\u0041\"", "\"\\uDC00\"", "\"\n\"", "1 2", "{} []",
        "{\"a\":1,\"a\":2}", "NaN", "'a'",
    ])
    func textThatIsNotJSONIsRefused(text: String) {
        let error = #expect(throws: QMPError.self) { try parse(text) }
        #expect(error?.code == .malformedMessage)
    }

    @Test(arguments: [
        [0x22, 0xFF, 0x22], [0x22, 0xC3, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0xEF, 0xBB, 0xBF, 0x31],
    ])
    func bytesThatAreNotUTF8AreRefused(bytes: [UInt8]) {
        #expect(throws: QMPError.self) { try JSONValue(parsing: bytes) }
    }

    @Test func nestingIsTakenToTheLimitAndNoDeeper() throws {
        let limit = JSONValue.nestingLimit
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(try parse(nested(limit)).arrayValue != nil)
        #expect(throws: QMPError.self) { try parse(nested(limit + 1)) }
        #expect(throws: QMPError.self) { try parse(String(repeating: "{\"a\":", count: 100_000)) }
    }

    @Test func whatIsWrittenReadsBackTheSame() throws {
        let value: JSONValue = [
            "z": [nil, true, -1, .uint64(.max), 0.1, 1e300, 3.0], "a": "\"\\\u{1}\u{1F}\u{7F}\n\r\té😀", "": [:],
        ]
        #expect(try JSONValue(parsing: value.serialized) == value)
    }

    @Test func membersAreWrittenInOrderOnOneLine() {
        let value: JSONValue = ["b": 1, "a": "x\ny", "c": .double(.infinity)]
        #expect(value.description == #"{"a":"x\ny","b":1,"c":null}"#)
    }

    @Test func accessorsAnswerForTheirOwnKindOnly() {
        let value: JSONValue = ["n": -1, "u": JSONValue(UInt64.max), "l": ["x"]]
        #expect(value["n"]?.uint64Value == nil)
        #expect(value["n"]?.intValue == -1)
        #expect(value["n"]?.stringValue == nil)
        #expect(value["u"]?.uint64Value == .max)
        #expect(value["u"]?.intValue == nil)
        #expect(value["l"]?[0] == "x")
        #expect(value["l"]?[1] == nil)
        #expect(value["l"]?[-1] == nil)
        #expect(JSONValue(UInt64(5)) == 5)
    }
}
