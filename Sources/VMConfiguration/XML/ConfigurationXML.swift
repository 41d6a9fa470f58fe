import HyperVStorage

/// The file of a version 5.0 configuration: the key tree as XML.
///
/// The form is described in `docs/formats/xml-5.0.md`.
package enum ConfigurationXML {
    /// Reads a file.
    ///
    /// Nothing is left out silently: what the key tree has no room for, as an unknown attribute or type, is refused;
    /// comments and other things without meaning are tolerated and named in the remarks.
    ///
    /// - Throws: ``ConfigurationError`` naming line and column, with the code `malformedFile` for a text that is not
    ///   such a document, `invalidValue` for a value that its type does not allow.
    package static func parse(_ bytes: [UInt8]) throws(ConfigurationError) -> ConfigurationDocument {
        let text = try XMLText(bytes)
        var reader = try XMLReader(text)
        var builder = TreeBuilder(text: text)
        builder.note(reader)
        while let event = try reader.next() { try builder.take(event) }
        // The reader ends only behind a whole root element.
        guard let root = builder.root else { throw text.error(text.bytes.count, "the file has no element") }
        return ConfigurationDocument(
            root: root,
            encoding: text.encoding,
            hasByteOrderMark: text.hasByteOrderMark,
            remarks: builder.remarks()
        )
    }

    /// The types of values, as the attribute `type` names them.
    enum ValueType: String {
        case integer
        case string
        case bool
        case bytes
    }

    static let lineLength = 64
}

/// Makes the key tree of a document from its pieces.
private struct TreeBuilder {
    /// An element that has begun.
    struct Element {
        var node: KeyNode
        /// The type of its value; nil for one that has children.
        var type: ConfigurationXML.ValueType?
        var value: [UInt8] = []
        var offset: Int
    }

    let text: XMLText
    private(set) var root: KeyNode?
    private var open: [Element] = []
    private var notes: [(offset: Int, message: String)] = []
    private var noteCount = 0
    private var hasNotedOrder = false

    init(text: XMLText) { self.text = text }

    mutating func take(_ event: XMLEvent) throws(ConfigurationError) {
        switch event {
        case .start(let name, let attributes, let offset): try begin(name, attributes, offset)
        case .end: try end()
        case .text(let characters): try add(characters, XMLReader.lineFeeds(characters))
        case .reference(let character, let offset): try add(text.bytes[offset...offset], character[...])
        case .literal(let characters, let offset):
            note(offset, "a CDATA section, which is written again as text")
            try add(characters, XMLReader.lineFeeds(characters))
        case .comment(let offset): note(offset, "a comment, which is not written again")
        case .instruction(let offset): note(offset, "a processing instruction, which is not written again")
        }
    }

    private mutating func begin(
        _ name: String,
        _ attributes: [(name: String, value: String)],
        _ offset: Int
    ) throws(ConfigurationError) {
        if let parent = open.last, let type = parent.type {
            throw text.error(
                offset,
                "<\(name)> inside <\(parent.node.name)>, which has a value of the type \(type.rawValue)"
            )
        }
        if let other = attributes.first(where: { $0.name != "type" }) {
            throw text.error(
                offset,
                "<\(name)> has the attribute \(other.name), which a configuration has no place for; remove it"
            )
        }
        var type: ConfigurationXML.ValueType?
        if let value = attributes.first?.value {
            type = ConfigurationXML.ValueType(rawValue: value)
            guard type != nil else {
                throw text.error(
                    offset,
                    "<\(name)> has the type \"\(value)\"; there are integer, string, bool and bytes"
                )
            }
        }
        open.append(Element(node: KeyNode(name), type: type, offset: offset))
    }

    /// Adds the characters that a piece of the document stands for.
    private mutating func add(
        _ piece: ArraySlice<UInt8>,
        _ characters: ArraySlice<UInt8>
    ) throws(ConfigurationError) {
        // The reader gives text only inside an element.
        guard let last = open.indices.last else { return }
        if open[last].type != nil {
            open[last].value += characters
        } else if let offset = piece.firstIndex(where: { !XMLCharacters.isSpace($0) }) {
            throw text.error(offset, "text inside <\(open[last].node.name)>, which has no attribute type")
        }
    }

