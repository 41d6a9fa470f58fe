extension JSONValue {
    /// How deep arrays and objects may nest: enough for QEMU's longest backing chains, little enough for any stack.
    package static let nestingLimit = 256

    /// Reads one JSON text (RFC 8259) with white space around it.
    ///
    /// - Throws: ``QMPError/Code/malformedMessage`` when the bytes are anything else: not UTF-8, a name twice in one
    ///   object, half a surrogate pair, a number beyond `Double`, nesting deeper than ``nestingLimit``.
    package init(parsing bytes: some Sequence<UInt8>) throws(QMPError) {
        var parser = JSONParser(bytes: Array(bytes))
        self = try parser.parseText()
    }
}

/// A recursive-descent reader of one JSON text.
private struct JSONParser {
    private let bytes: [UInt8]
    private var position = 0

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    mutating func parseText() throws(QMPError) -> JSONValue {
        skipWhiteSpace()
        let value = try parseValue(depth: 0)
        skipWhiteSpace()
        guard position == bytes.count else { throw malformed("something after the value") }
        return value
    }

    private mutating func parseValue(depth: Int) throws(QMPError) -> JSONValue {
        switch peek {
        case UInt8(ascii: "{"): return try parseObject(depth: depth)
        case UInt8(ascii: "["): return try parseArray(depth: depth)
        case UInt8(ascii: "\""): return .string(try parseString())
        case UInt8(ascii: "t"): return try parseWord("true", .bool(true))
        case UInt8(ascii: "f"): return try parseWord("false", .bool(false))
        case UInt8(ascii: "n"): return try parseWord("null", .null)
        case .some(UInt8(ascii: "0")...UInt8(ascii: "9")), UInt8(ascii: "-"): return try parseNumber()
        case nil: throw malformed("the end")
        default: throw malformed("no value")
        }
    }

    private mutating func parseObject(depth: Int) throws(QMPError) -> JSONValue {
        try enter(depth: depth)
        var members: [String: JSONValue] = [:]
        if take(UInt8(ascii: "}")) { return .object(members) }
        repeat {
            skipWhiteSpace()
            guard peek == UInt8(ascii: "\"") else { throw malformed("no member name") }
            let name = try parseString()
            skipWhiteSpace()
            guard take(UInt8(ascii: ":")) else { throw malformed("no colon") }
            skipWhiteSpace()
            let value = try parseValue(depth: depth + 1)
            guard members.updateValue(value, forKey: name) == nil else { throw malformed("a member name twice") }
            skipWhiteSpace()
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "}")) else { throw malformed("an object without end") }
        return .object(members)
    }

    private mutating func parseArray(depth: Int) throws(QMPError) -> JSONValue {
        try enter(depth: depth)
        var elements: [JSONValue] = []
        if take(UInt8(ascii: "]")) { return .array(elements) }
        repeat {
            skipWhiteSpace()
            elements.append(try parseValue(depth: depth + 1))
            skipWhiteSpace()
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "]")) else { throw malformed("an array without end") }
        return .array(elements)
    }

    private mutating func enter(depth: Int) throws(QMPError) {
        guard depth < JSONValue.nestingLimit else {
            throw malformed("nesting deeper than \(JSONValue.nestingLimit)")
        }
        position += 1
        skipWhiteSpace()
    }

    private mutating func parseWord(_ word: StaticString, _ value: JSONValue) throws(QMPError) -> JSONValue {
        for index in 0..<word.utf8CodeUnitCount {
            guard take(word.utf8Start[index]) else { throw malformed("an unknown word") }
        }
        return value
    }

    // MARK: - Numbers

    private mutating func parseNumber() throws(QMPError) -> JSONValue {
        let start = position
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")) { try skipDigits() }
        var isWhole = true
        if take(UInt8(ascii: ".")) {
            isWhole = false
            try skipDigits()
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            isWhole = false
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            try skipDigits()
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isWhole {
            if let value = Int64(text) { return .int(value) }
            if let value = UInt64(text) { return .uint64(value) }
        }
        guard let value = Double(text), value.isFinite else { throw malformed("a number out of range") }
        return .double(value)
    }

    private mutating func skipDigits() throws(QMPError) {
        let start = position
        while let byte = peek, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { position += 1 }
        guard position > start else { throw malformed("no digit") }
    }

    // MARK: - Strings

    private mutating func parseString() throws(QMPError) -> String {
        position += 1
        let start = position
        while let byte = peek, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { position += 1 }
        if peek == UInt8(ascii: "\"") {
            let content = bytes[start..<position]
            position += 1
            return try text(content)
        }
        var content = Array(bytes[start..<position])
        while true {
            switch peek {
            case UInt8(ascii: "\""):
                position += 1
                return try text(content[...])
            case UInt8(ascii: "\\"):
                position += 1
                try parseEscape(into: &content)
            case .some(let byte) where byte >= 0x20:
                content.append(byte)
                position += 1
            case nil: throw malformed("a string without end")
            default: throw malformed("a control character in a string")
            }
        }
    }

    private func text(_ content: ArraySlice<UInt8>) throws(QMPError) -> String {
        guard let text = String(validating: content, as: UTF8.self) else { throw malformed("a string not in UTF-8") }
        return text
    }

    private mutating func parseEscape(into content: inout [UInt8]) throws(QMPError) {
        let escape = peek
        position += 1
        switch escape {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(escape ?? 0)
        case UInt8(ascii: "b"): content.append(0x08)
        case UInt8(ascii: "f"): content.append(0x0C)
        case UInt8(ascii: "n"): content.append(0x0A)
        case UInt8(ascii: "r"): content.append(0x0D)
        case UInt8(ascii: "t"): content.append(0x09)
        case UInt8(ascii: "u"): content.append(contentsOf: String(Character(try parseScalar())).utf8)
        default: throw malformed("an unknown escape")
        }
    }

    /// Reads the four digits after `\u`, and the second half of a surrogate pair when these are a first half.
    private mutating func parseScalar() throws(QMPError) -> Unicode.Scalar {
        var value = try parseFourDigits()
        if value & 0xFC00 == 0xD800, take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) {
            let second = try parseFourDigits()
            guard second & 0xFC00 == 0xDC00 else { throw malformed("half a surrogate pair") }
            value = 0x10000 + (value & 0x3FF) << 10 + (second & 0x3FF)
        }
        guard let scalar = Unicode.Scalar(value) else { throw malformed("half a surrogate pair") }
        return scalar
    }

    private mutating func parseFourDigits() throws(QMPError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
                throw malformed("no four digits after \\u")
            }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        return value
    }

    // MARK: - Bytes

    private var peek: UInt8? {
        position < bytes.count ? bytes[position] : nil
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        position += 1
        return true
    }

    private mutating func skipWhiteSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private func malformed(_ what: String) -> QMPError {
        QMPError(.malformedMessage, "parse JSON text of \(bytes.count) bytes: \(what) at byte \(position)")
    }
}
