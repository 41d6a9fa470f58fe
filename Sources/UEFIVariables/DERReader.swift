/// Walks elements of ASN.1's distinguished encoding (ITU-T X.690), one level at a time.
///
/// Only what certificates use: tags of one byte, definite lengths of at most four bytes.
struct DERReader {
    /// A tag and the bytes behind it.
    struct Element {
        let tag: UInt8
        let content: ArraySlice<UInt8>
        /// The element with its tag and its length.
        let whole: ArraySlice<UInt8>
    }

    enum Tag {
        static let integer: UInt8 = 0x02
        static let bitString: UInt8 = 0x03
        static let objectIdentifier: UInt8 = 0x06
        static let utcTime: UInt8 = 0x17
        static let generalizedTime: UInt8 = 0x18
        static let sequence: UInt8 = 0x30
        static let set: UInt8 = 0x31
        static let explicitZero: UInt8 = 0xA0
    }

    private(set) var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    /// Whether all elements are read.
    var isAtEnd: Bool { rest.isEmpty }

    /// The next element; nil at the end, and when its length is malformed or goes beyond the end.
    mutating func next() -> Element? {
        guard let tag = rest.first, tag & 0x1F != 0x1F, let short = rest.bytes(at: 1, count: 1)?.first else {
            return nil
        }
        var length = Int(short)
        var headerSize = 2
        if short & 0x80 != 0 {
            let lengthSize = Int(short & 0x7F)
            guard (1...4).contains(lengthSize), let field = rest.bytes(at: 2, count: lengthSize) else { return nil }
            length = field.reduce(0) { $0 << 8 | Int($1) }
            headerSize += lengthSize
        }
        guard let content = rest.bytes(at: headerSize, count: length),
            let whole = rest.bytes(at: 0, count: headerSize + length)
        else { return nil }
        rest = rest.dropFirst(whole.count)
        return Element(tag: tag, content: content, whole: whole)
    }

    /// The content of the next element if it has this tag; nil otherwise.
    mutating func next(_ tag: UInt8) -> ArraySlice<UInt8>? {
        guard let element = next(), element.tag == tag else { return nil }
        return element.content
    }
}
