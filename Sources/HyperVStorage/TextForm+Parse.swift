extension TextForm {
    /// Whether bytes begin as a text does, so that a damaged text is not taken for another kind of file.
    public static func isText(_ bytes: [UInt8]) -> Bool {
        let start: [UInt8] = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(bytes.dropFirst(3).prefix(11)) : []
        return bytes.starts(with: "roost-keys ".utf8) || start.elementsEqual("roost-keys ".utf8)
    }

    /// Reads a text: the tree below a root without a name and value.
    ///
    /// - Throws: ``StorageError/Code/foreign`` when the first line is another one, ``StorageError/Code/unsupported`` for
    ///   another version, ``StorageError/Code/tooLarge`` beyond a limit, ``StorageError/Code/corrupt`` for any other
    ///   line that is none; the message names the line.
    public static func parse(_ bytes: [UInt8]) throws(StorageError) -> KeyNode {
        guard bytes.count <= largestText else {
            throw StorageError(
                .tooLarge,
                .text,
                at: nil,
                "the text has \(bytes.count) bytes, \(largestText) are the most"
            )
        }
        var reader = TextReader(bytes)
        return try reader.tree()
    }
}

/// Reads lines and makes keys of them.
private struct TextReader {
    private let bytes: [UInt8]
    private var next: Int
    private var number = 0
    /// The keys from the root to the last one, each without the next.
    private var open = [KeyNode("")]
    private var keys = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        // Some editors put a byte order mark in front.
        next = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    }

    mutating func tree() throws(StorageError) -> KeyNode {
        try readFirstLine()
        while let line = nextLine() { try take(line) }
        close(downTo: 0)
        return open[0]
    }

    /// The next line without its end, LF or CR LF; nil behind the last one.
    private mutating func nextLine() -> TextLine? {
        guard next < bytes.count else { return nil }
        let end = bytes[next...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
        var line = bytes[next..<end]
        if line.last == UInt8(ascii: "\r") { line = line.dropLast() }
        next = end + 1
        number += 1
        return TextLine(rest: line, number: number)
    }

    private mutating func readFirstLine() throws(StorageError) {
        let line = nextLine() ?? TextLine(rest: [], number: 1)
        if line.rest.elementsEqual(TextForm.firstLine.utf8) { return }
        if line.rest.starts(with: "roost-keys ".utf8) {
            throw line.error("the version is another one than 1; a newer release may read it", .unsupported)
        }
        throw line.error("it is not \"\(TextForm.firstLine)\", which is how a text of keys begins", .foreign)
    }

    private mutating func take(_ line: TextLine) throws(StorageError) {
        var line = line
        let spaces = line.skipSpaces()
        guard let first = line.rest.first, first != UInt8(ascii: "#") else { return }
        guard spaces % 2 == 0 else { throw line.error("\(spaces) spaces in front; each level has two") }
        let depth = spaces / 2
        guard depth < Hierarchy.deepest else {
            throw line.error("keys are nested deeper than \(Hierarchy.deepest) levels", .tooLarge)
        }
        guard depth < open.count else {
            throw line.error("\(spaces) spaces in front, and no key above that it could be below")
        }
        close(downTo: depth)
        guard open[depth].value == .node else { throw line.error("the key above has a value, and so no keys below it") }
        keys += 1
        guard keys <= TextForm.mostKeys else {
            throw line.error("more than \(TextForm.mostKeys) keys", .tooLarge)
        }
        open.append(try key(&line, depth))
    }

    /// Puts the keys below a depth into their parents.
    private mutating func close(downTo depth: Int) {
        while open.count > depth + 1, let last = open.popLast() { open[open.count - 1].children.append(last) }
    }

    private mutating func key(_ line: inout TextLine, _ depth: Int) throws(StorageError) -> KeyNode {
        var node = KeyNode(try line.name())
        guard !line.rest.isEmpty else { return node }
        var word = try line.word()
        if word.hasPrefix("flags=") {
            node.flags = try line.flags(word)
            guard !line.rest.isEmpty else { return node }
            word = try line.word()
        }
        guard let type = TextForm.ValueType(rawValue: word) else {
            throw line.error("\"\(word)\" is no type; there are int, uint, double, string, array, bool")
        }
        if type == .array {
            node.value = .array(try array(count: try line.count(), depth + 1))
        } else {
            node.value = try line.value(type)
        }
        guard line.rest.isEmpty else { throw line.error("something follows the value") }
        return node
    }

    /// The bytes on the lines that follow an array's: all of them full but the last.
    private mutating func array(count: Int, _ depth: Int) throws(StorageError) -> [UInt8] {
        guard count <= bytes.count / 2 else {
            let line = TextLine(rest: [], number: number)
            throw line.error("an array of \(count) bytes, and the text ends before")
        }
        var value: [UInt8] = []
        value.reserveCapacity(count)
        while value.count < count {
            guard var line = nextLine() else {
                let end = TextLine(rest: [], number: number)
                throw end.error("the text ends inside an array of \(count) bytes")
            }
            guard line.skipSpaces() == 2 * depth, line.skip(": ") else {
                throw line.error("an array of \(count) bytes has its next line here, as in \": 00FF\"")
            }
            try line.read(bytes: min(TextForm.bytesOnALine, count - value.count), into: &value)
        }
        return value
    }
}
