import DurableFiles
import HyperVStorage
import RoostPrimitives
import VMConfiguration

/// A file of keys and its second copy: read together, changed together, each repaired from the other.
///
/// The rules are those of `docs/design/0004-second-copy.md`. One caller at a time per file.
struct MirroredFile: Sendable {
    /// How much is looked at.
    enum Depth: Sendable {
        /// The file with all its checksums, and the generation of the copy.
        case listing
        /// Every block of the file, and the newest state of the copy.
        case whole
        /// Every byte of both.
        case scrub
    }

    /// What both hold, and where the copy's next state goes.
    struct Opened: Sendable {
        var content: PrimaryContent
        /// nil when there is no copy that could be written in place.
        var position: CopyPosition?
        /// The copy's bytes, when they are known.
        var copyBytes: [UInt8]?
        /// What the keys say, once somebody has asked.
        var configuration: VirtualMachineConfiguration?
    }

    /// Where in a copy the next state goes.
    struct CopyPosition: Sendable {
        var slotSize: Int
        /// The slot with the older state, which the next one replaces.
        var slot: Int
        /// For each slot how many bytes of it may not be zero.
        var used: [Int]
        /// The sequence of the newest state.
        var sequence: UInt64

        /// The position when `count` bytes have been written into the slot.
        func following(_ count: Int) -> CopyPosition {
            var next = self
            next.used[slot] = count
            next.slot = 1 - slot
            next.sequence += 1
            return next
        }
    }

    /// Both files, open for writing.
    struct Handles: ~Copyable {
        var file: DurableFile
        var copy: DurableFile

        init(_ mirrored: borrowing MirroredFile) throws(FileError) {
            let opened = try DurableFile(mirrored.path, for: .writing, in: mirrored.files)
            self.init(file: opened, copy: try DurableFile(mirrored.copyPath, for: .writing, in: mirrored.files))
        }

        private init(file: consuming DurableFile, copy: consuming DurableFile) {
            self.file = file
            self.copy = copy
        }
    }

    let path: String
    let copyPath: String
    /// Whether a missing file comes back from its copy.
    var restoresMissing = false
    let files: any FileSystem
    let distrusted: DistrustedFiles
    let recent: RecentFiles
    let report: @Sendable (StorageReport) -> Void
    /// Refuses keys that the file must not be given, or keep: before anything is put right.
    var admits: @Sendable (KeyNode) throws(StoreError) -> Void = { (_) throws(StoreError) in }

    var form: PrimaryForm { path.hasSuffix(".xml") ? .xml : .storage }

    // MARK: - Reading

    /// Reads the file, and puts right whatever can be put right.
    func open(_ depth: Depth) throws(StoreError) -> Opened {
        if depth == .whole, let known = reopen() { return known }
        return try openAnew(depth)
    }

    /// Opens both to change them; `handles` are what they were read through, when they were known before.
    func openForChange(_ handles: inout Handles?) throws(StoreError) -> Opened {
        if let known = reopen(&handles) { return known }
        handles = nil
        return try openAnew(.whole)
    }

    private func openAnew(_ depth: Depth) throws(StoreError) -> Opened {
        let primary = try PrimaryFile(path, in: files, withChecksums: depth != .listing)
        if case .sound(let content) = primary {
            // The kernel may show what never reached the disk: all of it goes to a new file.
            if distrusted.contains(path) { return try writeAnew(content.tree, content.generation + 1) }
            if depth == .listing, case .some(let known) = glance(content) { return known }
        }
        if depth == .whole, case .sound(let content) = primary {
            // Most often all is well, and then the copy's older state need not be looked at.
            let (copy, bytes) = readCopyBytes(onlyNewest: true)
            if case .agree = Reconciliation(path, primary, copy, restoresMissing: false),
                case .present(let found) = copy
            {
                return Opened(content: content, position: CopyPosition(found), copyBytes: bytes)
            }
        }
        let copy = readCopy()
        return try carryOut(Reconciliation(path, primary, copy, restoresMissing: restoresMissing), primary, copy)
    }

