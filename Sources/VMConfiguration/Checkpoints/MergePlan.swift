/// What becomes of a machine's disk files when some of its checkpoints are given up.
///
/// A file is one layer: what it does not hold is read from the file that it stands on. A file that only one other stands
/// on, and that no state that stays begins with, is not needed as such: the upper one's content goes into it, and it
/// takes the upper one's place. That costs as much as was written since, not as much as the disk holds, and the file
/// with the disk's own name stays.
package struct MergePlan: Hashable, Sendable {
    /// One thing to be done; every state that stays reads the same before, behind and in the middle of it.
    package enum Step: Hashable, Sendable {
        /// Write what the upper file holds into the lower one, let whatever stands on the upper one stand on the lower
        /// one, and delete the upper one.
        case merge(upper: String, lower: String)
        /// Delete a file that nobody needs.
        case delete(String)
    }

    /// What is to be done, in order.
    package private(set) var steps: [Step] = []
    /// The files that states begin with and that have another name afterwards: the old to the new.
    package private(set) var replacements: [String: String] = [:]

    private var parents: [String: String]
    private var tops: Set<String>
    private var spare: Set<String>
    private let untouchable: Set<String>

    /// Works out the steps.
    ///
    /// - Parameters:
    ///   - parents: the file that each file stands on; one that stands on none is not among the keys.
    ///   - tops: the files that the states that stay begin with.
    ///   - spare: the files that are not needed for themselves any more.
    ///   - untouchable: files that somebody else uses too; they stay as they are.
    package init(parents: [String: String], tops: Set<String>, spare: Set<String>, untouchable: Set<String>) {
        self.parents = parents
        self.tops = tops
        self.spare = spare.subtracting(untouchable)
        self.untouchable = untouchable
        for top in tops { replacements[top] = top }
        while let step = next() { carryOut(step) }
        replacements = replacements.filter { $0.key != $0.value }
    }

    /// All files that the states that stay are read from.
    private var live: Set<String> {
        var live: Set<String> = []
        for top in tops {
            var file: String? = top
            while let next = file, live.insert(next).inserted { file = parents[next] }
        }
        return live
    }

    private func next() -> Step? {
        let live = live
        for file in spare.sorted() {
            guard live.contains(file) else {
                // Only what nothing stands on: an untouchable file may.
                if !parents.values.contains(file) { return .delete(file) }
                continue
            }
            guard !tops.contains(file) else { continue }
            let above = parents.filter { $0.value == file }.keys
            if above.count == 1, let upper = above.first, live.contains(upper), !untouchable.contains(upper) {
                return .merge(upper: upper, lower: file)
            }
        }
        return nil
    }

    private mutating func carryOut(_ step: Step) {
        steps.append(step)
        switch step {
        case .delete(let file):
            parents[file] = nil
            spare.remove(file)
        case .merge(let upper, let lower):
            for (file, parent) in parents where parent == upper { parents[file] = lower }
            parents[upper] = nil
            // The lower file is from now on what the upper one was.
            if !spare.contains(upper) { spare.remove(lower) }
            spare.remove(upper)
            if tops.remove(upper) != nil { tops.insert(lower) }
            for (old, new) in replacements where new == upper { replacements[old] = lower }
        }
    }
}
