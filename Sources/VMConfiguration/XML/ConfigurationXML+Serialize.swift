package import HyperVStorage

extension ConfigurationXML {
    /// Writes a file in the form of Hyper-V: UTF-16, least significant byte first, with a byte order mark and CR LF.
    ///
    /// The children of every key are written in ordinal order of their names, those that share a name in theirs.
    /// Parsing the result gives the tree in that order.
    ///
    /// - Throws: ``ConfigurationError`` naming the key, with the code `invalidValue` for what the form cannot express:
    ///   an unsigned integer, a floating-point number, flags, a name that is none of XML, a character that XML cannot
    ///   hold; `outOfBounds` for a tree that ``parse(_:)`` would refuse for its size.
    package static func serialize(_ root: KeyNode) throws(ConfigurationError) -> [UInt8] {
        var writer = TreeWriter()
        try writer.write(root, parent: "", depth: 0)
        var bytes: [UInt8] = [0xFF, 0xFE]
        bytes.reserveCapacity(2 * writer.text.count + 2)
        for unit in String(decoding: writer.text, as: UTF8.self).utf16 {
            bytes.append(UInt8(truncatingIfNeeded: unit))
            bytes.append(UInt8(truncatingIfNeeded: unit >> 8))
        }
        guard bytes.count <= XMLLimits.fileBytes else {
            throw ConfigurationError(
                .outOfBounds,
                "write XML: the file would have \(bytes.count) bytes, \(XMLLimits.fileBytes) are the most"
            )
        }
        return bytes
    }
}

/// Writes keys as UTF-8.
private struct TreeWriter {
    private(set) var text = Array("<?xml version=\"1.0\" encoding=\"UTF-16\" standalone=\"yes\"?>".utf8)
    private var keys = 0

    mutating func write(_ node: KeyNode, parent: String, depth: Int) throws(ConfigurationError) {
        let path = "\(parent)/\(node.name)"
        try check(node, path, depth)
        endLine()
        text += [UInt8](repeating: 0x20, count: 2 * depth)
        text += "<\(node.name)".utf8
        switch node.value {
        case .node:
            text += ">".utf8
            for child in node.ordinallySortedChildren { try write(child, parent: path, depth: depth + 1) }
            if !node.children.isEmpty {
                endLine()
                text += [UInt8](repeating: 0x20, count: 2 * depth)
            }
        case .int(let value): begin(.integer, "\(value)")
        case .bool(let value): begin(.bool, value ? "True" : "False")
        case .string(let value):
            begin(.string, "")
            try write(value, path)
        case .array(let bytes):
            begin(.bytes, "")
            let digits = Base64.encode(bytes)
            for start in stride(from: 0, to: digits.count, by: ConfigurationXML.lineLength) {
                text += digits[start..<min(start + ConfigurationXML.lineLength, digits.count)]
                endLine()
            }
        case .uint, .double:
            let kind = if case .uint = node.value { "an unsigned integer" } else { "a floating-point number" }
            throw Self.invalid(path, "\(kind), for which a version 5.0 file has no type")
        }
        text += "</\(node.name)>".utf8
    }

    private mutating func begin(_ type: ConfigurationXML.ValueType, _ value: String) {
        text += " type=\"\(type.rawValue)\">\(value)".utf8
    }

    private mutating func endLine() { text += [0x0D, 0x0A] }

    /// A line feed is written as the line end that it will be read from, a carriage return so that it stays one.
    private mutating func write(_ value: String, _ path: String) throws(ConfigurationError) {
        for scalar in value.unicodeScalars {
            guard XMLCharacters.isAllowed(scalar) else {
                let code = "U+" + String(0x1_0000 + scalar.value, radix: 16, uppercase: true).suffix(4)
                throw Self.invalid(path, "a text with the character \(code), which a version 5.0 file cannot hold")
            }
            switch scalar {
            case "&": text += "&amp;".utf8
            case "<": text += "&lt;".utf8
            case ">": text += "&gt;".utf8
            case "\r": text += "&#xD;".utf8
            case "\n": endLine()
            default: text += UTF8.encode(scalar).map(Array.init) ?? []
            }
        }
    }

    private mutating func check(_ node: KeyNode, _ path: String, _ depth: Int) throws(ConfigurationError) {
        keys += 1
        guard depth < XMLLimits.depth, keys <= XMLLimits.elements else {
            throw ConfigurationError(
                .outOfBounds,
                "write XML: the tree has more than \(XMLLimits.elements) keys, or more than \(XMLLimits.depth) levels"
            )
        }
        guard XMLCharacters.isName(node.name), node.name.utf8.count <= XMLLimits.nameBytes else {
            throw Self.invalid(path, "a key with a name that a version 5.0 file cannot hold")
        }
        guard node.flags == 0 else {
            throw Self.invalid(path, "a key with the flags \(node.flags), for which a version 5.0 file has no place")
        }
        guard node.value == .node || node.children.isEmpty else {
            throw Self.invalid(path, "a key with both a value and children")
        }
    }

    private static func invalid(_ path: String, _ reason: String) -> ConfigurationError {
        ConfigurationError(.invalidValue, "write XML: \(path): \(reason)")
    }
}
