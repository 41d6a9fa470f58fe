import RoostPrimitives

/// Rows as JSON by hand: a host has thousands of them, which everybody who watches it asks for again and again, and
/// in Foundation's encoder they took most of the time of an answer.
extension VirtualMachineSummary {
    /// The answer of `GET /v1/vms`: an array of rows, each without what it does not have.
    ///
    /// Source: RFC 8259.
    public static func json(_ rows: [VirtualMachineSummary]) -> [UInt8] {
        var text = JSONRowText()
        text.bytes.reserveCapacity(2 + rows.count * 192)
        text.bytes.append(UInt8(ascii: "["))
        for row in rows {
            if text.bytes.count > 1 { text.bytes.append(UInt8(ascii: ",")) }
            row.append(to: &text)
        }
        text.bytes.append(UInt8(ascii: "]"))
        return text.bytes
    }

    private func append(to text: inout JSONRowText) {
        text.begin()
        text.append("id", id.uppercased)
        text.append("name", name)
        text.append("state", state.rawValue)
        text.append("generation", generation)
        text.append("version", version)
        text.append("memoryMiB", memoryMiB)
        text.append("processors", processors)
        text.append("uptimeSeconds", uptimeSeconds)
        text.append("reason", reason)
        text.append("configurationFile", configurationFile)
        text.end()
    }
}

/// Objects of texts and numbers, one after the other.
private struct JSONRowText {
    var bytes: [UInt8] = []
    private var isFirst = true

    mutating func begin() {
        bytes.append(UInt8(ascii: "{"))
        isFirst = true
    }

    mutating func end() { bytes.append(UInt8(ascii: "}")) }

    mutating func append(_ key: StaticString, _ value: String?) {
        guard var value else { return }
        append(key)
        bytes.append(UInt8(ascii: "\""))
        value.withUTF8 { utf8 in
            if utf8.contains(where: Self.isEscaped) { appendEscaped(utf8) } else { bytes.append(contentsOf: utf8) }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    mutating func append(_ key: StaticString, _ value: (some BinaryInteger)?) {
        guard let value else { return }
        append(key)
        bytes.append(contentsOf: String(value).utf8)
    }

    private mutating func append(_ key: StaticString) {
        bytes.append(contentsOf: isFirst ? "\"".utf8 : ",\"".utf8)
        isFirst = false
        key.withUTF8Buffer { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: "\":".utf8)
    }

    /// RFC 8259, section 7.
    private static func isEscaped(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    private mutating func appendEscaped(_ utf8: UnsafeBufferPointer<UInt8>) {
        let digits = Array("0123456789abcdef".utf8)
        for byte in utf8 {
            if byte < 0x20 {
                bytes.append(contentsOf: "\\u00".utf8)
                bytes.append(digits[Int(byte >> 4)])
                bytes.append(digits[Int(byte & 15)])
            } else {
                if Self.isEscaped(byte) { bytes.append(UInt8(ascii: "\\")) }
                bytes.append(byte)
            }
        }
    }
}
