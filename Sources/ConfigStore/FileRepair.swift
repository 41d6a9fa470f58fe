package import DurableFiles
package import HyperVStorage
import RoostPrimitives
import VMConfiguration

/// What can be done about a file that cannot be used, and what would be lost.
package struct FileRepair: Sendable {
    /// A way to make the file whole.
    package enum Source: Sendable, Hashable {
        /// The file itself, as it is.
        case file(generation: UInt64)
        /// A state of its second copy.
        case copy(generation: UInt64)
        /// The keys of the file that can still be read; `orphans` are keys whose parents are lost.
        case salvage(keys: Int, orphans: Int)
    }

    /// The file.
    package let path: String
    /// What is wrong with the file, by structure and offset.
    package var problems: [String] = []
    /// What is wrong with its second copy.
    package var copyProblems: [String] = []
    /// What it can be made from, the best first; empty when nothing can be read.
    package var sources: [Source] = []
    /// Whether there is nothing to do.
    package var isSound = false
    /// Whether the file itself can be read, whatever its copy says.
    ///
    /// One whose replay log had to be discarded may be between two states.
    private(set) var isReadable = false
    /// The newest generation that anything readable names, damaged slots and keys without a place too.
    private(set) var newestGeneration: UInt64 = 0
    /// The keys of each source.
    private(set) var trees: [KeyNode] = []

    /// Looks at a file and its second copy, and changes nothing.
    ///
    /// - Parameter copy: the path of the second copy; nil when it has none.
    package init(planning path: String, copy: String?, files: any FileSystem) throws(StoreError) {
        self.path = path
        let primary = try PrimaryFile(path, in: files)
        var states: [CopyContent] = []
        var newest: CopyContent?
        if let copy, files.exists(copy) {
            let read = try asStore { () throws(FileError) in
                try files.readableContents(of: copy, limit: 2 * CopySlotHeader.largestSlot)
            }
            let found = ConfigurationCopy(read.bytes, unreadable: read.unreadable)
            copyProblems = found.problems
            noteGeneration(found.claimedGeneration)
            newest = found.newest?.content
            states = [newest, found.previous].compactMap { $0 }
        }
        switch primary {
        case .sound(let content):
            isReadable = !content.logWasDiscarded
            problems = content.storage?.headerProblems() ?? []
            if let newest, content.isDamaged(since: newest) {
                problems += content.differingBlocks(from: newest).map { block in
                    "the block at 0x\(String(block * StorageFile.blockSize, radix: 16, uppercase: true)) is not as last written"
                }
                add(states)
                addWithoutItsGeneration(content)
            } else if let reason = refusal(of: content.tree) {
                problems.append(reason)
                add(states)
                addWithoutItsGeneration(content)
            } else if let newest, newest.generation > content.generation {
                add(states)
                add(.file(generation: content.generation), content.tree)
            } else {
                add(.file(generation: content.generation), content.tree)
                isSound = problems.isEmpty && copyProblems.isEmpty
            }
        case .damaged(let found, _):
            problems = found
            add(states)
            try addSalvage(files)
        case .missing:
            problems = ["the file is missing"]
            add(states)
        }
    }

    /// Why the file's keys are not those of the machine that the file is called after; nil when they are, and for a file
    /// of another kind.
    func refusal(of tree: KeyNode) -> String? {
        let name = path[(path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex)...]
        guard name.hasSuffix(".vmcx") || name.hasSuffix(".xml"), let id = GUID(name.prefix { $0 != "." }) else {
            return nil
        }
        guard let root = tree["configuration"] else { return "the key /configuration is missing" }
        do {
            let found = try VirtualMachineConfiguration(root: root).id
            return found == id ? nil : "it holds the configuration of \(found), another virtual machine"
        } catch {
            // Of a version that is not known here nobody can say whether it is sound.
            return error.code == .unknownVersion ? nil : error.message
        }
    }

    private mutating func add(_ source: Source, _ tree: KeyNode) {
        sources.append(source)
        trees.append(tree)
        switch source {
        case .file(let generation), .copy(let generation): noteGeneration(generation)
        case .salvage: noteGeneration(tree.generation)
        }
    }

    /// The file as it is, of which damage or a stranger may have made the generation.
    private mutating func addWithoutItsGeneration(_ content: PrimaryContent) {
        sources.append(.file(generation: content.generation))
        trees.append(content.tree)
    }

    private mutating func noteGeneration(_ generation: UInt64?) {
        // Beyond that only damage goes.
        guard let generation, generation < 1 << 62 else { return }
        newestGeneration = max(newestGeneration, generation)
    }

    /// The generation that a file made anew gets: nothing that was there is newer.
    var nextGeneration: UInt64 { newestGeneration + 1 }

    private mutating func add(_ states: [CopyContent]) {
        for state in states {
            if let tree = state.tree { add(.copy(generation: state.generation), tree) }
        }
    }

    private mutating func addSalvage(_ files: any FileSystem) throws(StoreError) {
        guard !path.hasSuffix(".xml") else { return }
        let read = try asStore { [path] () throws(FileError) in
            try files.readableContents(of: path, limit: FileAccess.sizeLimit)
        }
        let salvage = StorageFile.salvage(read.bytes)
        problems = salvage.findings.filter { $0.severity == .error }.map(\.message)
        noteGeneration(salvage.generation)
        guard salvage.keyCount > 0 else { return }
        let orphans = salvage.orphans.reduce(0) { $0 + $1.count }
        add(.salvage(keys: salvage.keyCount - orphans, orphans: orphans), salvage.tree)
    }

    /// The keys that a source has.
    package func tree(of source: Source) -> KeyNode? {
        sources.firstIndex(of: source).map { trees[$0].withoutGeneration() }
    }
}

extension KeyNode {
    /// How many keys this one and everything below it are.
    fileprivate var count: Int { children.reduce(1) { $0 + $1.count } }
}

extension ConfigurationStore {
    /// What can be done about a configuration that cannot be used.
    package func repairPlan(path: String) throws(StoreError) -> FileRepair {
        try FileRepair(planning: path, copy: directory.copy(of: path), files: files)
    }

    /// Makes a configuration's file and its second copy anew from one of the sources that the plan names.
    ///
    /// A file that is there stays beside it as `<file>.damaged-<number>`; the path of that is returned. The generation is
    /// higher than that of every source.
    package func repair(_ plan: FileRepair, from source: FileRepair.Source) throws(StoreError) -> String? {
        guard let tree = plan.tree(of: source) else {
            throw StoreError(.notFound, "\(plan.path) cannot be made from what was named")
        }
        let file = mirrored(plan.path)
        let kept = files.exists(plan.path) ? try file.keepAside() : nil
        _ = try file.writeAnew(tree, plan.nextGeneration)
        return kept
    }
}
