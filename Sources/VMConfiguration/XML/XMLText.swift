/// The characters of a document, as UTF-8 without a byte order mark.
///
/// The encoding is told from the bytes alone: re-saved files claim UTF-16 and are 8-bit text.
struct XMLText {
    /// Valid UTF-8 that holds nothing but characters of XML 1.0.
    let bytes: [UInt8]
    let encoding: ConfigurationDocument.Encoding
    let hasByteOrderMark: Bool

    /// Decodes a file.
    ///
    /// - Throws: ``ConfigurationError/Code/malformedFile`` for a file that is too long, or that holds something else
    ///   than characters of XML 1.0 in UTF-16 or UTF-8.
    init(_ file: [UInt8]) throws(ConfigurationError) {
        guard file.count <= XMLLimits.fileBytes else {
            throw ConfigurationError(
                .malformedFile,
                "read XML: the file has \(file.count) bytes, \(XMLLimits.fileBytes) are the most"
            )
        }
        switch (file.first, file.dropFirst().first, file.dropFirst(2).first) {
        case (0xFF, 0xFE, _):
            (encoding, hasByteOrderMark) = (.utf16LittleEndian, true)
        case (0xFE, 0xFF, _):
            (encoding, hasByteOrderMark) = (.utf16BigEndian, true)
        case (0xEF, 0xBB, 0xBF):
            (encoding, hasByteOrderMark) = (.utf8, true)
        case (UInt8(ascii: "<"), 0, _):
            (encoding, hasByteOrderMark) = (.utf16LittleEndian, false)
        case (0, UInt8(ascii: "<"), _):
            (encoding, hasByteOrderMark) = (.utf16BigEndian, false)
        default:
            (encoding, hasByteOrderMark) = (.utf8, false)
        }
        switch encoding {
        case .utf8:
            bytes = try Self.checkedUTF8(file.dropFirst(hasByteOrderMark ? 3 : 0))
        case .utf16LittleEndian, .utf16BigEndian:
            bytes = try Self.fromUTF16(
                file.dropFirst(hasByteOrderMark ? 2 : 0),
                isBigEndian: encoding == .utf16BigEndian
            )
        }
        if let offset = Self.forbiddenCharacter(bytes) {
            throw Self.malformed(bytes, offset, "a character that XML cannot hold")
        }
    }

    /// The places of the characters at some offsets of ``bytes``, which do not go down.
    func positions(at offsets: [Int]) -> [TextPosition] {
        var counter = PositionCounter()
        return offsets.map { offset in
            counter.advance(through: bytes, to: offset)
            return counter.position
        }
    }

    private static func checkedUTF8(_ file: ArraySlice<UInt8>) throws(ConfigurationError) -> [UInt8] {
        if String(validating: file, as: UTF8.self) != nil { return Array(file) }
        // The slow way, to find the place.
        var decoder = UTF8()
        var iterator = file.makeIterator()
        var text: [UInt8] = []
        while case .scalarValue(let scalar) = decoder.decode(&iterator) {
            text += UTF8.encode(scalar).map(Array.init) ?? []
        }
        throw malformed(
            text,
            text.count,
            "the bytes are neither UTF-16 nor UTF-8; save the file as UTF-16 or UTF-8 with an editor that knows "
                + "what they are"
        )
    }

    private static func fromUTF16(
        _ file: ArraySlice<UInt8>,
        isBigEndian: Bool
    ) throws(ConfigurationError) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(file.count / 2)
        var iterator = file.makeIterator()
        var high: UInt32?
        while let first = iterator.next() {
            guard let second = iterator.next() else {
                throw malformed(text, text.count, "the UTF-16 text ends inside a character")
            }
            let unit = isBigEndian ? UInt32(first) << 8 | UInt32(second) : UInt32(second) << 8 | UInt32(first)
            if unit < 0x80, high == nil {
                text.append(UInt8(truncatingIfNeeded: unit))
                continue
            }
            switch (high, unit) {
            case (nil, 0xD800...0xDBFF):
                high = unit
                continue
            case (let lead?, 0xDC00...0xDFFF):
                append(0x1_0000 + (lead - 0xD800) << 10 + (unit - 0xDC00), to: &text)
                high = nil
            case (nil, 0..<0xD800), (nil, 0xE000...0xFFFF):
                append(unit, to: &text)
            default:
                throw malformed(text, text.count, "one half of a UTF-16 surrogate pair without the other")
            }
        }
        guard high == nil else { throw malformed(text, text.count, "the UTF-16 text ends inside a character") }
        return text
    }

    private static func append(_ value: UInt32, to text: inout [UInt8]) {
        if let scalar = Unicode.Scalar(value) { text += UTF8.encode(scalar).map(Array.init) ?? [] }
    }

    /// The offset of the first character that is none of XML 1.0: a control character, U+FFFE or U+FFFF.
    private static func forbiddenCharacter(_ bytes: [UInt8]) -> Int? {
        for (offset, byte) in bytes.enumerated() {
            if byte < 0x20 {
                if byte != 0x09, byte != 0x0A, byte != 0x0D { return offset }
            } else if byte == 0xEF, offset + 2 < bytes.count, bytes[offset + 1] == 0xBF, bytes[offset + 2] >= 0xBE {
                return offset
            }
        }
        return nil
    }

    private static func position(_ bytes: [UInt8], _ offset: Int) -> TextPosition {
        var counter = PositionCounter()
        counter.advance(through: bytes, to: offset)
        return counter.position
    }

    private static func malformed(_ text: [UInt8], _ offset: Int, _ reason: String) -> ConfigurationError {
        ConfigurationError(.malformedFile, "read XML: \(position(text, offset)): \(reason)")
    }
}

extension XMLText {
    /// An error about the character at an offset of ``bytes``.
    func error(
        _ offset: Int,
        _ reason: String,
        code: ConfigurationError.Code = .malformedFile
    ) -> ConfigurationError {
        ConfigurationError(code, "read XML: \(Self.position(bytes, offset)): \(reason)")
    }
}

/// Counts lines and columns through a text.
private struct PositionCounter {
    private(set) var position = TextPosition(line: 1, column: 1)
    private var offset = 0
    private var previous: UInt8 = 0

    mutating func advance(through bytes: [UInt8], to end: Int) {
        while offset < min(end, bytes.count) {
            let byte = bytes[offset]
            offset += 1
            let endsPair = byte == 0x0A && previous == 0x0D
            previous = byte
            if endsPair { continue }
            if byte == 0x0A || byte == 0x0D {
                position.line += 1
                position.column = 1
            } else if byte & 0xC0 != 0x80 {
                position.column += 1
            }
        }
    }
}

/// What a document may have: some hundred times what Hyper-V's files have.
enum XMLLimits {
    static let fileBytes = 16 << 20
    static let elements = 200_000
    /// As in the binary file.
    static let depth = 128
    /// As in the binary file.
    static let nameBytes = 254
    static let attributes = 16
    static let attributeBytes = 1024
    static let remarks = 100
}
