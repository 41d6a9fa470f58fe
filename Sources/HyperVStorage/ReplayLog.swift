internal import RoostPrimitives

/// The replay log's header, at the log's start.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | signature 0x01110003 |
/// | 4 | 4 | checksum of these 34 bytes |
/// | 8 | 4 | number of entries; 0 when clean |
/// | 12 | 1 | reserved |
/// | 13 | 4 | most entries that fit behind the header |
/// | 17 | 1 | change tracking enabled |
/// | 18 | 8 | change tracking buffer offset |
/// | 26 | 4 | its size |
/// | 30 | 4 | its used bytes |
///
/// While a transaction of Roost's stands in the log, the buffer's offset is ``sealMark`` and its used bytes are the
/// checksum of all counted entries: the log can then be written as a whole with one sync, because a header beside
/// entries that are not its own is found.
struct LogHeader: Hashable {
    static let signature: UInt32 = 0x0111_0003
    static let size = 34
    /// `RoostLog` in ASCII.
    static let sealMark: UInt64 = 0x676F_4C74_736F_6F52

    var count: UInt32 = 0
    var reserved: UInt8 = 0
    var capacity: UInt32
    var tracking: UInt8 = 0
    var trackingOffset: UInt64 = 0
    var trackingSize: UInt32 = 0
    var trackingUsed: UInt32 = 0

    /// An empty log's header for a header area of `headerSize` bytes.
    init(headerSize: Int) { capacity = UInt32(clamping: Self.capacity(headerSize: headerSize)) }

    /// How many entries fit into a header area.
    static func capacity(headerSize: Int) -> Int { (headerSize - size) / LogEntry.size }

    /// Whether the entries are covered by a checksum in this header.
    var isSealed: Bool { tracking == 0 && trackingOffset == Self.sealMark }

    /// This header with `count` entries, sealed with the checksum of their bytes.
    func sealed(count: Int, entries: [UInt8]) -> LogHeader {
        var header = self
        header.count = UInt32(clamping: count)
        header.trackingOffset = Self.sealMark
        header.trackingSize = 0
        header.trackingUsed = CRC32.checksum(entries)
        return header
    }

    /// This header without entries, as a file at rest has it.
    func emptied() -> LogHeader {
        var header = self
        header.count = 0
        if isSealed { (header.trackingOffset, header.trackingSize, header.trackingUsed) = (0, 0, 0) }
        return header
    }

    /// The 34 bytes, checksum included.
    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: Self.size)
        writer.write(Self.signature)
        writer.write(UInt32(0))
        writer.write(count)
        writer.write(reserved)
        writer.write(capacity)
        writer.write(tracking)
        writer.write(trackingOffset)
        writer.write(trackingSize)
        writer.write(trackingUsed)
        seal(&writer, checksumAt: 4)
        return writer.bytes
    }

    /// Reads the header and checks its signature and checksum.
    init(_ view: ImageView, at base: Int) throws(StorageError) {
        guard view.holds(base, Self.size) else {
            throw StorageError(.truncated, .logHeader, at: base, "the file ends at \(view.count)")
        }
        let signature = view.load(base, as: UInt32.self)
        guard signature == Self.signature else {
            throw StorageError(
                .corrupt,
                .logHeader,
                at: base,
                "signature \(hexadecimal(signature)), expected \(hexadecimal(Self.signature))"
            )
        }
        let stored = view.load(base + 4, as: UInt32.self)
        let computed = view.checksum(base, Self.size, zeroing: 4)
        guard stored == computed else {
            throw StorageError(
                .corrupt,
                .logHeader,
                at: base,
                "checksum \(hexadecimal(stored)), expected \(hexadecimal(computed))"
            )
        }
        count = view.load(base + 8, as: UInt32.self)
        reserved = view.byte(base + 12)
        capacity = view.load(base + 13, as: UInt32.self)
        tracking = view.byte(base + 17)
        trackingOffset = view.load(base + 18, as: UInt64.self)
        trackingSize = view.load(base + 26, as: UInt32.self)
        trackingUsed = view.load(base + 30, as: UInt32.self)
    }
}

/// One entry of the replay log: bytes kept in the log that belong elsewhere in the file.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 8 | destination offset in the file |
/// | 8 | 4 | byte count |
/// | 12 | 8 | payload offset from the log's start |
/// | 20 | 4 | checksum of these 28 bytes |
/// | 24 | 4 | checksum of the payload |
struct LogEntry: Hashable {
    static let size = 28

    var destination: UInt64
    var count: UInt32
    var payload: UInt64
    var payloadChecksum: UInt32

    /// The 28 bytes, checksum included.
    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: Self.size)
        writer.write(destination)
        writer.write(count)
        writer.write(payload)
        writer.write(UInt32(0))
        writer.write(payloadChecksum)
        seal(&writer, checksumAt: 20)
        return writer.bytes
    }
}

