internal import RoostPrimitives

/// What storing a tree changes in a file: new areas, and new contents of tables that are there already.
struct ChangePlan {
    /// Where the keys go.
    private(set) var change: Change
    private(set) var keys: KeySpace
    private(set) var space: FileSpace
    /// The key tables of the file whose contents change, complete.
    private(set) var changedTables: [(offset: Int, old: [UInt8], new: [UInt8])] = []
    /// Areas that the stored state does not use: new key tables and file objects.
    private(set) var newAreas: [(offset: Int, bytes: [UInt8])] = []
    /// Where the arrays of some names stand already.
    private let placements: [String: Range<Int>]

    /// Works out how to store `tree` in a file.
    ///
    /// - Parameter placements: where the arrays of some names stand already.
    init(
        _ tree: KeyNode,
        _ view: ImageView,
        _ layout: Layout,
        _ hierarchy: Hierarchy,
        log: Range<Int>,
        alignment: Int,
        placements: [String: Range<Int>] = [:]
    ) throws(StorageError) {
        self.placements = placements
        change = try Change(tree, layout, hierarchy, view)
        change.assignSequences(layout, hierarchy, view)
        keys = KeySpace(layout, tableSize: alignment)
        space = try FileSpace(layout.objectTables, log: log, alignment: alignment, fileSize: view.count)
        try placeKeys(view, layout)
        if keys.tables.isEmpty { try keys.addTable() }
        for table in layout.tables.count..<keys.tables.count {
            let area = try space.allocate(ObjectEntry.Kind.keyTable, size: alignment)
            keys.place(table: table, at: area.lowerBound)
        }
        try placeFileObjects(view, layout)
        writeTables(view, layout)
    }

    /// Frees the area of a replay log that has moved.
    mutating func releaseLog(_ area: Range<Int>) { space.list(area) }

    /// Takes an area for a replay log at the file's end.
    mutating func reserveLog(size: Int) throws(StorageError) -> Range<Int> {
        try space.reserve(size: size, atEnd: true)
    }

    /// Enters all areas into the object tables; nothing can be taken or freed afterwards.
    mutating func finish() throws(StorageError) {
        try space.finish()
        for table in space.objectTables.dropFirst(space.storedTableCount) {
            newAreas.append((table.offset, table.encoded()))
        }
    }

    // MARK: - Places

    /// Keeps entries where they fit, frees the others, and finds room for what is new.
    private mutating func placeKeys(_ view: ImageView, _ layout: Layout) throws(StorageError) {
        var homeless: [Int] = []
        for index in change.items.indices.dropFirst() {
            guard let stored = change.items[index].entry.map({ layout.entries[$0] }) else {
                homeless.append(index)
                continue
            }
            let node = change.items[index].node
            let sameName = stored.name(view).hasSameBytes(as: node.name)
            let keeps =
                sameName && stored.type == node.value.type && stored.value(view) == node.value
                && stored.type != KeyEntry.Kind.node
            let need = KeyEntry.headerSize + node.name.utf8.count + 1 + node.value.inlineSize
            if keeps || need <= Int(stored.size) {
                change.update(index) {
                    $0.keepsData = keeps
                    $0.place = stored.place
                    $0.size = Int(stored.size)
                }
            } else {
                keys.release(stored.place, size: Int(stored.size))
                homeless.append(index)
            }
        }
        for (entry, stored) in layout.entries.enumerated() where !change.taken[entry] {
            keys.release(stored.place, size: Int(stored.size))
        }
        for index in homeless {
            let node = change.items[index].node
            let placed = placements[node.name] != nil
            let need = KeyEntry.headerSize + node.name.utf8.count + 1 + (placed ? 12 : node.value.inlineSize)
            let hasSpare = node.value != .node && !node.value.needsFileObject && !placed
            let found = try keys.allocate(need: need, spare: hasSpare ? KeyEntry.spare : 0)
            change.update(index) { ($0.place, $0.size) = (found.place, found.size) }
        }
    }

    /// Finds areas for large values, writes them, and frees those of values that are gone.
    private mutating func placeFileObjects(_ view: ImageView, _ layout: Layout) throws(StorageError) {
        var kept: Set<Int> = []
        for index in change.items.indices.dropFirst() {
            let item = change.items[index]
            if item.keepsData {
                if let entry = item.entry, layout.entries[entry].pointsToFileObject { kept.insert(entry) }
                continue
            }
            if let area = placements[item.node.name] {
                space.list(area, as: ObjectEntry.Kind.fileObject)
                change.update(index) { $0.fileObject = area }
                continue
            }
            guard item.node.value.needsFileObject else { continue }
            var bytes = item.node.value.contents
            guard bytes.count <= Int(Int32.max) - 0x10000 else {
                throw StorageError(.tooLarge, .fileObject, at: nil, "a value of \(bytes.count) bytes")
            }
            let area = try space.allocate(ObjectEntry.Kind.fileObject, size: bytes.count)
            change.update(index) { $0.fileObject = area.lowerBound..<area.lowerBound + bytes.count }
            bytes.append(contentsOf: repeatElement(0, count: area.count - bytes.count))
            newAreas.append((area.lowerBound, bytes))
        }
        // Two entries of a foreign file may share an object; it goes only with the last.
        var stillUsed: Set<UInt64> = []
        for entry in kept { stillUsed.insert(view.load(layout.entries[entry].dataOffset + 4, as: UInt64.self)) }
        for (index, entry) in layout.entries.enumerated() where entry.pointsToFileObject && !kept.contains(index) {
            let offset = view.load(entry.dataOffset + 4, as: UInt64.self)
            guard stillUsed.insert(offset).inserted, let object = layout.fileObject(at: offset) else { continue }
            space.release(object.area)
        }
    }

