/// Cuts a stream of bytes into lines, whatever the pieces in which it arrives.
struct LineBuffer: Sendable {
    private let limit: Int
    private var bytes: [UInt8] = []
    private var lineStart = 0
    private var scanned = 0

    /// A buffer for lines of at most `limit` bytes, their line feed not counted.
    init(limit: Int) {
        self.limit = limit
    }

    mutating func append(_ more: some Sequence<UInt8>) {
        bytes.append(contentsOf: more)
    }

    /// Takes the next whole line, without its line feed; nil until there is one.
    ///
    /// - Throws: ``QMPError/Code/messageTooLarge`` when the line, whole or not, is above the limit.
    mutating func next() throws(QMPError) -> ArraySlice<UInt8>? {
        let lineFeed = bytes[scanned...].firstIndex(of: 0x0A)
        let lineEnd = lineFeed ?? bytes.count
        guard lineEnd - lineStart <= limit else {
            throw QMPError(.messageTooLarge, "read message: more than \(limit) bytes without a line end")
        }
        guard let lineFeed else {
            bytes.removeFirst(lineStart)
            lineStart = 0
            scanned = bytes.count
            return nil
        }
        let line = bytes[lineStart..<lineFeed]
        lineStart = lineFeed + 1
        scanned = lineStart
        return line
    }

    /// Drops everything up to the first byte of that value, or everything there is.
    ///
    /// Returns whether the byte was found; it is then the first of the buffer.
    mutating func drop(before byte: UInt8) -> Bool {
        let index = bytes[lineStart...].firstIndex(of: byte)
        bytes.removeFirst(index ?? bytes.count)
        lineStart = 0
        scanned = 0
        return index != nil
    }

    /// Drops as much of the next line as made it too large.
    mutating func dropOversized() {
        bytes.removeFirst(min(bytes.count, lineStart + limit + 1))
        lineStart = 0
        scanned = 0
    }

    mutating func removeAll() {
        bytes.removeAll()
        lineStart = 0
        scanned = 0
    }
}
