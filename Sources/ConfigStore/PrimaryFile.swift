import DurableFiles
import HyperVStorage
import RoostPrimitives
import VMConfiguration

/// What a primary file holds, as read.
struct PrimaryContent: Sendable {
    /// Which form it has.
    var form: PrimaryForm
    /// The keys, below a root without a name; the generation among them.
    var tree: KeyNode
    /// The file, when it is a HyperVStorage file.
    var storage: StorageFile?
    /// The bytes, when the file is XML.
    var text: [UInt8] = []
    /// The file's size in bytes.
    let byteCount: Int
    /// When a file that is replaced as a whole, which XML is, was last changed, in nanoseconds since 1970; 0 for any other.
    var changed: Int64 = 0
    /// The checksums of the file's blocks, once they have been computed.
    var knownChecksums: [UInt32]?

    /// A HyperVStorage file.
    init(_ storage: StorageFile) {
        (form, tree, self.storage, byteCount) = (.storage, storage.tree, storage, storage.byteCount)
    }

    /// An XML file with its root key.
    init(_ root: KeyNode, text: [UInt8]) {
        (form, tree, self.text, byteCount) = (.xml, KeyNode("", children: [root]), text, text.count)
    }

    /// The configuration's generation; 0 for a file that Roost never changed.
    var generation: UInt64 { tree.generation }

    /// Whether a file's bytes are those that this was read from, or written as.
    func isImage(_ bytes: [UInt8]) -> Bool { storage?.isImage(bytes) ?? text.hasSameBytes(as: bytes) }

    /// Whether the log held something that could not be read.
    var logWasDiscarded: Bool {
        if case .discarded? = storage?.recovery.log { true } else { false }
    }

    /// A CRC-32 for each 4 KiB block.
    func blockChecksums() -> [UInt32] {
        if let knownChecksums { return knownChecksums }
        if let storage { return storage.blockChecksums() }
        return stride(from: 0, to: text.count, by: StorageFile.blockSize).map { start in
            CRC32.checksum(text[start..<min(start + StorageFile.blockSize, text.count)])
        }
    }

    /// What the second copy is to hold.
    func copy(sequence: UInt64) -> CopyContent {
        var content = CopyContent(
            sequence: sequence,
            generation: generation,
            form: form,
            primarySize: UInt64(byteCount),
            blockChecksums: blockChecksums(),
            tree: tree
        )
        content.changed = changed
        return content
    }

    /// Whether the file has other keys than a state of the second copy, although it was not written since.
    ///
    /// A time in whole seconds is that of a file system, or of a program, that knows no others, and says too little.
    func isDamaged(since copy: CopyContent) -> Bool {
        changed % 1_000_000_000 != 0 && changed == copy.changed && copy.tree?.children != tree.children
    }

    /// The blocks that are not as the second copy knows them.
    func differingBlocks(from copy: CopyContent) -> [Int] {
        let now = blockChecksums()
        var blocks = (0..<min(now.count, copy.blockChecksums.count)).filter { now[$0] != copy.blockChecksums[$0] }
        blocks += min(now.count, copy.blockChecksums.count)..<max(now.count, copy.blockChecksums.count)
        if blocks.isEmpty, byteCount != Int(clamping: copy.primarySize) { blocks.append(max(now.count - 1, 0)) }
        return blocks
    }

    /// Whether a difference to the second copy can only be damage, and no other program's change.
    ///
    /// No program changes values that stand outside the tables without changing a table.
    func isDamaged(inBlocks blocks: [Int]) -> Bool {
        guard let storage else { return false }
        let uses = storage.blockUses()
        return blocks.allSatisfy { $0 < uses.count && uses[$0] != .structure }
    }
}

/// What was found at a primary file's path.
enum PrimaryFile: Sendable {
    /// There is no file.
    case missing
    /// All that has a checksum is as it should be.
    case sound(PrimaryContent)
    /// Something is wrong; the generation is what could still be read of it.
    case damaged(problems: [String], generation: UInt64?)
}

