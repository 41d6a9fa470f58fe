internal import RoostPrimitives

extension TextForm {
    /// Writes a tree, whose root has neither a name nor a value, as UTF-8 with LF at the end of each line.
    ///
    /// - Throws: ``StorageError/Code/invalidTree`` for a tree that no file can hold: keys below a key with a value, or
    ///   more than 128 levels.
    public static func serialize(_ tree: KeyNode) throws(StorageError) -> [UInt8] {
        var writer = TextWriter()
        try writer.writeChildren(of: tree, depth: 0)
        return writer.text
    }
}

/// Writes keys as lines.
private struct TextWriter {
    private(set) var text = Array("\(TextForm.firstLine)\n".utf8)

    mutating func writeChildren(of node: KeyNode, depth: Int) throws(StorageError) {
        guard node.value == .node || node.children.isEmpty else {
            throw invalid(node, "a key with a value has keys below it")
        }
        guard depth < Hierarchy.deepest || node.children.isEmpty else {
            throw invalid(node, "keys are nested deeper than \(Hierarchy.deepest) levels")
        }
        for child in node.children {
            write(child, depth)
            try writeChildren(of: child, depth: depth + 1)
        }
    }

    private func invalid(_ node: KeyNode, _ detail: String) -> StorageError {
        StorageError(.invalidTree, .tree, at: nil, "key \"\(node.name.prefix(80))\": \(detail)")
    }

    private mutating func write(_ node: KeyNode, _ depth: Int) {
        indent(depth)
        if TextForm.isPlain(node.name.utf8) { text += node.name.utf8 } else { quote(node.name) }
        if node.flags != 0 { text += " flags=0x\(hexadecimalDigits(UInt64(node.flags), count: 2))".utf8 }
        switch node.value {
        case .node: break
        case .int(let value): write(.int, "\(value)")
        case .uint(let value): write(.uint, "\(value)")
        case .double(let bitPattern): write(.double, Self.text(ofDouble: bitPattern))
        case .bool(let value): write(.bool, value ? "true" : "false")
        case .string(let value):
            write(.string, "")
            quote(value)
        case .array(let bytes):
            write(.array, "\(bytes.count)")
            write(bytes, depth + 1)
        }
        text.append(UInt8(ascii: "\n"))
    }

    private mutating func indent(_ depth: Int) {
        text.append(contentsOf: repeatElement(UInt8(ascii: " "), count: 2 * depth))
    }

    private mutating func write(_ type: TextForm.ValueType, _ value: String) {
        text += " \(type.rawValue) \(value)".utf8
    }

    /// The shortest decimal number that is this double; the bits of one that is no number.
    private static func text(ofDouble bitPattern: UInt64) -> String {
        let value = Double(bitPattern: bitPattern)
        return value.isFinite ? value.description : "0x\(hexadecimalDigits(bitPattern, count: 16))"
    }

    private mutating func write(_ bytes: [UInt8], _ depth: Int) {
        for start in stride(from: 0, to: bytes.count, by: TextForm.bytesOnALine) {
            text.append(UInt8(ascii: "\n"))
            indent(depth)
            text += ": ".utf8
            for byte in bytes[start..<min(start + TextForm.bytesOnALine, bytes.count)] {
                text += [digit(byte >> 4), digit(byte & 15)]
            }
        }
    }

    private mutating func quote(_ value: String) {
        text.append(UInt8(ascii: "\""))
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\"".utf8
            case "\\": text += "\\\\".utf8
            case "\n": text += "\\n".utf8
            case "\r": text += "\\r".utf8
            case "\t": text += "\\t".utf8
            case _ where TextForm.isVisible(scalar): text += String(scalar).utf8
            default: text += "\\u{\(String(scalar.value, radix: 16, uppercase: true))}".utf8
            }
        }
        text.append(UInt8(ascii: "\""))
    }
}

/// A number as hexadecimal digits, with zeros in front.
private func hexadecimalDigits(_ value: UInt64, count: Int) -> String {
    let digits = String(value, radix: 16, uppercase: true)
    return String(repeating: "0", count: max(count - digits.utf8.count, 0)) + digits
}

/// The digit for a value below 16.
private func digit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + (value - 10)
}
