/// A piece of a document; offsets, and the indices of texts, are those of ``XMLText/bytes``.
enum XMLEvent {
    /// `<name attribute="value">`; an empty-element tag `<name/>` is followed by its own ``end``.
    case start(name: String, attributes: [(name: String, value: String)], offset: Int)
    /// `</name>`, of the element that began last.
    case end
    /// Characters between tags and references, with line ends as they are.
    case text(ArraySlice<UInt8>)
    /// The character that a reference such as `&amp;` stands for; it never counts as a line end.
    case reference([UInt8], offset: Int)
    /// The characters of a CDATA section, with line ends as they are.
    case literal(ArraySlice<UInt8>, offset: Int)
    /// `<!-- … -->`
    case comment(offset: Int)
    /// `<? … ?>`
    case instruction(offset: Int)
}

/// Reads a document of XML 1.0 strictly, piece by piece.
///
/// It knows no document type definitions, so no entities but the five of XML itself and characters by number; what a
/// document costs is bound by its length and by ``XMLLimits``.
struct XMLReader {
    let text: XMLText
    /// The encoding that the first line claims; nil when it claims none.
    private(set) var declaredEncoding: String?
    /// Whether the document has the first line `<?xml … ?>`.
    private(set) var hasDeclaration = false
    /// Where the next piece begins.
    var index = 0
    private var open: [ArraySlice<UInt8>] = []
    private var elements = 0
    private var hasRoot = false
    private var endsAtOnce = false

    /// Reads the document's first line, `<?xml … ?>`, if it has one.
    init(_ text: XMLText) throws(ConfigurationError) {
        self.text = text
        guard starts("<?xml"), text.bytes.dropFirst(5).first.map(XMLCharacters.isSpace) == true else { return }
        index = 5
        hasDeclaration = true
        try readDeclaration()
    }

    /// The next piece; nil at the end of a whole document.
    mutating func next() throws(ConfigurationError) -> XMLEvent? {
        if endsAtOnce {
            endsAtOnce = false
            return close()
        }
        while index < text.bytes.count {
            if text.bytes[index] == UInt8(ascii: "<") { return try readMarkup() }
            if !open.isEmpty { return try readText() }
            guard XMLCharacters.isSpace(text.bytes[index]) else {
                throw text.error(index, "text \(hasRoot ? "behind" : "before") the root element")
            }
            index += 1
        }
        if let name = open.last {
            throw text.error(index, "the file ends inside <\(Self.string(name))>; it may have been cut off")
        }
        guard hasRoot else { throw text.error(index, "the file has no element") }
        return nil
    }
}

// Markup
extension XMLReader {
    private mutating func readMarkup() throws(ConfigurationError) -> XMLEvent {
        let offset = index
        if starts("</") { return try readEndTag() }
        if starts("<!--") {
            try skip(to: "-->", from: offset + 4, "a comment", at: offset)
            guard !text.bytes[offset + 4..<index - 3].containsPair(UInt8(ascii: "-")) else {
                throw text.error(offset, "a comment with -- inside")
            }
            return .comment(offset: offset)
        }
        if starts("<![CDATA[") {
            guard !open.isEmpty else { throw text.error(offset, "text outside the root element") }
            try skip(to: "]]>", from: offset + 9, "a CDATA section", at: offset)
            return .literal(text.bytes[offset + 9..<index - 3], offset: offset)
        }
        if starts("<!") {
            throw text.error(offset, "a document type definition; a configuration has none, remove it")
        }
        if starts("<?") {
            index += 2
            let target = Self.string(try readName("a processing instruction"))
            guard target.lowercased() != "xml" else {
                throw text.error(offset, "an XML declaration that is not at the beginning")
            }
            try skip(to: "?>", from: index, "a processing instruction", at: offset)
            return .instruction(offset: offset)
        }
        return try readStartTag()
    }