extension PrimaryFile {
    /// Reads a file.
    ///
    /// - Throws: `StoreError` `.unsupported` for a file of another version of the format, and what the kernel reports
    ///   when the file is not there to be read at all.
    ///
    /// - Parameter withChecksums: whether the checksums of the blocks will be asked for.
    init(_ path: String, in files: any FileSystem, withChecksums: Bool = false) throws(StoreError) {
        let form: PrimaryForm = path.hasSuffix(".xml") ? .xml : .storage
        // Before it is read: one that is written meanwhile counts as newer.
        let changed = form == .xml ? files.timeOfChange(of: path) : 0
        let bytes: [UInt8]
        do throws(FileError) {
            bytes = try files.contents(of: path, limit: FileAccess.sizeLimit)
        } catch {
            switch error.code {
            case .notFound:
                self = .missing
                return
            case .unreadable:
                self = try Self.unreadable(path, form, in: files)
                return
            default: throw StoreError(error)
            }
        }
        self = try Self(path, form, bytes, withChecksums)
        if case .sound(var content) = self {
            content.changed = changed
            self = .sound(content)
        }
    }

    private init(
        _ path: String,
        _ form: PrimaryForm,
        _ bytes: [UInt8],
        _ withChecksums: Bool
    ) throws(StoreError) {
        switch form {
        case .storage:
            do throws(StorageError) {
                let storage = try StorageFile(parsing: bytes)
                var content = PrimaryContent(storage)
                if withChecksums { content.knownChecksums = content.blockChecksums() }
                self = .sound(content)
            } catch {
                // A sound header of another version is no damage.
                if error.code == .unsupported && error.structure == .fileHeader {
                    throw StoreError(.unsupported, "cannot read \(path)", cause: error.message)
                }
                self = .damaged(
                    problems: [error.message],
                    generation: StorageFile.salvage(bytes).generation
                )
            }
        case .xml:
            do throws(ConfigurationError) {
                let root = try ConfigurationXML.parse(bytes).root
                self = .sound(PrimaryContent(root, text: bytes))
            } catch {
                self = .damaged(problems: [error.message], generation: nil)
            }
        }
    }

    /// A file with blocks that the device cannot read: damaged, whatever they held.
    private static func unreadable(
        _ path: String,
        _ form: PrimaryForm,
        in files: any FileSystem
    ) throws(StoreError) -> PrimaryFile {
        let (bytes, ranges) = try asStore { () throws(FileError) in
            try files.readableContents(of: path, limit: FileAccess.sizeLimit)
        }
        var generation: UInt64?
        if form == .storage { generation = StorageFile.salvage(bytes).generation }
        let problems = ranges.map {
            "the device cannot read \($0.count) bytes at 0x\(String($0.lowerBound, radix: 16, uppercase: true))"
        }
        return .damaged(problems: problems, generation: generation)
    }
}

extension KeyNode {
    /// Where a configuration's generation stands.
    static let generationPath = "configuration/roost/generation"

    /// How often Roost has changed the configuration.
    var generation: UInt64 {
        if case .int(let value)? = descendant(Self.generationPath)?.value { UInt64(clamping: value) } else { 0 }
    }

    /// This tree with a generation.
    func with(generation: UInt64) -> KeyNode {
        var tree = self
        tree.set(Self.generationPath, .int(Int64(clamping: generation)))
        return tree
    }

    /// This tree without the key of its generation, which only the store looks at.
    func withoutGeneration() -> KeyNode {
        var tree = self
        guard tree.remove(Self.generationPath) != nil else { return tree }
        if tree.descendant("configuration/roost")?.children.isEmpty == true { tree.remove("configuration/roost") }
        return tree
    }
}

extension KeyNode {
    /// This configuration with the key of another's generation, which knows where it is stored, in the same place.
    func takingGeneration(of stored: KeyNode) -> KeyNode {
        guard let place = stored.children.firstIndex(where: { $0.name == "roost" }),
            let row = stored.children[place].children.firstIndex(where: { $0.name == "generation" })
        else { return self }
        let key = stored.children[place].children[row]
        var taking = self
        if let roost = children.firstIndex(where: { $0.name == "roost" }) {
            guard children[roost]["generation"] == nil else { return self }
            taking.children[roost].children.insert(key, at: min(row, children[roost].children.count))
        } else {
            var roost = stored.children[place]
            roost.children = [key]
            taking.children.insert(roost, at: min(place, children.count))
        }
        return taking
    }
}

extension StorageSalvage {
    /// The highest generation that any readable key can name; nil when there is none.
    var generation: UInt64? {
        if tree.descendant(KeyNode.generationPath) != nil { return tree.generation }
        // Without the keys above it, its name has to do.
        return orphans.compactMap(Self.generation).max()
    }

    private static func generation(_ node: KeyNode) -> UInt64? {
        if node.name == "generation", case .int(let value) = node.value { return UInt64(clamping: value) }
        if node.name != "roost" && node.name != "configuration" { return nil }
        return node.children.compactMap(generation).max()
    }
}
