import HyperVStorage
import RoostPrimitives

/// What a slot of a second copy holds: one state of the primary file.
///
/// The layout is in `docs/formats/configuration-copy.md`.
struct CopyContent: Sendable {
    /// Counts the writes of the copy: of two slots the one with the higher sequence is newer.
    var sequence: UInt64
    /// The generation of the configuration, as in its key `/configuration/roost/generation`.
    var generation: UInt64
    /// The form of the primary file.
    var form: PrimaryForm
    /// The primary file's size in bytes.
    var primarySize: UInt64
    /// A CRC-32 for each 4 KiB block of the primary file at rest; 0 for a block that is not covered.
    var blockChecksums: [UInt32]
    /// When a primary file that is replaced as a whole was last changed, in nanoseconds since 1970; 0 when nobody knows.
    var changed: Int64 = 0
    /// The keys, below a root without a name: as they are, or as they stand in the slot.
    private var keys: Keys

    private enum Keys: Sendable {
        case tree(KeyNode)
        case encoded(ArraySlice<UInt8>)
    }

    /// A state to be written.
    init(
        sequence: UInt64,
        generation: UInt64,
        form: PrimaryForm,
        primarySize: UInt64,
        blockChecksums: [UInt32],
        tree: KeyNode
    ) {
        self.sequence = sequence
        self.generation = generation
        self.form = form
        self.primarySize = primarySize
        self.blockChecksums = blockChecksums
        keys = .tree(tree)
    }

    /// The keys, below a root without a name; nil when the slot holds none although its checksum is right.
    ///
    /// They are decoded only here: as long as every block of the file is as it should be, nobody asks.
    var tree: KeyNode? {
        switch keys {
        case .tree(let tree): return tree
        case .encoded(let bytes):
            var reader = ByteReader(bytes)
            guard let tree = CopyTree.decode(&reader), reader.remaining == 0 else { return nil }
            return tree
        }
    }
}

/// The form of a primary file.
enum PrimaryForm: UInt8, Sendable, Hashable {
    /// A HyperVStorage file.
    case storage = 1
    /// XML of version 5.0.
    case xml = 2
}

/// The header of a slot, at the slot's start; the payload follows it at once.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 8 | signature `RoostCpy` |
/// | 8 | 4 | CRC-32 of these 64 bytes |
/// | 12 | 4 | format version 1 |
/// | 16 | 8 | size of each slot in bytes |
/// | 24 | 8 | sequence |
/// | 32 | 8 | generation |
/// | 40 | 8 | payload size in bytes; 0 for a slot that was never used |
/// | 48 | 4 | CRC-32 of the payload |
/// | 52 | 8 | when the primary file was last changed, in nanoseconds since 1970; 0 when that says nothing |
/// | 60 | 4 | 0 |
struct CopySlotHeader: Hashable, Sendable {
    static let size = 64
    static let signature: UInt64 = 0x7970_4374_736F_6F52
    static let version: UInt32 = 1
    /// The smallest slot; each further size is a multiple of 4 KiB.
    static let smallestSlot = 16384
    /// The largest sequence number and generation that are read.
    static let largestCount = UInt64(Int64.max)
    /// The largest slot that is read, in bytes.
    static let largestSlot = 128 << 20

    var slotSize: UInt64
    var sequence: UInt64
    var generation: UInt64
    var payloadSize: UInt64 = 0
    var payloadChecksum: UInt32 = 0
    var changed: Int64 = 0

    /// Whether the slot was never used.
    var isBlank: Bool { payloadSize == 0 }

