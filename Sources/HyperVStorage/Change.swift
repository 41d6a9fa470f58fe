/// A tree that is to be stored, key by key, and which stored entry each key takes over.
///
/// A key takes over the entry that it was read from when it is still a child of the same parent; keys without a known
/// entry take over one of the same name there, so that a tree built anew changes only what differs. A moved key takes
/// its entry along. No entry is taken twice, and entries that nobody takes are freed. All this only saves writing:
/// whatever a key takes over, it is stored with exactly the name, value, flags, parent and order it has in the tree.
struct Change {
    /// One key to be stored.
    struct Item {
        var node: KeyNode
        /// The parent's item; the root's is -1.
        var parent: Int
        /// The items of the children, in order.
        var children: [Int] = []
        /// The stored entry that the key takes over.
        var entry: Int?
        var sequence: UInt32 = 0
        /// For a node, its "next insertion sequence".
        var next: UInt32 = 0
        /// Where the key goes.
        var place = EntryPlace(table: 0, offset: 0)
        /// The size of its entry there, slack included.
        var size = 0
        /// Whether the stored data are kept byte for byte.
        var keepsData = false
        /// The area of its file object, when the value is stored in one.
        var fileObject: Range<Int>?
    }

    /// The keys, parents before children; the first is the root, which is not stored.
    private(set) var items: [Item] = []
    /// For each stored entry, whether a key has taken it over.
    private(set) var taken: [Bool]

    /// Checks a tree and finds out which entries its keys take over.
    ///
    /// - Throws: ``StorageError/Code/invalidTree`` for a tree that the format cannot hold.
    init(_ tree: KeyNode, _ layout: Layout, _ hierarchy: Hierarchy, _ view: ImageView) throws(StorageError) {
        taken = Array(repeating: false, count: layout.entries.count)
        items.reserveCapacity(layout.entries.count + 16)
        try flatten(tree, parent: -1, depth: 0)
        takeOverInPlace(layout, hierarchy, view)
        takeOverMoved(layout, hierarchy, view)
        for index in items.indices { try checkName(of: index, layout, view) }
    }

    /// Changes one item.
    mutating func update(_ index: Int, _ body: (inout Item) -> Void) { body(&items[index]) }

    // MARK: - Shape

    private mutating func flatten(_ node: KeyNode, parent: Int, depth: Int) throws(StorageError) {
        guard depth <= Hierarchy.deepest else {
            throw invalid(node, "keys are nested deeper than \(Hierarchy.deepest) levels")
        }
        guard node.value == .node || node.children.isEmpty, depth > 0 || node.value == .node else {
            throw invalid(node, "only a key without a value has children")
        }
        let index = items.count
        items.append(Item(node: node, parent: parent))
        if parent >= 0 { items[parent].children.append(index) }
        for child in node.children { try flatten(child, parent: index, depth: depth + 1) }
    }

    /// Refuses a name that the format cannot hold; one that is stored already stays as it is.
    private func checkName(of index: Int, _ layout: Layout, _ view: ImageView) throws(StorageError) {
        let item = items[index]
        guard index > 0 else { return }
        let name = item.node.name
        if let entry = item.entry, layout.entries[entry].name(view).hasSameBytes(as: name) { return }
        let count = name.utf8.count
        guard count > 0, count <= KeyEntry.longestName else {
            throw invalid(item.node, "a name has 1 to \(KeyEntry.longestName) bytes of UTF-8, this one \(count)")
        }
        guard !name.utf8.contains(0), !name.utf8.contains(UInt8(ascii: "/")) else {
            throw invalid(item.node, "a name has no NUL and no slash")
        }
    }

    private func invalid(_ node: KeyNode, _ detail: String) -> StorageError {
        StorageError(.invalidTree, .tree, at: nil, "key \"\(node.name.prefix(80))\": \(detail)")
    }

    // MARK: - Entries

    /// Lets keys take over the entries they have below the same parent.
    private mutating func takeOverInPlace(_ layout: Layout, _ hierarchy: Hierarchy, _ view: ImageView) {
        matchChildren(of: 0, entry: nil, layout, hierarchy, view)
        for index in items.indices.dropFirst() {
            guard let entry = items[index].entry else { continue }
            matchChildren(of: index, entry: entry, layout, hierarchy, view)
        }
    }

    /// Lets the keys left over take their entries along from wherever they were.
    private mutating func takeOverMoved(_ layout: Layout, _ hierarchy: Hierarchy, _ view: ImageView) {
        for index in items.indices.dropFirst() where items[index].entry == nil {
            guard let entry = origin(of: index, layout), !taken[entry] else { continue }
            take(entry, index)
        }
        for index in items.indices.dropFirst() {
            guard let entry = items[index].entry, items[index].children.contains(where: { items[$0].entry == nil })
            else { continue }
            matchChildren(of: index, entry: entry, layout, hierarchy, view)
        }
    }

    private mutating func matchChildren(
        of parent: Int,
        entry: Int?,
        _ layout: Layout,
        _ hierarchy: Hierarchy,
        _ view: ImageView
    ) {
        let parentEntry = Int32(truncatingIfNeeded: entry ?? -1)
        var unmatched: [Int] = []
        for child in items[parent].children where items[child].entry == nil {
            if let entry = origin(of: child, layout), !taken[entry], hierarchy.parents[entry] == parentEntry {
                take(entry, child)
            } else {
                unmatched.append(child)
            }
        }
        guard !unmatched.isEmpty else { return }
        var byName: [[UInt8]: [Int]] = [:]
        for entry in hierarchy.children(of: entry).reversed() where !taken[Int(entry)] {
            byName[Array(layout.entries[Int(entry)].name(view).utf8), default: []].append(Int(entry))
        }
        guard !byName.isEmpty else { return }
        for child in unmatched {
            if let entry = byName[Array(items[child].node.name.utf8)]?.popLast() { take(entry, child) }
        }
    }

    private mutating func take(_ entry: Int, _ item: Int) {
        taken[entry] = true
        items[item].entry = entry
    }

    /// The entry that a key was read from, if the file still has it.
    private func origin(of index: Int, _ layout: Layout) -> Int? {
        guard let origin = items[index].node.origin,
            let entry = layout.entry(table: origin.table, offset: origin.offset),
            layout.entries[entry].sequence == origin.sequence
        else { return nil }
        return entry
    }
}
