/// A 128-bit globally unique identifier in Microsoft's text form.
///
/// The bytes are in *text order*: the order in which the hexadecimal digits are written. In Windows structures the
/// first three groups are little-endian; ``init(littleEndianBytes:)`` and ``littleEndianBytes`` convert.
public struct GUID: Hashable, Sendable, Comparable {
    private var high: UInt64
    private var low: UInt64

    /// The identifier whose digits are all zero.
    public static let zero = GUID(high: 0, low: 0)

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Reads `AC6B8DC1-3257-4A70-B1B2-A9C9215659AD`, in either case, with or without braces.
    ///
    /// Returns nil when the text has any other shape.
    public init?(_ text: some StringProtocol) {
        // Every machine's file holds dozens of them, so most texts are read where they lie.
        let read = text.utf8.withContiguousStorageIfAvailable { Self.init(utf8: $0) }
        guard let value = read ?? Array(text.utf8).withUnsafeBufferPointer({ Self.init(utf8: $0) }) else { return nil }
        self = value
    }

    private init?(utf8 text: UnsafeBufferPointer<UInt8>) {
        var utf8 = text[...]
        if utf8.count == 38, utf8.first == UInt8(ascii: "{"), utf8.last == UInt8(ascii: "}") {
            utf8 = utf8.dropFirst().dropLast()
        }
        guard utf8.count == 36 else { return nil }
        var value: (UInt64, UInt64) = (0, 0)
        var digits = 0
        for (index, character) in utf8.enumerated() {
            if index == 8 || index == 13 || index == 18 || index == 23 {
                guard character == UInt8(ascii: "-") else { return nil }
                continue
            }
            guard let digit = Self.digit(character) else { return nil }
            if digits < 16 { value.0 = value.0 << 4 | digit } else { value.1 = value.1 << 4 | digit }
            digits += 1
        }
        self.init(high: value.0, low: value.1)
    }

    /// Takes 16 bytes in text order; nil for any other count.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        var value: (UInt64, UInt64) = (0, 0)
        for (index, byte) in bytes.enumerated() {
            if index < 8 { value.0 = value.0 << 8 | UInt64(byte) } else { value.1 = value.1 << 8 | UInt64(byte) }
        }
        self.init(high: value.0, low: value.1)
    }

    /// Takes 16 bytes as Windows stores a `GUID` structure; nil for any other count.
    public init?(littleEndianBytes bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        self.init(bytes: Self.swapGroups(Array(bytes)))
    }

    /// Makes a random (version 4, RFC 9562 section 5.4) identifier.
    public static func random() -> GUID {
        var generator = SystemRandomNumberGenerator()
        return random(using: &generator)
    }

    /// Makes a random (version 4, RFC 9562 section 5.4) identifier from a generator.
    public static func random(using generator: inout some RandomNumberGenerator) -> GUID {
        let high = (generator.next() & 0xFFFF_FFFF_FFFF_0FFF) | 0x0000_0000_0000_4000
        let low = (generator.next() & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000
        return GUID(high: high, low: low)
    }

    /// The 16 bytes in text order.
    public var bytes: [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: high >> UInt64(56 - 8 * $0)) }
            + (0..<8).map { UInt8(truncatingIfNeeded: low >> UInt64(56 - 8 * $0)) }
    }

    /// The 16 bytes as Windows stores a `GUID` structure.
    public var littleEndianBytes: [UInt8] { Self.swapGroups(bytes) }

    /// The text form in upper case, as in Hyper-V's file names.
    public var uppercased: String { text(digits: "0123456789ABCDEF") }

    /// The text form in lower case, as in Hyper-V's device node names.
    public var lowercased: String { text(digits: "0123456789abcdef") }

    /// Orders identifiers as their text form is ordered.
    public static func < (left: GUID, right: GUID) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }

    private func text(digits: StaticString) -> String {
        String(unsafeUninitializedCapacity: 36) { buffer in
            var position = 0
            for nibble in 0..<32 {
                if nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20 {
                    buffer[position] = UInt8(ascii: "-")
                    position += 1
                }
                let word = nibble < 16 ? high : low
                let digit = Int(truncatingIfNeeded: word >> UInt64(60 - 4 * (nibble & 15)) & 15)
                buffer[position] = digits.utf8Start[digit]
                position += 1
            }
            return position
        }
    }

    private static func digit(_ character: UInt8) -> UInt64? {
        switch character {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(character - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(character - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(character - UInt8(ascii: "A") + 10)
        default: nil
        }
    }

    private static func swapGroups(_ bytes: [UInt8]) -> [UInt8] {
        [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].map { bytes[$0] }
    }
}

extension GUID: CustomStringConvertible {
    /// The text form in upper case.
    public var description: String { uppercased }
}

extension GUID: Codable {
    /// Decodes the text form; any other text is a `DecodingError.dataCorrupted`.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let value = GUID(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "\"\(text)\" is not a GUID")
        }
        self = value
    }

    /// Encodes the text form in upper case.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(uppercased)
    }
}