    /// The keys of a file at rest whose copy has its generation; nil when more has to be looked at.
    ///
    /// Every checksum of the file is verified.
    ///
    /// - Parameter prefix: the first byte of the names below the configuration that are left out.
    func overview(leavingOut prefix: UInt8) -> KeyNode? {
        guard form == .storage, !distrusted.contains(path),
            let bytes = try? files.contents(of: path, limit: FileAccess.sizeLimit),
            let tree = try? StorageFile.overview(of: bytes, leavingOut: prefix),
            !files.exists(copyPath) || copyPosition(ofGeneration: tree.generation) != nil
        else { return nil }
        return tree
    }

    /// Whether the copy's headers are those that belong to the file; nil when more has to be looked at.
    ///
    /// Without its log, which may have been damaged, a file can be between two states and still make sense. Values outside
    /// the tables make sense whatever they are.
    private func glance(_ content: PrimaryContent) -> Opened? {
        // XML has no checksums, and can be damaged and still make sense.
        guard form == .storage, !content.logWasDiscarded, content.storage?.hasFileObjects != true else { return nil }
        guard files.exists(copyPath) else { return Opened(content: content) }
        return copyPosition(ofGeneration: content.generation).map { Opened(content: content, position: $0) }
    }

    /// Where the next state goes in a copy whose newest has a generation; nil when it has another one.
    private func copyPosition(ofGeneration generation: UInt64) -> CopyPosition? {
        guard let headers = try? copyHeaders(), let position = CopyPosition(headers),
            headers.max(by: { $0.sequence < $1.sequence })?.generation == generation
        else { return nil }
        return position
    }

    private func copyHeaders() throws(FileError) -> [CopySlotHeader] {
        let file = try DurableFile(copyPath, for: .reading(followingLinks: true), in: files)
        let half = try file.size() / 2
        var headers: [CopySlotHeader] = []
        for index in 0..<2 {
            let bytes = try file.read(at: UInt64(index * half), count: CopySlotHeader.size)
            if let header = CopySlotHeader(bytes[...]), Int(header.slotSize) == half { headers.append(header) }
        }
        return headers
    }

    private func readCopy() -> CopyFile { readCopyBytes(onlyNewest: false).copy }

    private func readCopyBytes(onlyNewest: Bool) -> (copy: CopyFile, bytes: [UInt8]?) {
        do throws(FileError) {
            let bytes = try files.contents(of: copyPath, limit: 2 * CopySlotHeader.largestSlot)
            return (.present(ConfigurationCopy(bytes, onlyNewest: onlyNewest)), bytes)
        } catch {
            if error.code == .notFound { return (.missing, nil) }
            // What can be read of it may hold the newest state.
            if error.code == .unreadable,
                let read = try? files.readableContents(of: copyPath, limit: 2 * CopySlotHeader.largestSlot)
            {
                return (.present(ConfigurationCopy(read.bytes, unreadable: read.unreadable)), nil)
            }
            return (.unreadable(reason: error.description), nil)
        }
    }

    /// What both held when they were last used, when not a byte of either has changed since.
    ///
    /// Both are read and compared: what a device has lost or another program written since then is noticed.
    func reopen() -> Opened? {
        guard let known = recent.take(path), let copyBytes = known.copyBytes, !distrusted.contains(path),
            let bytes = try? files.contents(of: path, limit: FileAccess.sizeLimit), known.content.isImage(bytes),
            let copy = try? files.contents(of: copyPath, limit: 2 * CopySlotHeader.largestSlot),
            copy.hasSameBytes(as: copyBytes)
        else { return nil }
        return known
    }

    /// The same through handles that can be written.
    private func reopen(_ handles: inout Handles?) -> Opened? {
        guard form == .storage, let known = recent.take(path), let copyBytes = known.copyBytes,
            !distrusted.contains(path), let opened = try? Handles(self),
            opened.file.holds({ known.content.isImage($0) }, limit: FileAccess.sizeLimit),
            opened.copy.holds({ $0.hasSameBytes(as: copyBytes) }, limit: 2 * CopySlotHeader.largestSlot)
        else { return nil }
        handles = consume opened
        return known
    }

