extension XMLReader {
    /// Characters up to the next tag, or one reference.
    mutating func readText() throws(ConfigurationError) -> XMLEvent {
        let offset = index
        if current == UInt8(ascii: "&") {
            var value: [UInt8] = []
            try readReference(into: &value)
            return .reference(value, offset: offset)
        }
        while let byte = current, byte != UInt8(ascii: "<"), byte != UInt8(ascii: "&") {
            guard byte != UInt8(ascii: "]") || !starts("]]>") else { throw text.error(index, "]]> in a text") }
            index += 1
        }
        return .text(text.bytes[offset..<index])
    }

    /// `&amp;`, `&#38;` or `&#x26;`: appends the character.
    mutating func readReference(into value: inout [UInt8]) throws(ConfigurationError) {
        let offset = index
        let rest = text.bytes[(offset + 1)...].prefix(XMLLimits.nameBytes)
        guard let end = rest.firstIndex(of: UInt8(ascii: ";")) else {
            throw text.error(offset, "& that begins no reference; write &amp;")
        }
        let name = Self.string(rest[..<end])
        index = end + 1
        switch name {
        case "amp": value.append(UInt8(ascii: "&"))
        case "lt": value.append(UInt8(ascii: "<"))
        case "gt": value.append(UInt8(ascii: ">"))
        case "quot": value.append(UInt8(ascii: "\""))
        case "apos": value.append(UInt8(ascii: "'"))
        default:
            guard let scalar = Self.character(name) else {
                throw text.error(offset, "&\(name); stands for no character of XML")
            }
            value += UTF8.encode(scalar).map(Array.init) ?? []
        }
    }

    /// The character of `#38` or `#x26`.
    private static func character(_ reference: String) -> Unicode.Scalar? {
        guard reference.hasPrefix("#") else { return nil }
        let isHexadecimal = reference.hasPrefix("#x")
        let digits = reference.dropFirst(isHexadecimal ? 2 : 1)
        // Only digits, since a sign would also be read as a part of the number.
        guard digits.utf8.first.map({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }) == true,
            let number = UInt32(digits, radix: isHexadecimal ? 16 : 10), let scalar = Unicode.Scalar(number),
            XMLCharacters.isAllowed(scalar)
        else { return nil }
        return scalar
    }

    /// The text with each CR LF and each CR as one LF (XML 1.0, section 2.11).
    static func lineFeeds(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard bytes.contains(0x0D) else { return bytes }
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var previous: UInt8 = 0
        for byte in bytes {
            if byte != 0x0A || previous != 0x0D { result.append(byte == 0x0D ? 0x0A : byte) }
            previous = byte
        }
        return result[...]
    }
}

extension XMLReader {
    var current: UInt8? { index < text.bytes.count ? text.bytes[index] : nil }

    func starts(_ token: StaticString) -> Bool {
        let count = token.utf8CodeUnitCount
        guard text.bytes.count - index >= count else { return false }
        return token.withUTF8Buffer { $0.elementsEqual(text.bytes[index..<index + count]) }
    }

    @discardableResult
    mutating func skipSpace() -> Bool {
        let start = index
        while let byte = current, XMLCharacters.isSpace(byte) { index += 1 }
        return index > start
    }

    /// Moves behind the next `token` at or behind `start`; the construct that it ends begins at `offset`.
    mutating func skip(
        to token: StaticString,
        from start: Int,
        _ subject: String,
        at offset: Int
    ) throws(ConfigurationError) {
        index = start
        while index < text.bytes.count {
            if starts(token) {
                index += token.utf8CodeUnitCount
                return
            }
            index += 1
        }
        throw text.error(offset, "\(subject) that does not end")
    }

    mutating func readName(_ subject: String) throws(ConfigurationError) -> ArraySlice<UInt8> {
        let offset = index
        while let byte = current, !XMLCharacters.isSpace(byte), !Self.delimiters.contains(byte) { index += 1 }
        let name = text.bytes[offset..<index]
        guard name.count <= XMLLimits.nameBytes else {
            throw text.error(offset, "\(subject) whose name is longer than \(XMLLimits.nameBytes) bytes")
        }
        guard XMLCharacters.isName(Self.string(name)) else {
            throw text.error(
                offset,
                name.contains(UInt8(ascii: ":"))
                    ? "\(subject) with a colon in its name; a configuration has no namespaces"
                    : "\(subject) without a name"
            )
        }
        return name
    }

    static func string(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

    private static let delimiters = Array("<>/=?!&\"'".utf8)
}
