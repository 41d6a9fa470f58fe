/// What the store found wrong with a file and has put right, or could not: for the log, and for who watches the host.
package struct StorageReport: Sendable, Hashable, CustomStringConvertible {
    /// What was done.
    package enum Action: Sendable, Hashable {
        /// The file was damaged: it was made anew from its second copy, and the damaged one is kept at `keptAs`.
        case restored(keptAs: String?)
        /// The file and its second copy were damaged: both were made anew from what this process knows.
        case remade(keptAs: String?)
        /// A change that a power cut had interrupted stood only in the second copy; it was completed.
        case completed
        /// The second copy was missing, damaged or older; it was written anew from the file.
        case copyRefreshed
        /// Another program has changed the file; the second copy has the change now.
        case changeAccepted
        /// Blocks that no key depends on were not as last written; the second copy knows them as they are now.
        case blocksNoted
        /// One of the two headers of the file was damaged, and is written anew from the other.
        case headerRepaired
        /// Something is wrong that could not be put right now; nothing was changed.
        case failed
    }

    /// The file it is about.
    package var path: String
    package var action: Action
    /// What was found: structure, offset, and what was expected there.
    package var problems: [String]
    /// The configuration's generation afterwards.
    package var generation: UInt64

    package var description: String {
        let what =
            switch action {
            case .restored(let kept):
                "\(path) was damaged and is whole again, made from its second copy"
                    + (kept.map { "; the damaged file is kept as \($0)" } ?? "")
            case .remade(let kept):
                "\(path) and its second copy were damaged, and are made anew as roostd knows them"
                    + (kept.map { "; the damaged file is kept as \($0)" } ?? "")
            case .completed: "a change of \(path) that was cut off is complete, made from its second copy"
            case .copyRefreshed: "the second copy of \(path) was written anew"
            case .changeAccepted: "another program has changed \(path); the change counts"
            case .blocksNoted:
                "blocks of \(path) that no key depends on were not as written; they count as they are now"
            case .headerRepaired: "a header of \(path) was damaged and is written anew from the other"
            case .failed: "the second copy of \(path) cannot be brought up to date"
            }
        return problems.isEmpty ? what : "\(what) (\(problems.joined(separator: "; ")))"
    }
}
