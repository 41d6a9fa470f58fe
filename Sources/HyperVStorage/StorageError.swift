/// Why a HyperVStorage file cannot be read or a tree cannot be written.
public struct StorageError: Error, Hashable, Sendable {
    /// The kind of failure.
    public enum Code: String, Hashable, Sendable {
        /// The bytes are not a HyperVStorage file at all.
        case foreign
        /// The file, or a part of it, is of a kind that this library does not know.
        case unsupported
        /// A structure lies outside the file's bytes.
        case truncated
        /// A checksum, a signature or an invariant does not hold.
        case corrupt
        /// A tree that the format cannot hold was given to be written.
        case invalidTree
        /// A limit of the format would be passed.
        case tooLarge
    }

    /// The structure that an error or a finding is about.
    public enum Structure: String, Hashable, Sendable {
        /// One of the two file headers.
        case fileHeader = "file header"
        /// The replay log's header.
        case logHeader = "replay log header"
        /// An entry of the replay log, or its payload.
        case logEntry = "replay log entry"
        /// An object table's header.
        case objectTable = "object table"
        /// A row of an object table.
        case objectEntry = "object table entry"
        /// A key table's header.
        case keyTable = "key table"
        /// A row of a key table.
        case keyEntry = "key entry"
        /// The area of a value that is stored outside its key table.
        case fileObject = "file object"
        /// The tree of keys.
        case tree = "key tree"
        /// A line of the text form.
        case text = "text"
    }

    /// The kind of failure.
    public var code: Code
    /// The structure it was found in.
    public var structure: Structure
    /// The structure's offset in the file, in bytes; nil when the error is not about stored bytes.
    public var offset: UInt64?
    /// What was found and what was expected.
    public var detail: String

    /// An error about the structure at `offset`.
    package init(_ code: Code, _ structure: Structure, at offset: UInt64?, _ detail: String) {
        self.code = code
        self.structure = structure
        self.offset = offset
        self.detail = detail
    }

    /// An error about the structure at `offset`.
    init(_ code: Code, _ structure: Structure, at offset: Int, _ detail: String) {
        self.init(code, structure, at: UInt64(max(offset, 0)), detail)
    }

    /// The whole sentence: structure, offset, and what was found and expected.
    public var message: String {
        guard let offset else { return "\(structure.rawValue): \(detail)" }
        return "\(structure.rawValue) at \(hexadecimal(offset)): \(detail)"
    }
}

extension StorageError: CustomStringConvertible {
    /// The whole sentence.
    public var description: String { message }
}

/// Something that a full check of a file reports.
public struct StorageFinding: Hashable, Sendable {
    /// How much it matters.
    public enum Severity: String, Hashable, Sendable {
        /// Something is as it may be, but not as a cleanly closed file leaves it.
        case notice
        /// Something is wrong that no value depends on.
        case warning
        /// Values are damaged or lost.
        case error
    }

    /// How much it matters.
    public var severity: Severity
    /// The structure it was found in.
    public var structure: StorageError.Structure
    /// The structure's offset in the file, in bytes; nil when it is not about stored bytes.
    public var offset: UInt64?
    /// What was found and what was expected.
    public var detail: String

    /// The whole sentence: structure, offset, and what was found and expected.
    public var message: String {
        StorageError(.corrupt, structure, at: offset, detail).message
    }
}

/// A number as `0x1F`.
func hexadecimal(_ value: some BinaryInteger) -> String { "0x" + String(value, radix: 16, uppercase: true) }

/// Where the checks of a file report to: a reader stops at the first error, a full check collects them all.
struct Diagnosis {
    /// Whether errors are collected.
    let collects: Bool
    /// What was found.
    private(set) var findings: [StorageFinding] = []

    init(collects: Bool) { self.collects = collects }

    /// Throws the error, or keeps it and returns when errors are collected.
    mutating func fail(_ error: StorageError) throws(StorageError) {
        guard collects else { throw error }
        findings.append(
            StorageFinding(
                severity: .error,
                structure: error.structure,
                offset: error.offset,
                detail: error.detail
            )
        )
    }

    /// Keeps a finding that stops no reader.
    mutating func note(
        _ severity: StorageFinding.Severity,
        _ structure: StorageError.Structure,
        at offset: Int,
        _ detail: String
    ) {
        guard collects else { return }
        findings.append(
            StorageFinding(
                severity: severity,
                structure: structure,
                offset: UInt64(max(offset, 0)),
                detail: detail
            )
        )
    }
}
