import HyperVStorage

/// What was found at the path of a second copy.
enum CopyFile: Sendable {
    /// There is none.
    case missing
    /// It cannot be read.
    case unreadable(reason: String)
    /// Its slots.
    case present(ConfigurationCopy)
}

/// Which of a file and its second copy counts: a function of what was found, without I/O.
///
/// The cases are the table in `docs/design/0004-second-copy.md`.
enum Reconciliation: Sendable {
    /// Both agree.
    case agree
    /// Both agree, but for blocks of the file that no key depends on.
    case agreeButForBlocks([Int])
    /// Both agree, but one of the file's two headers, or what follows it in its block, is damaged.
    case repairHeaders(problems: [String])
    /// Both agree, but the copy does not know when the file was last changed.
    case renewTime
    /// The file counts; the second copy is to be written anew.
    case refreshCopy(problems: [String])
    /// The file is damaged, and the second copy has its last state.
    case restore(CopyContent, problems: [String])
    /// The second copy is one change ahead and knows the file as the state before.
    case complete(CopyContent)
    /// Another program has changed the file.
    case accept(problems: [String])
    /// Nobody can say what counts.
    case conflict(StoreError)

    /// Decides.
    ///
    /// - Parameter restoresMissing: whether a missing file comes back from its copy; otherwise somebody deleted it.
    init(_ path: String, _ primary: PrimaryFile, _ copy: CopyFile, restoresMissing: Bool) {
        switch primary {
        case .sound(let content): self = Self.sound(path, content, copy)
        case .damaged(let problems, let generation):
            self = Self.damaged(path, problems, generation, copy)
        case .missing: self = Self.missing(path, copy, restores: restoresMissing)
        }
    }

    // MARK: - The file can be read

    private static func sound(_ path: String, _ content: PrimaryContent, _ copy: CopyFile) -> Self {
        let found: ConfigurationCopy
        switch copy {
        case .missing: return .refreshCopy(problems: ["there was no second copy"])
        case .unreadable(let reason): return .refreshCopy(problems: [reason])
        case .present(let present): found = present
        }
        guard let newest = found.newest?.content else {
            if let claimed = found.claimedGeneration, claimed > content.generation + 1 {
                return older(path, content.generation, claimed)
            }
            return .refreshCopy(problems: found.problems)
        }
        if content.isDamaged(since: newest) {
            let blocks = content.differingBlocks(from: newest)
            return .restore(newest, problems: blocks.prefix(8).map { describe(block: $0, content) })
        }
        if newest.generation < content.generation {
            return .refreshCopy(
                problems: ["the second copy had generation \(newest.generation), the file \(content.generation)"]
            )
        }
        if newest.generation == content.generation { return sameGeneration(content, found, newest) }
        if let previous = found.previous, newest.generation == content.generation + 1,
            previous.generation == content.generation, previous.tree?.children == content.tree.children
        {
            return .complete(newest)
        }
        // Another program's change was being accepted: the same keys, with the next generation.
        if newest.generation == content.generation + 1,
            newest.tree?.withoutGeneration().children == content.tree.withoutGeneration().children
        {
            return .complete(newest)
        }
        // With a log that cannot be read the file may be between two states.
        if content.logWasDiscarded, found.isComplete {
            return .restore(newest, problems: ["the replay log cannot be read"])
        }
        return older(path, content.generation, newest.generation)
    }

    private static func sameGeneration(
        _ content: PrimaryContent,
        _ found: ConfigurationCopy,
        _ newest: CopyContent
    ) -> Self {
        let blocks = content.differingBlocks(from: newest)
        guard blocks.isEmpty || newest.tree?.children == content.tree.children else {
            let problems = blocks.prefix(8).map { describe(block: $0, content) }
            if content.logWasDiscarded || content.isDamaged(inBlocks: blocks) {
                return .restore(newest, problems: problems)
            }
            return .accept(problems: problems)
        }
        if !found.problems.isEmpty { return .refreshCopy(problems: found.problems) }
        if !blocks.isEmpty { return .agreeButForBlocks(blocks) }
        if content.changed != newest.changed { return .renewTime }
        let headers = content.storage?.headerProblems() ?? []
        return headers.isEmpty ? .agree : .repairHeaders(problems: headers)
    }

    private static func describe(block: Int, _ content: PrimaryContent) -> String {
        let use = content.storage?.blockUses()
        let name = use.flatMap { block < $0.count ? $0[block].rawValue : nil } ?? "text"
        return "the block at 0x\(String(block * StorageFile.blockSize, radix: 16, uppercase: true)) (\(name)) differs"
    }

    private static func older(_ path: String, _ generation: UInt64, _ newest: UInt64) -> Self {
        .conflict(
            StoreError(
                .corrupt,
                "\(path) is older than its second copy: generation \(generation), the copy has \(newest); "
                    + "an older file was put in its place, or writes were lost: "
                    + "roost file repair takes the newer state, or the file when --keep-file says so"
            )
        )
    }

    // MARK: - The file cannot be read

    private static func damaged(_ path: String, _ problems: [String], _ generation: UInt64?, _ copy: CopyFile) -> Self {
        func broken(_ reason: String) -> Self {
            .conflict(
                StoreError(
                    .corrupt,
                    "cannot read \(path): roost file repair --dry-run says what can be saved",
                    cause: (problems + ["its second copy: \(reason)"]).joined(separator: "; ")
                )
            )
        }
        switch copy {
        case .missing: return broken("there is none")
        case .unreadable(let reason): return broken(reason)
        case .present(let found):
            guard let newest = found.newest?.content else {
                return broken(found.problems.joined(separator: "; "))
            }
            guard found.isComplete else {
                return broken(
                    "it has generation \(newest.generation) and may have had a newer one: "
                        + found.problems.joined(separator: "; ")
                )
            }
            if let generation, generation > newest.generation {
                return broken(
                    "it has generation \(newest.generation), which is older than the file's \(generation)"
                )
            }
            return .restore(newest, problems: problems)
        }
    }

    private static func missing(_ path: String, _ copy: CopyFile, restores: Bool) -> Self {
        if case .present(let found) = copy, let newest = found.newest?.content {
            if restores, found.isComplete { return .restore(newest, problems: ["the file is missing"]) }
            return .conflict(
                StoreError(
                    .notFound,
                    "\(path) is missing, and its second copy has generation \(newest.generation): "
                        + "stop roostd and let roost file repair make it anew, or remove the machine, which keeps the copy under "
                        + "another name"
                )
            )
        }
        return .conflict(StoreError(.notFound, "\(path) does not exist"))
    }
}

extension ConfigurationCopy {
    /// What is wrong with the copy itself.
    var problems: [String] {
        damagedSlots.map { "slot \($0) at 0x\(String($0 * slotSize, radix: 16, uppercase: true)) is damaged" }
            + dirtyTails.map { "0x\(String($0, radix: 16, uppercase: true)) is not zero" }
            + unreadable.map { range in
                "the device cannot read \(range.count) bytes at 0x\(String(range.lowerBound, radix: 16, uppercase: true))"
            }
    }

    /// The highest generation that a damaged slot's header names.
    var claimedGeneration: UInt64? {
        slots.compactMap { slot in
            if case .damaged(let header?) = slot, !header.isBlank { header.generation } else { nil }
        }.max()
    }
}
