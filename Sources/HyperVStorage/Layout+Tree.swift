/// Which entry is whose child: for each parent, its children in order.
struct Hierarchy {
    /// How deep keys may be nested; real files have about ten levels.
    static let deepest = 128

    /// Entry indices grouped by parent and ordered by insertion sequence, then by place.
    private var order: [Int32] = []
    /// For each parent (0 is the root, entry `n` is `n + 1`) where its group starts; one more for the end.
    private var starts: [Int32] = []
    /// For each entry its parent's index; -1 for a child of the root.
    private(set) var parents: [Int32] = []

    /// The children of an entry, or of the root for nil.
    func children(of parent: Int?) -> ArraySlice<Int32> {
        let group = (parent ?? -1) + 1
        return order[Int(starts[group])..<Int(starts[group + 1])]
    }

    /// Finds every entry's parent, wherever in the file it stands.
    init(_ layout: Layout, _ diagnosis: inout Diagnosis) throws(StorageError) {
        let count = layout.entries.count
        parents = Array(repeating: -2, count: count)
        starts = Array(repeating: 0, count: count + 2)
        // Mostly the one behind another has the same parent.
        var last: (table: UInt16, offset: UInt32, parent: Int)?
        for index in 0..<count {
            let entry = layout.entries[index]
            if entry.parentTable == 0 {
                parents[index] = -1
            } else if let known = last, known.table == entry.parentTable, known.offset == entry.parentOffset {
                parents[index] = Int32(truncatingIfNeeded: known.parent)
            } else if let parent = layout.entry(table: entry.parentTable, offset: entry.parentOffset),
                layout.entries[parent].isNode
            {
                parents[index] = Int32(truncatingIfNeeded: parent)
                last = (entry.parentTable, entry.parentOffset, parent)
            } else {
                try diagnosis.fail(
                    StorageError(
                        .corrupt,
                        .keyEntry,
                        at: entry.fileOffset,
                        "its parent, table \(entry.parentTable) offset \(entry.parentOffset), is no node"
                    )
                )
                continue
            }
            starts[Int(parents[index]) + 2] += 1
        }
        for group in 1..<starts.count { starts[group] += starts[group - 1] }
        fill(layout)
    }

    /// Puts each entry into its parent's group and sorts the groups.
    private mutating func fill(_ layout: Layout) {
        order = Array(repeating: 0, count: Int(starts[starts.count - 1]))
        var next = starts
        for index in parents.indices where parents[index] >= -1 {
            let group = Int(parents[index]) + 1
            order[Int(next[group])] = Int32(truncatingIfNeeded: index)
            next[group] += 1
        }
        for group in 0..<starts.count - 1 {
            let range = Int(starts[group])..<Int(starts[group + 1])
            // Entries were added by place, so most groups are in order already and a stable sort keeps ties.
            for position in range.dropFirst()
            where layout.entries[Int(order[position - 1])].sequence > layout.entries[Int(order[position])].sequence {
                order[range].sort {
                    let (left, right) = (layout.entries[Int($0)].sequence, layout.entries[Int($1)].sequence)
                    return left == right ? $0 < $1 : left < right
                }
                break
            }
        }
    }
}

extension Layout {
    /// The keys as a tree below a root without a name.
    ///
    /// - Parameter prefix: the first byte of the names, two levels below the root, that are left out with all below them.
    func tree(
        _ view: ImageView,
        _ hierarchy: Hierarchy,
        leavingOut prefix: UInt8? = nil,
        _ diagnosis: inout Diagnosis
    ) throws(StorageError) -> KeyNode {
        var root = KeyNode("")
        var reached = 0
        root.children = try nodes(view, hierarchy, below: nil, depth: 1, leavingOut: prefix, &reached, &diagnosis)
        // A node that is its own ancestor is nobody's descendant.
        if reached != entries.count, !diagnosis.collects {
            throw StorageError(
                .corrupt,
                .tree,
                at: nil,
                "\(entries.count - reached) keys are not connected to the root"
            )
        }
        return root
    }

    /// The keys whose parent is not there, each with what is below it.
    func orphans(_ view: ImageView, _ hierarchy: Hierarchy, _ diagnosis: inout Diagnosis) throws(StorageError)
        -> [KeyNode]
    {
        var found: [KeyNode] = []
        for index in entries.indices where hierarchy.parents[index] == -2 {
            let entry = entries[index]
            var node = KeyNode(entry.name(view), entry.value(view), flags: entry.flags & ~KeyEntry.inFileObject)
            var reached = 0
            if entry.isNode {
                node.children = try nodes(view, hierarchy, below: index, depth: 1, &reached, &diagnosis)
            }
            found.append(node)
        }
        return found
    }

    private func nodes(
        _ view: ImageView,
        _ hierarchy: Hierarchy,
        below parent: Int?,
        depth: Int,
        leavingOut prefix: UInt8? = nil,
        _ reached: inout Int,
        _ diagnosis: inout Diagnosis
    ) throws(StorageError) -> [KeyNode] {
        let group = hierarchy.children(of: parent)
        guard !group.isEmpty else { return [] }
        guard depth <= Hierarchy.deepest else {
            try diagnosis.fail(
                StorageError(.tooLarge, .tree, at: nil, "keys are nested deeper than \(Hierarchy.deepest) levels")
            )
            return []
        }
        var nodes: [KeyNode] = []
        nodes.reserveCapacity(group.count)
        for child in group {
            let index = Int(child)
            let entry = entries[index]
            reached += 1
            if depth == 2, let prefix, view.load(entry.nameOffset, as: UInt8.self) == prefix {
                reached += count(hierarchy, below: index, depth: depth)
                continue
            }
            var node = KeyNode(entry.name(view), entry.value(view), flags: entry.flags & ~KeyEntry.inFileObject)
            node.origin = KeyOrigin(
                table: tables[Int(entry.table)].index,
                offset: entry.offset,
                sequence: entry.sequence
            )
            if entry.isNode {
                node.children = try self.nodes(
                    view,
                    hierarchy,
                    below: index,
                    depth: depth + 1,
                    leavingOut: prefix,
                    &reached,
                    &diagnosis
                )
            }
            nodes.append(node)
        }
        return nodes
    }

    /// How many keys stand below one; those that are nested too deep are not counted.
    private func count(_ hierarchy: Hierarchy, below parent: Int, depth: Int) -> Int {
        guard depth < Hierarchy.deepest else { return 0 }
        let children = hierarchy.children(of: parent)
        return children.reduce(children.count) { $0 + count(hierarchy, below: Int($1), depth: depth + 1) }
    }
}