    // MARK: - Putting right

    private func carryOut(
        _ decision: Reconciliation,
        _ primary: PrimaryFile,
        _ copy: CopyFile
    ) throws(StoreError) -> Opened {
        var found: ConfigurationCopy?
        if case .present(let present) = copy { found = present }
        switch decision {
        case .conflict, .agree: break
        case .restore(let content, _), .complete(let content): try admits(try keys(of: content))
        default: try admits(try content(of: primary).tree)
        }
        switch decision {
        case .conflict(let error): throw error
        case .renewTime: return renewed(try content(of: primary), found)
        case .restore(let content, let problems):
            return try restore(content, primary, problems)
        case .complete(let content):
            let opened = try makePrimary(try keys(of: content), after: content.sequence)
            note(.completed, [], content.generation)
            return opened
        case .agree:
            return Opened(content: try content(of: primary), position: found.flatMap(CopyPosition.init))
        case .agreeButForBlocks(let blocks):
            let content = try content(of: primary)
            let uses = content.storage?.blockUses() ?? []
            let problems = blocks.prefix(8).map { block in
                "the block at 0x\(String(block * StorageFile.blockSize, radix: 16, uppercase: true))"
                    + " (\(block < uses.count ? uses[block].rawValue : "behind the end")) differs"
            }
            return refreshed(content, found, .blocksNoted, problems)
        case .repairHeaders(let problems):
            var opened = Opened(content: try content(of: primary), position: found.flatMap(CopyPosition.init))
            guard var storage = opened.content.storage else { return opened }
            try perform(storage.repairHeaders())
            opened.content.storage = storage
            note(.headerRepaired, problems, opened.content.generation)
            return opened
        case .refreshCopy(let problems):
            return refreshed(try content(of: primary), found, .copyRefreshed, problems)
        case .accept(let problems):
            var opened = Opened(content: try content(of: primary), position: found.flatMap(CopyPosition.init))
            let generation = opened.content.generation + 1
            try commit(opened.content.tree.with(generation: generation), to: &opened)
            note(.changeAccepted, problems, generation)
            return opened
        }
    }

    private func keys(of content: CopyContent) throws(StoreError) -> KeyNode {
        guard let tree = content.tree else { throw StoreError(.corrupt, "\(copyPath) holds no keys") }
        return tree
    }

    private func content(of primary: PrimaryFile) throws(StoreError) -> PrimaryContent {
        guard case .sound(let content) = primary else { throw StoreError(.corrupt, "cannot read \(path)") }
        return content
    }

    /// Brings the copy up to date; a copy that cannot be written is reported and stops no reader.
    private func refreshed(
        _ content: PrimaryContent,
        _ found: ConfigurationCopy?,
        _ action: StorageReport.Action,
        _ problems: [String]
    ) -> Opened {
        var opened = Opened(content: content, position: found.flatMap(CopyPosition.init))
        do throws(StoreError) {
            // The file's name may be one that a failed attempt has left, and that a power cut would take: who has read it
            // relies on both.
            if found == nil { try asStore { () throws(FileError) in try files.syncFolder(parentFolder(of: path)) } }
            let sequence = (found?.highestSequence ?? 0) + 1
            // A copy with a damaged slot is replaced as a whole, on other blocks of the device.
            if found?.problems.isEmpty == true, let position = opened.position {
                opened.position = try writeSlot(content.copy(sequence: sequence), at: position)
            } else {
                opened.position = try writeCopy(content.copy(sequence: sequence))
            }
            note(action, problems, content.generation)
        } catch {
            note(.failed, problems + [error.description], content.generation)
        }
        return opened
    }

