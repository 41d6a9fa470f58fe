/// The hardware address of a network adapter.
public struct MACAddress: Hashable, Comparable, Sendable {
    /// The 48 bits of the address; the first byte is the highest.
    private let value: UInt64

    private init(value: UInt64) { self.value = value }

    /// Reads `00-15-5D-01-07-DC`, with hyphens or colons, in either case; nil for any other text.
    public init?(_ text: some StringProtocol) {
        let utf8 = Array(text.utf8)
        guard utf8.count == 17, utf8[2] == UInt8(ascii: "-") || utf8[2] == UInt8(ascii: ":") else { return nil }
        var value: UInt64 = 0
        for (index, character) in utf8.enumerated() {
            if index % 3 == 2 {
                guard character == utf8[2] else { return nil }
            } else {
                guard let digit = Character(UnicodeScalar(character)).hexDigitValue else { return nil }
                value = value << 4 | UInt64(digit)
            }
        }
        self.init(value: value)
    }

    /// Takes six bytes; nil for any other count.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 6 else { return nil }
        self.init(value: bytes.reduce(0) { $0 << 8 | UInt64($1) })
    }

    /// A random address among those that Hyper-V gives its virtual machines: 00-15-5D-xx-xx-xx.
    public static func random() -> MACAddress {
        var generator = SystemRandomNumberGenerator()
        return random(using: &generator)
    }

    /// A random address among those that Hyper-V gives its virtual machines, from a generator.
    public static func random(using generator: inout some RandomNumberGenerator) -> MACAddress {
        MACAddress(value: 0x0015_5D00_0000 | generator.next() & 0xFF_FFFF)
    }

    /// The six bytes, first byte first.
    public var bytes: [UInt8] { (0..<6).map { UInt8(truncatingIfNeeded: value >> UInt64(40 - 8 * $0)) } }

    /// Whether all bits are zero, which stands for "not assigned yet".
    public var isZero: Bool { value == 0 }

    /// Whether frames can be sent to the address of one adapter: it is not zero and its group bit is not set.
    public var isUnicast: Bool { value != 0 && value >> 40 & 1 == 0 }

    /// The address in lower case with colons, as Linux and QEMU write it.
    public var colonSeparated: String { text(separator: ":", uppercase: false) }

    /// Orders as the bytes are ordered.
    public static func < (left: MACAddress, right: MACAddress) -> Bool { left.value < right.value }

    private func text(separator: String, uppercase: Bool) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: uppercase) }.joined(separator: separator)
    }
}

extension MACAddress: CustomStringConvertible {
    /// The address in upper case with hyphens, as Hyper-V writes it.
    public var description: String { text(separator: "-", uppercase: true) }
}

extension MACAddress: Codable {
    /// Decodes the text form; any other text is a `DecodingError.dataCorrupted`.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let address = MACAddress(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "\"\(text)\" is not a MAC address")
        }
        self = address
    }

    /// Encodes the text form in upper case with hyphens.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