    /// The 64 bytes.
    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: Self.size)
        writer.write(Self.signature)
        writer.write(UInt32(0))
        writer.write(Self.version)
        writer.write(slotSize)
        writer.write(sequence)
        writer.write(generation)
        writer.write(payloadSize)
        writer.write(payloadChecksum)
        writer.write(changed)
        writer.pad(to: Self.size)
        writer.overwrite(CRC32.checksum(writer.bytes), at: 8)
        return writer.bytes
    }

    init(slotSize: UInt64, sequence: UInt64, generation: UInt64) {
        self.slotSize = slotSize
        self.sequence = sequence
        self.generation = generation
    }

    /// Reads a header; nil when it is damaged.
    init?(_ bytes: ArraySlice<UInt8>) {
        guard bytes.count >= Self.size else { return nil }
        let bytes = Array(bytes.prefix(Self.size))
        var blank = bytes
        blank.replaceSubrange(8..<12, with: [0, 0, 0, 0])
        var reader = ByteReader(bytes)
        guard (try? reader.read(UInt64.self)) == Self.signature,
            (try? reader.read(UInt32.self)) == CRC32.checksum(blank),
            (try? reader.read(UInt32.self)) == Self.version,
            let slotSize = try? reader.read(UInt64.self), let sequence = try? reader.read(UInt64.self),
            let generation = try? reader.read(UInt64.self), let payloadSize = try? reader.read(UInt64.self),
            let payloadChecksum = try? reader.read(UInt32.self), let changed = try? reader.read(Int64.self)
        else { return nil }
        guard slotSize >= 4096, slotSize <= UInt64(Self.largestSlot), slotSize % 4096 == 0,
            payloadSize <= slotSize - UInt64(Self.size),
            // Counting on from there must not overflow, and no file has been changed so often.
            sequence <= Self.largestCount, generation <= Self.largestCount
        else { return nil }
        self.slotSize = slotSize
        self.sequence = sequence
        self.generation = generation
        self.payloadSize = payloadSize
        self.payloadChecksum = payloadChecksum
        self.changed = changed
    }
}

extension CopyContent {
    /// Writes the payload of a slot.
    ///
    /// | field | size |
    /// |---|---|
    /// | form of the primary file: 1 HyperVStorage, 2 XML | 1 |
    /// | 0 | 3 |
    /// | number of block checksums | 4 |
    /// | size of the primary file | 8 |
    /// | block checksums | 4 each |
    /// | the root key, as ``CopyTree`` | |
    func writePayload(to writer: inout BufferWriter) {
        writer.write(UInt32(form.rawValue))
        writer.write(UInt32(clamping: blockChecksums.count))
        writer.write(primarySize)
        for checksum in blockChecksums { writer.write(checksum) }
        switch keys {
        case .tree(let tree): CopyTree.encode(tree, to: &writer)
        case .encoded(let encoded): encoded.withUnsafeBytes { writer.write(bytes: $0) }
        }
    }

    /// How many bytes ``writePayload(to:)`` writes.
    var payloadSize: Int {
        switch keys {
        case .tree(let tree): Self.payloadSize(of: tree, blocks: blockChecksums.count)
        case .encoded(let encoded): 16 + 4 * blockChecksums.count + encoded.count
        }
    }

    /// The size of the payload for some keys and a file of so many blocks.
    static func payloadSize(of tree: KeyNode, blocks: Int) -> Int { 16 + 4 * blocks + CopyTree.encodedSize(of: tree) }

    /// Reads a payload whose checksum is right; nil when it is not one.
    init?(_ header: CopySlotHeader, payload: ArraySlice<UInt8>) {
        var reader = ByteReader(payload)
        guard let form = (try? reader.read(UInt8.self)).flatMap(PrimaryForm.init(rawValue:)),
            (try? reader.skip(3)) != nil, let count = try? reader.read(UInt32.self),
            let primarySize = try? reader.read(UInt64.self), Int(count) <= reader.remaining / 4
        else { return nil }
        guard let bytes = try? reader.read(count: 4 * Int(count)) else { return nil }
        let checksums = bytes.withUnsafeBytes { buffer in
            (0..<Int(count)).map { (index: Int) -> UInt32 in
                UInt32(littleEndian: buffer.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self))
            }
        }
        guard let rest = try? reader.read(count: reader.remaining) else { return nil }
        sequence = header.sequence
        generation = header.generation
        self.form = form
        self.primarySize = primarySize
        blockChecksums = checksums
        changed = header.changed
        keys = .encoded(rest)
    }
}