    /// Lets the copy know when the file was last changed, so that damage is told from a change from now on.
    ///
    /// What fails is tried again at the next opening: until then a change counts.
    private func renewed(_ content: PrimaryContent, _ found: ConfigurationCopy?) -> Opened {
        var opened = Opened(content: content, position: found.flatMap(CopyPosition.init))
        guard let found, let position = opened.position else { return opened }
        let isStored: Void? = try? { () throws(FileError) in
            var file = try DurableFile(path, for: .writing, in: files)
            try file.sync(withTime: true)
        }()
        if isStored != nil, let next = try? writeSlot(content.copy(sequence: found.highestSequence + 1), at: position) {
            opened.position = next
        }
        return opened
    }

    /// Makes a damaged or missing file anew; what is there stays beside it under a new name.
    private func restore(
        _ content: CopyContent,
        _ primary: PrimaryFile,
        _ problems: [String]
    ) throws(StoreError) -> Opened {
        let tree = try keys(of: content)
        var kept: String?
        if case .missing = primary {} else { kept = try keepAside() }
        let opened = try makePrimary(tree, after: content.sequence)
        note(.restored(keptAs: kept), problems, content.generation)
        return opened
    }

    /// Gives the file a second name, `<file>.damaged-<number>`, under which it stays.
    ///
    /// One that is kept as it is already, by an attempt that failed, gets no further name.
    func keepAside() throws(StoreError) -> String {
        var number = 1
        while number < 100_000, files.exists("\(path).damaged-\(number)") { number += 1 }
        if number > 1, isKept(as: "\(path).damaged-\(number - 1)") { return "\(path).damaged-\(number - 1)" }
        for number in number... {
            let name = "\(path).damaged-\(number)"
            do throws(FileError) {
                try files.link(path, to: name)
                return name
            } catch {
                if error.code == .exists && number < 100_000 { continue }
                throw StoreError(error)
            }
        }
        return path
    }

    private func isKept(as name: String) -> Bool {
        let limit = 3 * KeptCopy.largest
        let sizes = [path, name].map { path in
            (try? DurableFile(path, for: .reading(followingLinks: true), in: files).size()) ?? .max
        }
        guard sizes[0] == sizes[1], sizes[0] <= limit else { return false }
        guard let file = try? files.readableContents(of: path, limit: limit),
            let kept = try? files.readableContents(of: name, limit: limit)
        else { return false }
        return file.unreadable == kept.unreadable && file.bytes == kept.bytes
    }

    /// Replaces the file by one with these keys, and tells the copy of its blocks.
    private func makePrimary(_ tree: KeyNode, after sequence: UInt64) throws(StoreError) -> Opened {
        let content = try replacePrimary(tree, replacing: true)
        return Opened(
            content: content,
            position: try writeCopy(content.copy(sequence: sequence + 1))
        )
    }

    // MARK: - Writing

    /// Makes both, for a file that is not there yet.
    ///
    /// - Throws: `StoreError` `.exists` when it is.
    func create(_ tree: KeyNode) throws(StoreError) {
        guard !files.exists(copyPath) else {
            throw StoreError(.exists, "\(copyPath), a second copy of \(path), exists already")
        }
        let content = try replacePrimary(tree.with(generation: 1), replacing: false)
        do throws(StoreError) {
            _ = try writeCopy(content.copy(sequence: 1))
        } catch {
            // The copy may be there all the same, when only its name could not be made durable; it goes first, as in
            // ``remove()``: left alone it says that somebody has deleted the file.
            if files.exists(copyPath) { _ = try? files.removeDurably(copyPath) }
            _ = try? files.removeDurably(path)
            throw error
        }
    }

    /// Deletes both, the copy first: where it is left alone, somebody else has deleted the file.
    func remove() throws(StoreError) {
        try asStore { () throws(FileError) in
            try files.removeDurably(copyPath)
            try files.removeDurably(path)
        }
    }

