package import DurableFiles
package import HyperVStorage
import VMConfiguration

/// Everything that can be checked of a file of keys, with its second copy or without: what is wrong, and where.
///
/// Nothing is changed. It needs neither a state directory nor a configuration: every HyperVStorage file and every XML
/// file of version 5.0 is examined.
package struct FileExamination: Sendable {
    /// Something that was found.
    package struct Finding: Sendable, Hashable {
        /// How much it matters.
        package var severity: StorageFinding.Severity
        /// The structure it was found in.
        package var structure: String
        /// Where in the file, in bytes; nil when it is about all of it, or not about the file.
        package var offset: UInt64?
        /// What was found and what was expected.
        package var detail: String
    }

    /// The file.
    package let path: String
    /// Whether the file is XML, by its contents or, where they do not tell, by its name.
    package let isXML: Bool
    /// The file's size in bytes.
    package let byteCount: Int
    /// How many keys it has; nil when it cannot be read.
    package private(set) var keyCount: Int?
    /// The generation that the second copy has; nil when there is none that can be read.
    package private(set) var copyGeneration: UInt64?
    /// What was found, in the order of the file; what the second copy tells comes last.
    package private(set) var findings: [Finding] = []

    /// Whether nothing is wrong; notices do not count.
    package var isSound: Bool { findings.allSatisfy { $0.severity == .notice } }

    /// Examines a file.
    ///
    /// - Parameter copy: the path of its second copy; nil when it has none.
    /// - Throws: `StoreError` when the file, or the copy that was named, is not there to be read at all.
    package init(of path: String, copy: String?, files: any FileSystem = FileAccess.system) throws(StoreError) {
        // Before it is read: one that is written meanwhile counts as newer.
        let changed = files.timeOfChange(of: path)
        let read = try asStore { () throws(FileError) in
            let file = try DurableFile(path, for: .reading(followingLinks: true), in: files)
            let size = try file.size()
            guard size <= FileAccess.sizeLimit else {
                throw FileError(.unusable, "\(path) has \(size) bytes, more than the \(FileAccess.sizeLimit) allowed")
            }
            return try files.readableContents(of: path, limit: FileAccess.sizeLimit)
        }
        self.path = path
        byteCount = read.bytes.count
        isXML = FileExamination.isXML(read.bytes, path: path)
        for range in read.unreadable {
            add(.error, "device", range.lowerBound, "\(range.count) bytes cannot be read")
        }
        var content = isXML ? readXML(read.bytes) : readStorage(read.bytes)
        if isXML { content?.changed = changed }
        guard let copy else { return }
        let bytes = try asStore { () throws(FileError) in
            try files.readableContents(of: copy, limit: 2 * CopySlotHeader.largestSlot)
        }
        compare(content, read.bytes, ConfigurationCopy(bytes.bytes, unreadable: bytes.unreadable))
    }

    /// Whether bytes are XML: by their beginning, or by the file's name when that says neither.
    package static func isXML(_ bytes: [UInt8], path: String) -> Bool {
        let starts: [[UInt8]] = [
            [0xFF, 0xFE], [0xFE, 0xFF], [0xEF, 0xBB, 0xBF], [0x3C, 0x3F], [0x3C, 0], [0, 0x3C],
        ]
        if starts.contains(where: { bytes.starts(with: $0) }) { return true }
        return path.lowercased().hasSuffix(".xml")
    }

    private mutating func add(
        _ severity: StorageFinding.Severity,
        _ structure: String,
        _ offset: Int?,
        _ detail: String
    ) {
        findings.append(
            Finding(severity: severity, structure: structure, offset: offset.map { UInt64(max($0, 0)) }, detail: detail)
        )
    }

    // MARK: - The file alone

    private mutating func readStorage(_ bytes: [UInt8]) -> PrimaryContent? {
        for finding in StorageFile.verify(bytes) {
            findings.append(
                Finding(
                    severity: finding.severity,
                    structure: finding.structure.rawValue,
                    offset: finding.offset,
                    detail: finding.detail
                )
            )
        }
        guard let storage = try? StorageFile(parsing: bytes) else { return nil }
        keyCount = storage.tree.children.reduce(0) { $0 + $1.keyCount }
        return PrimaryContent(storage)
    }

    private mutating func readXML(_ bytes: [UInt8]) -> PrimaryContent? {
        do throws(ConfigurationError) {
            let document = try ConfigurationXML.parse(bytes)
            for remark in document.remarks { add(.notice, "XML", nil, remark.description) }
            keyCount = document.root.keyCount
            return PrimaryContent(document.root, text: bytes)
        } catch {
            add(.error, "XML", nil, error.message)
            return nil
        }
    }

    // MARK: - The second copy

    private mutating func compare(_ content: PrimaryContent?, _ bytes: [UInt8], _ copy: ConfigurationCopy) {
        for problem in copy.problems { add(.warning, "second copy", nil, problem) }
        guard let newest = copy.newest?.content else {
            return add(.error, "second copy", nil, "it holds no state that can be read")
        }
        copyGeneration = newest.generation
        guard let content else {
            return addBlocks(Self.differing(bytes, newest), newest, nil)
        }
        if content.isDamaged(since: newest) {
            return addBlocks(content.differingBlocks(from: newest), newest, content)
        }
        guard newest.generation == content.generation else {
            let isOlder = newest.generation < content.generation
            return add(
                .warning,
                "second copy",
                nil,
                "it has generation \(newest.generation), the file \(content.generation)"
                    + (isOlder ? "" : ": the file is older")
            )
        }
        let blocks = content.differingBlocks(from: newest)
        let isDamage = content.logWasDiscarded || content.isDamaged(inBlocks: blocks)
        if !isDamage, newest.tree?.children != content.tree.children {
            return add(.notice, "second copy", nil, "another program has changed the file since")
        }
        addBlocks(blocks, newest, content)
    }

    /// The blocks that are not as the copy knows them, of a file that cannot be read; its headers are not covered.
    private static func differing(_ bytes: [UInt8], _ copy: CopyContent) -> [Int] {
        let now = PrimaryContent(KeyNode(""), text: bytes).blockChecksums()
        let isStorage = copy.form == .storage
        return (0..<max(now.count, copy.blockChecksums.count)).filter { block in
            guard block < now.count, block < copy.blockChecksums.count else { return true }
            return now[block] != copy.blockChecksums[block] && !(isStorage && copy.blockChecksums[block] == 0)
        }
    }

    private mutating func addBlocks(_ blocks: [Int], _ copy: CopyContent, _ content: PrimaryContent?) {
        let uses = content?.storage?.blockUses() ?? []
        for block in blocks {
            let use = block < uses.count ? uses[block] : nil
            add(
                use == .unused ? .warning : .error,
                "block\(use.map { " (\($0.rawValue))" } ?? "")",
                block * StorageFile.blockSize,
                "it is not as last written, which the second copy knows from generation \(copy.generation)"
            )
        }
    }
}

extension FileExamination.Finding: CustomStringConvertible {
    /// Structure, offset, and what was found and expected.
    package var description: String {
        guard let offset else { return "\(structure): \(detail)" }
        return "\(structure) at 0x\(String(offset, radix: 16, uppercase: true)): \(detail)"
    }
}

extension KeyNode {
    /// How many keys this one and everything below it are.
    var keyCount: Int { children.reduce(1) { $0 + $1.keyCount } }
}
