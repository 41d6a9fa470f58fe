/// A line of a text of keys, of which what has been read is taken away.
struct TextLine {
    /// What has not been read yet.
    private(set) var rest: ArraySlice<UInt8>
    /// The line's number, from 1.
    let number: Int

    init(rest: ArraySlice<UInt8>, number: Int) {
        self.rest = rest
        self.number = number
    }

    /// An error about this line.
    func error(_ detail: String, _ code: StorageError.Code = .corrupt) -> StorageError {
        StorageError(code, .text, at: nil, "line \(number): \(detail)")
    }

    /// Takes away spaces; returns how many there were.
    mutating func skipSpaces() -> Int {
        let text = rest.drop { $0 == UInt8(ascii: " ") }
        defer { rest = text }
        return rest.count - text.count
    }

    /// Takes away a text, when the rest begins with it.
    mutating func skip(_ text: String) -> Bool {
        guard rest.starts(with: text.utf8) else { return false }
        rest = rest.dropFirst(text.utf8.count)
        return true
    }

    /// Reads a key's name, with the space behind it when something follows.
    mutating func name() throws(StorageError) -> String {
        let name: String
        if rest.first == UInt8(ascii: "\"") {
            name = try quoted()
        } else {
            let plain = rest.prefix { $0 != UInt8(ascii: " ") }
            guard TextForm.isPlain(plain) else {
                throw error("a name with other characters than A-Z a-z 0-9 _ - . { } stands in quotation marks")
            }
            name = String(decoding: plain, as: UTF8.self)
            rest = rest[plain.endIndex...]
        }
        guard name.utf8.count <= TextForm.longestName else {
            throw error("a name of \(name.utf8.count) bytes, \(TextForm.longestName) are the most", .tooLarge)
        }
        try endWord()
        return name
    }

    /// Reads up to the next space, with that.
    mutating func word() throws(StorageError) -> String {
        let word = rest.prefix { $0 != UInt8(ascii: " ") }
        guard word.count <= 400, let text = String(validating: word, as: UTF8.self) else {
            throw error("a word that is too long, or no UTF-8")
        }
        rest = rest[word.endIndex...]
        try endWord()
        return text
    }

    private mutating func endWord() throws(StorageError) {
        guard !rest.isEmpty else { return }
        guard skip(" "), let first = rest.first, first != UInt8(ascii: " ") else {
            throw error("one space stands between the parts of a line, and none at its end")
        }
    }

    /// The flags that a word is, `flags=0x02`.
    func flags(_ word: String) throws(StorageError) -> UInt8 {
        guard word.utf8.count == 10, word.hasPrefix("flags=0x"), let flags = Self.bits(word.dropFirst(8)), flags > 0
        else { throw error("\"\(word)\" are no flags, as in flags=0x02") }
        return UInt8(truncatingIfNeeded: flags)
    }

    /// Reads how many bytes an array has.
    mutating func count() throws(StorageError) -> Int {
        let word = try word()
        guard let count = Int(word), count >= 0, String(count) == word else {
            throw error("\"\(word)\" is no number of bytes")
        }
        return count
    }

    /// Reads a value that is no array.
    mutating func value(_ type: TextForm.ValueType) throws(StorageError) -> KeyValue {
        if type == .string {
            guard rest.first == UInt8(ascii: "\"") else { throw error("a string stands in quotation marks") }
            return .string(try quoted())
        }
        let word = try word()
        switch type {
        case .int:
            if let value = Int64(word), String(value) == word { return .int(value) }
        case .uint:
            if let value = UInt64(word), String(value) == word { return .uint(value) }
        case .bool:
            if word == "true" || word == "false" { return .bool(word == "true") }
        case .double:
            if let value = Self.double(word) { return .double(bitPattern: value) }
        case .string, .array: break
        }
        throw error("\"\(word)\" is no value of the type \(type.rawValue)")
    }

    /// The bits of a double: a decimal number, or 16 hexadecimal digits behind `0x`.
    private static func double(_ word: String) -> UInt64? {
        if word.hasPrefix("0x") { return word.utf8.count == 18 ? bits(word.dropFirst(2)) : nil }
        let isDecimal = word.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "e"):
                true
            default: false
            }
        }
        guard isDecimal, let value = Double(word), value.isFinite else { return nil }
        return value.bitPattern
    }

    /// The number that nothing but upper case hexadecimal digits stands for.
    private static func bits(_ digits: Substring) -> UInt64? {
        guard digits.utf8.allSatisfy({ value(ofDigit: $0) != nil }) else { return nil }
        return UInt64(digits, radix: 16)
    }

    /// Reads exactly so many bytes as hexadecimal digits, and nothing else.
    mutating func read(bytes count: Int, into value: inout [UInt8]) throws(StorageError) {
        guard rest.count == 2 * count else {
            throw error("\(rest.count) digits of an array, expected \(2 * count)")
        }
        while let first = rest.popFirst(), let second = rest.popFirst() {
            guard let high = Self.value(ofDigit: first), let low = Self.value(ofDigit: second) else {
                throw error("an array has digits 0-9 and A-F only")
            }
            value.append(high << 4 | low)
        }
    }

    private static func value(ofDigit byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    // MARK: - Quotation marks

    /// Reads text in quotation marks.
    private mutating func quoted() throws(StorageError) -> String {
        rest = rest.dropFirst()
        var bytes: [UInt8] = []
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: bytes, as: UTF8.self) else {
                    throw error("the text between the quotation marks is no UTF-8")
                }
                return text
            case UInt8(ascii: "\\"): try readEscape(into: &bytes)
            case 0..<0x20: throw error("a control character; it is written as in \\u{1F}")
            default: bytes.append(byte)
            }
        }
        throw error("a quotation mark has no second one")
    }

    private mutating func readEscape(into bytes: inout [UInt8]) throws(StorageError) {
        switch rest.popFirst() {
        case UInt8(ascii: "\""): bytes.append(UInt8(ascii: "\""))
        case UInt8(ascii: "\\"): bytes.append(UInt8(ascii: "\\"))
        case UInt8(ascii: "n"): bytes.append(UInt8(ascii: "\n"))
        case UInt8(ascii: "r"): bytes.append(UInt8(ascii: "\r"))
        case UInt8(ascii: "t"): bytes.append(UInt8(ascii: "\t"))
        case UInt8(ascii: "u"):
            guard rest.popFirst() == UInt8(ascii: "{") else { throw error("\\u is followed by a number as in \\u{1F}") }
            let digits = rest.prefix(7).prefix { Self.value(ofDigit: $0) != nil }
            rest = rest[digits.endIndex...]
            let value = digits.reduce(UInt32(0)) { $0 << 4 | UInt32(Self.value(ofDigit: $1) ?? 0) }
            guard !digits.isEmpty, rest.popFirst() == UInt8(ascii: "}"), let scalar = Unicode.Scalar(value),
                let encoded = UTF8.encode(scalar)
            else { throw error("\\u{...} has the number of a character, 0 to 10FFFF without D800 to DFFF") }
            bytes += encoded
        default: throw error("there are the escapes \\\" \\\\ \\n \\r \\t \\u{...}")
        }
    }
}