    /// Writes keys to new files in the place of both; for when the old ones are not to be trusted.
    ///
    /// The file goes first: a copy that is older is written anew at the next opening.
    func writeAnew(_ tree: KeyNode, _ generation: UInt64) throws(StoreError) -> Opened {
        let content = try replacePrimary(tree.with(generation: generation), replacing: true)
        var sequence: UInt64 = 0
        if case .present(let found) = readCopy() { sequence = found.highestSequence }
        let opened = Opened(
            content: content,
            position: try writeCopy(content.copy(sequence: sequence + 1))
        )
        distrusted.remove(path)
        return opened
    }

    private func replacePrimary(_ tree: KeyNode, replacing: Bool) throws(StoreError) -> PrimaryContent {
        var (content, bytes) = try layOut(tree)
        let isText = form == .xml
        try asStore { () throws(FileError) in
            try files.replace(path, with: bytes, replacing: replacing, withTime: isText) { (next) throws(FileError) in
                if isText { content.changed = files.timeOfChange(of: next) }
            }
        }
        return content
    }

    /// The bytes of a file with these keys, and what reading them gives.
    func layOut(_ tree: KeyNode) throws(StoreError) -> (PrimaryContent, [UInt8]) {
        switch form {
        case .storage:
            do throws(StorageError) {
                let made = try StorageFile.create(tree: tree)
                return (PrimaryContent(made.file), made.bytes)
            } catch {
                throw StoreError(.failed, "cannot make \(path)", cause: error.message)
            }
        case .xml:
            do throws(ConfigurationError) {
                guard let root = tree.children.first, tree.children.count == 1 else {
                    throw ConfigurationError(.notAConfiguration, "an XML file has one root key")
                }
                let bytes = try ConfigurationXML.serialize(root)
                let again = try ConfigurationXML.parse(bytes).root
                return (PrimaryContent(again, text: bytes), bytes)
            } catch {
                throw StoreError(.failed, "cannot make \(path)", cause: error.message)
            }
        }
    }

    /// Writes a whole copy to a new file that takes the old one's place.
    func writeCopy(_ content: CopyContent) throws(StoreError) -> CopyPosition {
        try asStore { () throws(FileError) in try makeCopy(content, previous: nil) }
    }

    /// Writes a whole copy, with the state before when it is to stay.
    func makeCopy(_ content: CopyContent, previous: CopyContent?) throws(FileError) -> CopyPosition {
        guard let made = ConfigurationCopy.file(content, previous: previous) else {
            throw FileError(.failed, "\(copyPath) would be too large")
        }
        let folder = parentFolder(of: copyPath)
        if !files.isFolder(folder) { try files.makeFolders(folder, mode: 0o700) }
        try files.replace(copyPath, with: made.bytes)
        return CopyPosition(slotSize: made.bytes.count / 2, slot: 0, used: made.used, sequence: content.sequence)
    }

    private func note(_ action: StorageReport.Action, _ problems: [String], _ generation: UInt64) {
        report(StorageReport(path: path, action: action, problems: problems, generation: generation))
    }
}

extension MirroredFile.CopyPosition {
    /// Where the next state goes in a copy with these headers; nil when it has to be written as a whole.
    init?(_ headers: [CopySlotHeader]) {
        guard headers.count == 2, headers[0].sequence != headers[1].sequence else { return nil }
        slot = headers[0].sequence < headers[1].sequence ? 0 : 1
        slotSize = Int(clamping: headers[slot].slotSize)
        used = headers.map { CopySlotHeader.size + Int(clamping: $0.payloadSize) }
        sequence = headers[1 - slot].sequence
    }

    /// Where the next state goes in a copy; nil when it has to be written as a whole.
    init?(_ copy: ConfigurationCopy) {
        guard copy.newest != nil, copy.problems.isEmpty else { return nil }
        self.init(copy.headers)
    }
}

extension ConfigurationCopy {
    /// The highest sequence of any slot, damaged ones as far as their header tells.
    var highestSequence: UInt64 {
        slots.map { slot in
            switch slot {
            case .blank(let header): header.sequence
            case .valid(let content): content.sequence
            case .damaged(let header): header?.sequence ?? 0
            }
        }.max() ?? 0
    }
}
