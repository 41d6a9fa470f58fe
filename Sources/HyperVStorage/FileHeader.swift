internal import RoostPrimitives

/// The file header, of which copies stand at 0x0000 and 0x1000.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | signature 0x01282014 |
/// | 4 | 4 | checksum of these 46 bytes |
/// | 8 | 2 | sequence, modulo 2^16 |
/// | 10 | 4 | format version, 0x0400 |
/// | 14 | 4 | data version |
/// | 18 | 4 | flags |
/// | 22 | 4 | data alignment |
/// | 26 | 8 | replay log offset |
/// | 34 | 8 | replay log size, header included |
/// | 42 | 4 | replay log header size |
struct FileHeader: Hashable {
    static let signature: UInt32 = 0x0128_2014
    static let size = 46
    static let copySize = 0x1000
    static let formatVersion: UInt32 = 0x0400
    /// Where both copies end and the first object table starts.
    static let areaEnd = 0x2000

    var sequence: UInt16
    var dataVersion: UInt32 = 0
    var flags: UInt32 = 0
    var alignment: UInt32 = 0x1000
    var logOffset: UInt64
    var logSize: UInt64
    var logHeaderSize: UInt32 = 0x1000

    /// The 46 bytes, checksum included.
    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: Self.size)
        writer.write(Self.signature)
        writer.write(UInt32(0))
        writer.write(sequence)
        writer.write(Self.formatVersion)
        writer.write(dataVersion)
        writer.write(flags)
        writer.write(alignment)
        writer.write(logOffset)
        writer.write(logSize)
        writer.write(logHeaderSize)
        seal(&writer, checksumAt: 4)
        return writer.bytes
    }

    /// The write of one copy.
    func write(copy: Int) -> StorageAction {
        .write(offset: UInt64(copy * Self.copySize), bytes: encoded())
    }

    /// Reads one copy and checks its signature, checksum and version.
    init(_ view: ImageView, copy: Int) throws(StorageError) {
        let base = copy * Self.copySize
        func failure(_ code: StorageError.Code, _ detail: String) -> StorageError {
            StorageError(code, .fileHeader, at: base, detail)
        }
        guard view.holds(base, Self.size) else { throw failure(.truncated, "the file ends at \(view.count)") }
        let signature = view.load(base, as: UInt32.self)
        guard signature == Self.signature else {
            throw failure(.foreign, "signature \(hexadecimal(signature)), expected \(hexadecimal(Self.signature))")
        }
        let stored = view.load(base + 4, as: UInt32.self)
        let computed = view.checksum(base, Self.size, zeroing: 4)
        guard stored == computed else {
            throw failure(.corrupt, "checksum \(hexadecimal(stored)), expected \(hexadecimal(computed))")
        }
        let version = view.load(base + 10, as: UInt32.self)
        guard version == Self.formatVersion else {
            throw failure(
                .unsupported,
                "format version \(hexadecimal(version)), expected \(hexadecimal(Self.formatVersion))"
            )
        }
        sequence = view.load(base + 8, as: UInt16.self)
        dataVersion = view.load(base + 14, as: UInt32.self)
        flags = view.load(base + 18, as: UInt32.self)
        alignment = view.load(base + 22, as: UInt32.self)
        logOffset = view.load(base + 26, as: UInt64.self)
        logSize = view.load(base + 34, as: UInt64.self)
        logHeaderSize = view.load(base + 42, as: UInt32.self)
        if let problem = invalidField { throw failure(.corrupt, problem) }
    }

    init(sequence: UInt16, logOffset: UInt64, logSize: UInt64, logHeaderSize: UInt32 = 0x1000) {
        self.sequence = sequence
        self.logOffset = logOffset
        self.logSize = logSize
        self.logHeaderSize = logHeaderSize
    }

    /// What is wrong with a field; nil when all can be used.
    private var invalidField: String? {
        if alignment < 0x1000 || alignment > 0x10000 || alignment & (alignment - 1) != 0 {
            return "data alignment \(alignment), expected a power of two from 0x1000 to 0x10000"
        }
        if Int(logHeaderSize) < LogHeader.size + LogEntry.size || UInt64(logHeaderSize) > logSize {
            return "replay log header of \(logHeaderSize) bytes in a log of \(logSize)"
        }
        if logOffset < UInt64(Self.areaEnd) || logOffset > UInt64(Int.max) / 4 || logSize > UInt64(UInt32.max) {
            return "replay log at \(hexadecimal(logOffset)) of \(logSize) bytes"
        }
        return nil
    }

    /// Whether two copies differ in nothing but the sequence.
    func agrees(with other: FileHeader) -> Bool {
        var copy = other
        copy.sequence = sequence
        return copy == self
    }
}

/// The two copies as found, and which of them counts.
struct FileHeaders {
    /// The header in force.
    var current: FileHeader
    /// Which copy it is.
    var copy: Int
    /// What is wrong with the other copy; nil when it agrees.
    var defect: String?

    /// Reads both copies and takes the newer valid one; sequences are compared modulo 2^16.
    ///
    /// Equal sequences name no newer copy: they are accepted only when the copies are the same in every field.
    init(_ view: ImageView) throws(StorageError) {
        let copies = [0, 1].map { copy in
            Result<FileHeader, StorageError> { () throws(StorageError) in try FileHeader(view, copy: copy) }
        }
        switch (copies[0], copies[1]) {
        case (.success(let first), .success(let second)):
            let distance = Int16(bitPattern: first.sequence &- second.sequence)
            guard distance != .min, distance != 0 || first == second else {
                throw StorageError(
                    .corrupt,
                    .fileHeader,
                    at: 0,
                    "sequences \(first.sequence) and \(second.sequence) do not tell which copy is newer"
                )
            }
            copy = distance >= 0 ? 0 : 1
            current = distance >= 0 ? first : second
            defect = first.agrees(with: second) ? nil : "its fields are those of an earlier state"
        case (.success(let header), .failure(let error)):
            (current, copy, defect) = (header, 0, error.message)
        case (.failure(let error), .success(let header)):
            (current, copy, defect) = (header, 1, error.message)
        case (.failure(let error), .failure(let second)):
            // A file whose start is foreign is foreign, unless the second copy shows that it was one of ours.
            let tellsMore = error.code == .foreign && (second.code == .corrupt || second.code == .unsupported)
            throw tellsMore ? second : error
        }
    }

    /// The writes that bring both copies up to the current fields, one after the other, each with the next sequence.
    mutating func advance() -> [[StorageAction]] {
        [advanceOther(), advanceOther()]
    }

    /// The write that makes the other copy the current one.
    mutating func advanceOther() -> [StorageAction] {
        copy = 1 - copy
        current.sequence &+= 1
        return [current.write(copy: copy)]
    }
}