    private mutating func end() throws(ConfigurationError) {
        guard var element = open.popLast() else { return }
        if let type = element.type { element.node.value = try value(of: element, type) }
        guard let parent = open.indices.last else {
            root = element.node
            return
        }
        if !hasNotedOrder, let previous = open[parent].node.children.last,
            element.node.name.utf8.lexicographicallyPrecedes(previous.name.utf8)
        {
            hasNotedOrder = true
            note(element.offset, "<\(element.node.name)> behind <\(previous.name)>; written again, keys are in order")
        }
        open[parent].node.children.append(element.node)
    }

    private mutating func value(
        of element: Element,
        _ type: ConfigurationXML.ValueType
    ) throws(ConfigurationError) -> KeyValue {
        let name = element.node.name
        switch type {
        case .string: return .string(String(decoding: element.value, as: UTF8.self))
        case .integer:
            let digits = trimmed(element)
            let isNumber = digits.drop { $0 == "-" }.utf8.allSatisfy { (0x30...0x39).contains($0) }
            guard isNumber, let number = Int64(digits) else {
                throw invalid(element, "<\(name)> is no integer of 64 bits with a sign")
            }
            if String(number) != digits { note(element.offset, "<\(name)> is written again as \(number)") }
            return .int(number)
        case .bool:
            let word = trimmed(element)
            guard ["true", "false"].contains(word.lowercased()) else {
                throw invalid(element, "<\(name)> is neither True nor False")
            }
            let isTrue = word.lowercased() == "true"
            if word != (isTrue ? "True" : "False") {
                note(element.offset, "<\(name)> is written again as \(isTrue ? "True" : "False")")
            }
            return .bool(isTrue)
        case .bytes:
            guard let bytes = Base64.decode(element.value) else {
                throw invalid(element, "<\(name)> is not base64 text with its padding")
            }
            return .array(bytes)
        }
    }

    /// The value without white space around it, which integers and words may have.
    private mutating func trimmed(_ element: Element) -> String {
        let start = element.value.drop(while: XMLCharacters.isSpace)
        let count = start.reversed().drop(while: XMLCharacters.isSpace).count
        if count < element.value.count {
            note(element.offset, "<\(element.node.name)> has white space around its value, which is not written again")
        }
        return String(decoding: start.prefix(count), as: UTF8.self)
    }

    private func invalid(_ element: Element, _ reason: String) -> ConfigurationError {
        text.error(element.offset, reason, code: .invalidValue)
    }
}

// Remarks
extension TreeBuilder {
    /// Notes what the document's beginning has that Hyper-V's has not.
    mutating func note(_ reader: XMLReader) {
        guard reader.hasDeclaration else {
            note(0, "there is no XML declaration")
            return
        }
        let claim = reader.declaredEncoding ?? "UTF-8"
        let claimed: [String] = text.encoding == .utf8 ? ["UTF-8", "US-ASCII"] : ["UTF-16", "UTF-16LE", "UTF-16BE"]
        if !claimed.contains(claim.uppercased()) {
            note(0, "the text claims to be \(claim) and is \(text.encoding == .utf8 ? "UTF-8" : "UTF-16")")
        }
    }

    private mutating func note(_ offset: Int, _ message: String) {
        noteCount += 1
        if notes.count < XMLLimits.remarks { notes.append((offset, message)) }
    }

    /// The remarks in the order of the document.
    func remarks() -> [ConfigurationDocument.Remark] {
        let ordered = notes.enumerated().sorted { ($0.element.offset, $0.offset) < ($1.element.offset, $1.offset) }
        let positions = text.positions(at: ordered.map(\.element.offset))
        var remarks = zip(positions, ordered).map { position, note in
            ConfigurationDocument.Remark(position: position, message: note.element.message)
        }
        if noteCount > notes.count, let last = remarks.popLast() {
            let count = noteCount - notes.count + 1
            remarks.append(ConfigurationDocument.Remark(position: last.position, message: "\(count) more remarks"))
        }
        return remarks
    }
}
