internal import RoostPrimitives

/// A change of nothing but values that fit where they stand: most changes are, and need no new plan of the file.
struct ValueChange {
    /// One value: where in the tree, and what it becomes.
    struct Edit {
        /// The indices of the children on the way to the key.
        var path: [Int]
        var origin: KeyOrigin
        var value: KeyValue
    }

    private(set) var edits: [Edit] = []
    /// Whether each key of the new tree says which entry of the file it was read from.
    private(set) var hasAllOrigins = true

    /// Where the comparison is.
    private var path: [Int] = []

    /// Compares two trees; nil when more than values differ.
    init?(from old: KeyNode, to new: KeyNode) {
        guard old.value == new.value, compare(old.children, new.children) else { return nil }
    }

    private mutating func compare(_ old: [KeyNode], _ new: [KeyNode]) -> Bool {
        guard old.count == new.count else { return false }
        return old.withUnsafeBufferPointer { old in
            new.withUnsafeBufferPointer { new in
                guard let first = old.baseAddress, let second = new.baseAddress, first != second else {
                    // What a change has not touched is still shared by both trees.
                    return true
                }
                let depth = path.count
                path.append(0)
                defer { path.removeLast() }
                for index in 0..<old.count {
                    path[depth] = index
                    if !compare(first + index, second + index) { return false }
                }
                return true
            }
        }
    }

    /// By address: handing a key of an array on would copy it, and count each of its parts.
    private mutating func compare(_ old: UnsafePointer<KeyNode>, _ new: UnsafePointer<KeyNode>) -> Bool {
        guard old.pointee.flags == new.pointee.flags, old.pointee.name.hasSameBytes(as: new.pointee.name),
            new.pointee.origin == nil || new.pointee.origin == old.pointee.origin
        else { return false }
        if new.pointee.origin == nil { hasAllOrigins = false }
        if old.pointee.value == new.pointee.value { return compare(old.pointee.children, new.pointee.children) }
        guard let origin = old.pointee.origin, old.pointee.value.type == new.pointee.value.type,
            old.pointee.children.isEmpty, new.pointee.children.isEmpty,
            !old.pointee.value.needsFileObject, !new.pointee.value.needsFileObject
        else { return false }
        edits.append(Edit(path: path, origin: origin, value: new.pointee.value))
        return true
    }
}

extension StorageFile {
    /// Carries out a change of values only; nil when one does not fit where it stands.
    mutating func commitValues(_ change: ValueChange, to newTree: KeyNode, syncsLog: Bool) -> [StorageAction]? {
        guard let tables = layout?.tables, areasAreApart(tables) else { return nil }
        guard let contents = try? contents(of: tables, with: change.edits) else { return nil }
        var writes = Transaction()
        for table in contents { writes.add(table.bytes[..<table.end], at: tables.tables[table.position].offset) }
        guard fits(writes) else { return nil }
        if change.hasAllOrigins {
            // The new tree's own keys: one that has been read and changed is not copied once more.
            tree.children = newTree.children
        } else {
            for edit in change.edits { tree.setValue(edit.value, at: edit.path[...]) }
        }
        for table in contents { layout?.tables.tables[table.position].sequence &+= 1 }
        let recovery = takeRecoveryForCommit()
        let actions = recovery + logged(writes, syncsBefore: syncsLog && isLogInForce)
        StorageAction.apply(actions, to: &image)
        return actions
    }

    /// Whether no area of the file overlaps another; otherwise writing to one would change the other.
    private mutating func areasAreApart(_ layout: Layout) -> Bool {
        if hasCheckedAreas { return true }
        let start = Int(headers.current.logOffset)
        let space = try? FileSpace(
            layout.objectTables,
            log: start..<start + Int(headers.current.logSize),
            alignment: Int(headers.current.alignment),
            fileSize: image.count
        )
        hasCheckedAreas = space != nil
        return hasCheckedAreas
    }

    /// A table with new values in it.
    private struct TableContents {
        /// The table's position in ``Layout/tables``.
        var position: Int
        var bytes: [UInt8]
        /// Where the last change ends.
        var end: Int
    }

    /// The tables that hold the edited keys, as they become; nil when a value does not fit in its place.
    private func contents(of layout: Layout, with edits: [ValueChange.Edit]) throws(StorageError) -> [TableContents]? {
        try withView(image) { (view) throws(StorageError) in
            var contents: [TableContents] = []
            for edit in edits {
                guard let index = layout.entry(table: edit.origin.table, offset: edit.origin.offset) else { return nil }
                let entry = layout.entries[index]
                guard entry.sequence == edit.origin.sequence, !entry.pointsToFileObject,
                    entry.type == edit.value.type,
                    KeyEntry.headerSize + Int(entry.nameLength) + edit.value.inlineSize <= Int(entry.size)
                else { return nil }
                let position = entry.place.table
                let known = contents.firstIndex { $0.position == position }
                let at = known ?? contents.count
                if known == nil {
                    let table = layout.tables[position]
                    var next = table
                    next.sequence &+= 1
                    var bytes = view.copy(table.offset, table.size)
                    bytes.replaceSubrange(0..<KeyTable.headerSize, with: next.encodedHeader())
                    contents.append(TableContents(position: position, bytes: bytes, end: KeyTable.headerSize))
                }
                let bytes = encoded(entry, with: edit.value, view)
                let offset = entry.place.offset
                contents[at].bytes.replaceSubrange(offset..<offset + bytes.count, with: bytes)
                contents[at].end = max(contents[at].end, offset + bytes.count)
                guard reads(entry, in: contents[at].bytes, layout, as: edit.value) else { return nil }
            }
            for index in contents.indices { trim(&contents[index], layout, view) }
            return contents
        }
    }

    /// An entry up to the end of its data, with another value.
    private func encoded(_ entry: KeyEntry, with value: KeyValue, _ view: ImageView) -> [UInt8] {
        let head = KeyEntry.headerSize + Int(entry.nameLength)
        var writer = ByteWriter(capacity: head + value.inlineSize)
        writer.write(view.slice(entry.fileOffset, head))
        value.writeInline(to: &writer)
        seal(&writer, checksumAt: 12)
        return writer.bytes
    }

    /// Whether an entry that was written into a table reads back as the value that was asked for.
    private func reads(_ entry: KeyEntry, in table: [UInt8], _ layout: Layout, as value: KeyValue) -> Bool {
        var moved = entry
        moved.fileOffset = entry.place.offset
        let result = try? withView(table) { (view) throws(StorageError) in
            layout.problem(view, moved) == nil && moved.value(view) == value
        }
        return result ?? false
    }

    /// Ends a table's bytes at the last that changes.
    private func trim(_ table: inout TableContents, _ layout: Layout, _ view: ImageView) {
        let old = view.slice(layout.tables[table.position].offset, table.bytes.count)
        while table.end > 0, table.bytes[table.end - 1] == old[table.end - 1] { table.end -= 1 }
    }
}

extension KeyNode {
    /// Whether both have the same children in the same memory.
    package func sharesChildren(with other: KeyNode) -> Bool {
        children.withUnsafeBufferPointer { mine in
            other.children.withUnsafeBufferPointer { mine.baseAddress == $0.baseAddress }
        }
    }

    /// Sets the value of the key that a path of child indices leads to.
    fileprivate mutating func setValue(_ value: KeyValue, at path: ArraySlice<Int>) {
        guard let index = path.first else {
            self.value = value
            return
        }
        children[index].setValue(value, at: path.dropFirst())
    }
}
