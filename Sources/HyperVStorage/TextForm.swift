/// The text form of a key tree: readable, one key a line, and nothing lost on the way there and back.
///
/// The form is described in `docs/formats/text-form.md`.
public enum TextForm {
    /// The first line of a text.
    static let firstLine = "roost-keys 1"
    /// The bytes of an array that stand on one line.
    static let bytesOnALine = 32
    /// The longest text that is read, in bytes.
    public static let largestText = 256 << 20
    /// The most keys that are read.
    static let mostKeys = 1_000_000
    /// The longest name that is read, in bytes: one that a file holds can grow when its bytes are no UTF-8.
    static let longestName = 1024

    /// The words for the types of values.
    enum ValueType: String {
        case int
        case uint
        case double
        case string
        case array
        case bool
    }

    /// Whether a name is written as it is; any other is written in quotation marks.
    static func isPlain(_ name: some Sequence<UInt8>) -> Bool {
        var isEmpty = true
        for byte in name {
            guard isPlain(byte) else { return false }
            isEmpty = false
        }
        return !isEmpty
    }

    /// Whether a name with this byte needs no quotation marks for it.
    static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "{"), UInt8(ascii: "}"):
            true
        default: false
        }
    }

    /// Whether a character stands as it is between quotation marks: it can be seen, and changes nothing around it.
    static func isVisible(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F...0x9F, 0xAD, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF: false
        case 0xFFF0...0xFFFB: false
        default: true
        }
    }
}
