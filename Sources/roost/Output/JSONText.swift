import FoundationEssentials

/// Values as JSON text, with keys in alphabetical order.
enum JSONText {
    /// On several lines, for a value that stands alone.
    static func pretty(_ value: some Encodable) throws -> [UInt8] {
        try encode(value, [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted])
    }

    /// On one line, for a stream of values.
    static func line(_ value: some Encodable) throws -> [UInt8] {
        try encode(value, [.sortedKeys, .withoutEscapingSlashes])
    }

    private static func encode(_ value: some Encodable, _ format: JSONEncoder.OutputFormatting) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = format
        return escapingControls(Array(try encoder.encode(value))) + [UInt8(ascii: "\n")]
    }

    /// Escapes DEL and the C1 control characters, which JSON allows in text but a terminal may obey.
    static func escapingControls(_ json: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(json.count)
        var lead = false
        for byte in json {
            if lead, byte < 0xA0 {
                result.removeLast()
                result += escape(byte)
            } else if byte == 0x7F {
                result += escape(byte)
            } else {
                result.append(byte)
            }
            lead = byte == 0xC2
        }
        return result
    }

    private static func escape(_ byte: UInt8) -> [UInt8] {
        let digits = Array("0123456789abcdef".utf8)
        return Array("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
}