    // MARK: - Contents

    /// Makes the new contents of every key table that changes.
    private mutating func writeTables(_ view: ImageView, _ layout: Layout) {
        var contents: [Int: [UInt8]] = [:]
        func edit(_ table: Int, _ offset: Int, _ bytes: [UInt8]) {
            if contents[table] == nil { contents[table] = original(table, view, layout) }
            contents[table]?.replaceSubrange(offset..<offset + bytes.count, with: bytes)
        }
        for table in keys.tables.indices {
            let old = table < layout.free.count ? Set(layout.free[table]) : []
            for area in keys.free[table] where !old.contains(area) { edit(table, area.offset, area.encoded()) }
        }
        for index in change.items.indices.dropFirst() {
            let item = change.items[index]
            guard let bytes = encodedIfChanged(item, view, layout) else { continue }
            edit(item.place.table, item.place.offset, bytes)
        }
        for (table, var bytes) in contents.sorted(by: { $0.key < $1.key }) {
            if table < layout.tables.count { keys.advanceSequence(of: table) }
            bytes.replaceSubrange(0..<KeyTable.headerSize, with: keys.tables[table].encodedHeader())
            let offset = keys.tables[table].offset
            if table < layout.tables.count {
                changedTables.append((offset, original(table, view, layout), bytes))
            } else {
                newAreas.append((offset, bytes))
            }
        }
    }

    /// A table's bytes as stored; zeros for a new one.
    private func original(_ table: Int, _ view: ImageView, _ layout: Layout) -> [UInt8] {
        guard table < layout.tables.count else { return Array(repeating: 0, count: keys.tables[table].size) }
        return view.copy(layout.tables[table].offset, layout.tables[table].size)
    }

    /// The bytes of a key's entry without what follows its data; nil when the file has it just so.
    private func encodedIfChanged(_ item: Change.Item, _ view: ImageView, _ layout: Layout) -> [UInt8]? {
        let stored = item.entry.map { layout.entries[$0] }
        if let stored, isUnchanged(item, stored, view) { return nil }
        var writer = ByteWriter(capacity: item.size)
        let keepsPointer = item.keepsData && stored?.pointsToFileObject == true
        let flags = item.node.flags & ~KeyEntry.inFileObject
        writer.write(item.node.value.type)
        writer.write(flags | (keepsPointer || item.fileObject != nil ? KeyEntry.inFileObject : 0))
        writer.write(UInt32(clamping: item.size))
        if item.parent == 0 {
            // What a child of the root has as parent offset means nothing; it stays as it is.
            writer.write(UInt16(0))
            writer.write(stored?.parentTable == 0 ? stored?.parentOffset ?? 0 : 0)
        } else {
            let parent = change.items[item.parent].place
            writer.write(keys.tables[parent.table].index)
            writer.write(UInt32(clamping: parent.offset))
        }
        writer.write(UInt32(0))
        writer.write(item.sequence)
        if let stored, stored.name(view).hasSameBytes(as: item.node.name) {
            writer.write(stored.nameLength)
            writer.write(view.slice(stored.nameOffset, Int(stored.nameLength)))
        } else {
            writer.write(UInt8(clamping: item.node.name.utf8.count + 1))
            writer.write(item.node.name.utf8)
            writer.write(UInt8(0))
        }
        writeData(of: item, stored, view, to: &writer)
        seal(&writer, checksumAt: 12)
        if let stored, stored.place == item.place,
            view.slice(stored.fileOffset, writer.count).elementsEqual(writer.bytes)
        {
            return nil
        }
        // A new entry starts with clean slack; one that is rewritten in place keeps its old tail, as Hyper-V does.
        if stored?.place != item.place { writer.pad(to: item.size) }
        return writer.bytes
    }

    /// Whether an entry can be seen to stay as it is without making its bytes.
    private func isUnchanged(_ item: Change.Item, _ stored: KeyEntry, _ view: ImageView) -> Bool {
        guard stored.place == item.place, stored.sequence == item.sequence,
            stored.flags & ~KeyEntry.inFileObject == item.node.flags & ~KeyEntry.inFileObject
        else { return false }
        if stored.isNode {
            guard item.node.value == .node, stored.nextSequence(view) == item.next,
                stored.name(view).hasSameBytes(as: item.node.name)
            else { return false }
        } else {
            // The name is the same, too, where the data stay.
            guard item.keepsData else { return false }
        }
        if item.parent == 0 { return stored.parentTable == 0 }
        let parent = change.items[item.parent].place
        return stored.parentTable == keys.tables[parent.table].index
            && stored.parentOffset == UInt32(clamping: parent.offset)
    }

    private func writeData(of item: Change.Item, _ stored: KeyEntry?, _ view: ImageView, to writer: inout ByteWriter) {
        if item.keepsData, let stored {
            writer.write(view.slice(stored.dataOffset, stored.dataSize(view) ?? 0))
        } else if let area = item.fileObject {
            writer.write(UInt32(clamping: area.count))
            writer.write(UInt64(area.lowerBound))
        } else if item.node.value == .node {
            writer.write(stored.map { $0.isNode ? $0.changeTracking(view) : 0 } ?? 0)
            writer.write(item.next)
        } else {
            item.node.value.writeInline(to: &writer)
        }
    }
}