/// What the replay log holds when a file is opened.
enum LogState {
    /// No transaction; the header is sound.
    case clean(LogHeader)
    /// A whole committed transaction: its writes, in order.
    case committed(LogHeader, [StorageAction])
    /// Something that cannot be replayed, and why. The header, when it is sound, keeps its other fields.
    case bad(LogHeader?, StorageError)

    /// Reads the log that `header` points to.
    ///
    /// Nothing is taken from it unless every check holds.
    ///
    /// - Throws: ``StorageError/Code/truncated`` when the file ends before the log's header.
    init(_ view: ImageView, _ header: FileHeader) throws(StorageError) {
        let base = clamped(header.logOffset)
        guard view.holds(base, LogHeader.size) else {
            throw StorageError(.truncated, .logHeader, at: header.logOffset, "the file ends at \(view.count)")
        }
        let log: LogHeader
        do {
            log = try LogHeader(view, at: base)
        } catch {
            self = .bad(nil, error)
            return
        }
        if log.count == 0 {
            self = .clean(log)
            return
        }
        do {
            self = .committed(log, try Self.writes(view, header, log))
        } catch {
            self = .bad(log, error)
        }
    }

    /// Checks every entry and payload and returns the writes they stand for.
    private static func writes(
        _ view: ImageView,
        _ header: FileHeader,
        _ log: LogHeader
    ) throws(StorageError) -> [StorageAction] {
        let base = clamped(header.logOffset)
        let fitting = min(Int(log.capacity), LogHeader.capacity(headerSize: Int(header.logHeaderSize)))
        guard log.count <= fitting else {
            throw StorageError(.corrupt, .logHeader, at: base, "\(log.count) entries where \(fitting) fit")
        }
        try checkSeal(view, log, at: base)
        var writes: [StorageAction] = []
        for index in 0..<Int(log.count) {
            writes.append(try write(view, header, at: base + LogHeader.size + index * LogEntry.size))
        }
        return writes
    }

    /// Checks that the entries are those that the header was written with.
    private static func checkSeal(_ view: ImageView, _ log: LogHeader, at base: Int) throws(StorageError) {
        guard log.isSealed else { return }
        let size = Int(log.count) * LogEntry.size
        guard view.holds(base + LogHeader.size, size) else {
            throw StorageError(.truncated, .logEntry, at: base, "the file ends at \(view.count)")
        }
        var crc = CRC32()
        crc.update(buffer: view.slice(base + LogHeader.size, size))
        guard crc.value == log.trackingUsed else {
            throw StorageError(.corrupt, .logEntry, at: base, "the entries are not those of the header")
        }
    }

    private static func write(_ view: ImageView, _ header: FileHeader, at offset: Int) throws(StorageError)
        -> StorageAction
    {
        func failure(_ code: StorageError.Code, _ detail: String) -> StorageError {
            StorageError(code, .logEntry, at: offset, detail)
        }
        guard view.holds(offset, LogEntry.size) else { throw failure(.truncated, "the file ends at \(view.count)") }
        let stored = view.load(offset + 20, as: UInt32.self)
        let computed = view.checksum(offset, LogEntry.size, zeroing: 20)
        guard stored == computed else {
            throw failure(.corrupt, "checksum \(hexadecimal(stored)), expected \(hexadecimal(computed))")
        }
        let destination = view.load(offset, as: UInt64.self)
        let count = Int(view.load(offset + 8, as: UInt32.self))
        let payload = view.load(offset + 12, as: UInt64.self)
        let (logStart, logSize) = (clamped(header.logOffset), Int(header.logSize))
        guard payload >= UInt64(header.logHeaderSize), payload <= header.logSize, count <= logSize - clamped(payload)
        else { throw failure(.corrupt, "payload \(hexadecimal(payload)) + \(count) outside the log") }
        guard view.holds(logStart + clamped(payload), count) else {
            throw failure(.truncated, "payload behind the file's end at \(view.count)")
        }
        let (start, end) = (clamped(destination), clamped(destination).addingReportingOverflow(count))
        guard start >= FileHeader.areaEnd, !end.overflow,
            end.partialValue <= view.count.roundedUp(to: 0x10000) + logSize,
            end.partialValue <= logStart || start >= logStart + logSize
        else { throw failure(.corrupt, "destination \(hexadecimal(destination)) + \(count) cannot be logged") }
        let checksum = view.load(offset + 24, as: UInt32.self)
        let bytes = view.copy(logStart + clamped(payload), count)
        let actual = CRC32.checksum(bytes)
        guard checksum == actual else {
            throw failure(.corrupt, "payload checksum \(hexadecimal(checksum)), expected \(hexadecimal(actual))")
        }
        return .write(offset: destination, bytes: bytes)
    }
}
