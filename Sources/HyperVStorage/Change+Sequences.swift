extension Change {
    /// Gives every key its insertion sequence, with as few stored ones changed as the new order allows.
    mutating func assignSequences(_ layout: Layout, _ hierarchy: Hierarchy, _ view: ImageView) {
        for index in items.indices where items[index].node.value == .node {
            let entry = items[index].entry
            let known = entry.map { layout.entries[$0].isNode } ?? (index == 0)
            var next = known ? entry.map { layout.entries[$0].nextSequence(view) } ?? 0 : 0
            for child in known ? hierarchy.children(of: entry) : [] {
                // A sequence freed now is not given again: two keys of that name would be hard to tell apart.
                next = max(next, layout.entries[Int(child)].sequence.addingClamped(1))
            }
            assign(childrenOf: index, next: next, layout, hierarchy)
        }
    }

    private mutating func assign(childrenOf parent: Int, next: UInt32, _ layout: Layout, _ hierarchy: Hierarchy) {
        let children = items[parent].children
        let parentEntry = Int32(truncatingIfNeeded: items[parent].entry ?? -1)
        let stored = children.map { (child) -> UInt32? in
            guard let entry = items[child].entry, hierarchy.parents[entry] == parentEntry,
                parent == 0 || items[parent].entry != nil
            else { return nil }
            return layout.entries[entry].sequence
        }
        var sequences = Self.sequences(stored, next: next) { items[children[$0]].node.value == .node }
        if sequences == nil {
            // The numbers are used up: start again from 1.
            sequences = Self.sequences(stored.map { _ in nil }, next: 0) { _ in true }
        }
        var highest: UInt32 = 0
        for (child, sequence) in zip(children, sequences ?? []) {
            update(child) { $0.sequence = sequence }
            highest = max(highest, sequence)
        }
        let following = children.isEmpty ? 0 : highest.addingClamped(1)
        update(parent) { $0.next = next == UInt32.max ? following : max(next, following) }
    }

    /// Ascending sequences for children that have the `stored` ones, nil for a new child; nil when there are too few.
    ///
    /// The longest ascending run of stored sequences is kept. The children between two kept ones share the gap; where
    /// it is too small, the next kept one is given up too. Children at the end continue from `next` as Hyper-V does:
    /// nodes one apart, values two.
    static func sequences(_ stored: [UInt32?], next: UInt32, isNode: (Int) -> Bool) -> [UInt32]? {
        var result = stored
        let kept = longestAscending(stored)
        for index in result.indices where !kept[index] { result[index] = nil }
        var previous: UInt64 = 0
        var index = 0
        while index < result.count {
            if let sequence = result[index], UInt64(sequence) > previous {
                previous = UInt64(sequence)
                index += 1
                continue
            }
            var end = index
            while end < result.count {
                if let sequence = result[end], UInt64(sequence) > previous + UInt64(end - index) { break }
                end += 1
            }
            if end < result.count, let limit = result[end] {
                let step = max((UInt64(limit) - previous) / UInt64(end - index + 1), 1)
                for position in index..<end {
                    previous += min(step, 2)
                    result[position] = UInt32(clamping: previous)
                }
            } else {
                previous = max(previous, next == 0 ? 0 : UInt64(next) - 1)
                for position in index..<end {
                    previous += isNode(position) ? 1 : 2
                    result[position] = UInt32(clamping: previous)
                }
            }
            index = end
        }
        return previous >= UInt64(UInt32.max) ? nil : result.compactMap { $0 }
    }

    /// Marks a longest strictly ascending subsequence of the values that are not nil and not 0.
    static func longestAscending(_ values: [UInt32?]) -> [Bool] {
        var tails: [Int] = []
        var previous = Array(repeating: -1, count: values.count)
        for (index, value) in values.enumerated() {
            guard let value, value > 0 else { continue }
            var (low, high) = (0, tails.count)
            while low < high {
                let middle = (low + high) / 2
                if values[tails[middle]] ?? 0 < value { low = middle + 1 } else { high = middle }
            }
            previous[index] = low > 0 ? tails[low - 1] : -1
            if low == tails.count { tails.append(index) } else { tails[low] = index }
        }
        var kept = Array(repeating: false, count: values.count)
        var index = tails.last ?? -1
        while index >= 0 {
            kept[index] = true
            index = previous[index]
        }
        return kept
    }
}

extension UInt32 {
    /// The sum, or the largest value when it does not fit.
    func addingClamped(_ other: UInt32) -> UInt32 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