    private mutating func readStartTag() throws(ConfigurationError) -> XMLEvent {
        let offset = index
        index += 1
        let name = try readName("a tag")
        guard !open.isEmpty || !hasRoot else {
            throw text.error(offset, "a second root element <\(Self.string(name))>")
        }
        guard open.count < XMLLimits.depth else {
            throw text.error(offset, "elements are nested deeper than \(XMLLimits.depth) levels")
        }
        elements += 1
        guard elements <= XMLLimits.elements else {
            throw text.error(offset, "the file has more than \(XMLLimits.elements) elements")
        }
        let attributes = try readAttributes(of: Self.string(name))
        endsAtOnce = starts("/>")
        guard endsAtOnce || starts(">") else { throw text.error(index, "the tag <\(Self.string(name))> does not end") }
        index += endsAtOnce ? 2 : 1
        hasRoot = true
        open.append(name)
        return .start(name: Self.string(name), attributes: attributes, offset: offset)
    }

    private mutating func readEndTag() throws(ConfigurationError) -> XMLEvent {
        let offset = index
        index += 2
        let name = try readName("an end tag")
        skipSpace()
        guard starts(">") else { throw text.error(index, "the tag </\(Self.string(name))> does not end") }
        guard let last = open.last, last == name else {
            let expected = open.last.map { "</\(Self.string($0))> is expected" } ?? "no element is open"
            throw text.error(offset, "</\(Self.string(name))>, where \(expected)")
        }
        index += 1
        return close()
    }

    private mutating func close() -> XMLEvent {
        open.removeLast()
        return .end
    }

    private mutating func readAttributes(
        of element: String
    ) throws(ConfigurationError) -> [(name: String, value: String)] {
        var attributes: [(name: String, value: String)] = []
        while true {
            let hasSpace = skipSpace()
            guard index < text.bytes.count, !starts(">"), !starts("/>") else { return attributes }
            let offset = index
            guard hasSpace else { throw text.error(offset, "no white space before an attribute of <\(element)>") }
            let name = Self.string(try readName("an attribute of <\(element)>"))
            guard !attributes.contains(where: { $0.name == name }) else {
                throw text.error(offset, "the attribute \(name) of <\(element)> is there twice")
            }
            guard attributes.count < XMLLimits.attributes else {
                throw text.error(offset, "<\(element)> has more than \(XMLLimits.attributes) attributes")
            }
            attributes.append((name, try readAttributeValue(of: name)))
        }
    }

    private mutating func readAttributeValue(of name: String) throws(ConfigurationError) -> String {
        skipSpace()
        guard starts("=") else { throw text.error(index, "the attribute \(name) has no value") }
        index += 1
        skipSpace()
        guard let quote = current, quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else {
            throw text.error(index, "the value of the attribute \(name) is not in quotes")
        }
        let offset = index
        index += 1
        var value: [UInt8] = []
        while let byte = current, byte != quote {
            guard byte != UInt8(ascii: "<") else { throw text.error(index, "< in the value of the attribute \(name)") }
            if byte == UInt8(ascii: "&") {
                try readReference(into: &value)
            } else {
                value.append(XMLCharacters.isSpace(byte) ? 0x20 : byte)
                index += 1
            }
            guard value.count <= XMLLimits.attributeBytes else {
                throw text.error(offset, "the attribute \(name) is longer than \(XMLLimits.attributeBytes) bytes")
            }
        }
        guard current == quote else { throw text.error(offset, "the value of the attribute \(name) does not end") }
        index += 1
        return String(decoding: value, as: UTF8.self)
    }

    /// `<?xml version="1.0" encoding="UTF-16" standalone="yes"?>`, behind its first five characters.
    private mutating func readDeclaration() throws(ConfigurationError) {
        var attributes: [(name: String, value: String)] = []
        while true {
            skipSpace()
            if starts("?>") { break }
            guard index < text.bytes.count else { throw text.error(index, "the XML declaration does not end") }
            let offset = index
            let name = Self.string(try readName("an attribute of the XML declaration"))
            guard ["version", "encoding", "standalone"].contains(name), !attributes.contains(where: { $0.name == name })
            else { throw text.error(offset, "the XML declaration has \(name) where it cannot") }
            attributes.append((name, try readAttributeValue(of: name)))
        }
        guard attributes.first?.name == "version", attributes.first?.value == "1.0" else {
            throw text.error(0, "the XML declaration does not say version 1.0")
        }
        declaredEncoding = attributes.first { $0.name == "encoding" }?.value
        index += 2
    }
}

extension ArraySlice<UInt8> {
    fileprivate func containsPair(_ byte: UInt8) -> Bool {
        zip(self, dropFirst()).contains { $0 == byte && $1 == byte } || last == byte
    }
}
