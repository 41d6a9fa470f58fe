/// The room in the key tables: which areas are free, and where new entries go.
struct KeySpace {
    /// The key tables: those of the file, then new ones.
    private(set) var tables: [KeyTable]
    /// For each table its free areas, in order and never touching an area freed here.
    private(set) var free: [[FreeEntry]]
    /// The size that new tables get.
    let tableSize: Int

    /// The room in a file's tables; new ones get a size of `tableSize` bytes.
    init(_ layout: Layout, tableSize: Int) {
        tables = layout.tables
        free = layout.free
        self.tableSize = tableSize
    }

    /// Gives up an entry, joining its area to free neighbours.
    mutating func release(_ place: EntryPlace, size: Int) {
        var areas = free[place.table]
        let index = areas.firstIndex { $0.offset > place.offset } ?? areas.count
        var area = FreeEntry(offset: place.offset, size: size)
        var replaced = index..<index
        if index < areas.count, areas[index].offset == area.end {
            area.size += areas[index].size
            replaced = index..<index + 1
        }
        if index > 0, areas[index - 1].end == area.offset {
            area = FreeEntry(offset: areas[index - 1].offset, size: area.size + areas[index - 1].size)
            replaced = index - 1..<replaced.upperBound
        }
        areas.replaceSubrange(replaced, with: CollectionOfOne(area))
        free[place.table] = areas
    }

    /// Finds room for an entry of `need` bytes, with up to `spare` more where there is more.
    ///
    /// A rest that would be too small for an entry of its own goes to this one; the size returned includes it.
    ///
    /// - Throws: ``StorageError/Code/tooLarge`` when all 65,535 table indices are used.
    mutating func allocate(need: Int, spare: Int) throws(StorageError) -> (place: EntryPlace, size: Int) {
        for table in free.indices {
            guard let index = free[table].firstIndex(where: { $0.size >= need }) else { continue }
            let area = free[table][index]
            var size = min(need + spare, area.size)
            if area.size - size <= KeyEntry.absorbedRest { size = area.size }
            if size == area.size {
                free[table].remove(at: index)
            } else {
                free[table][index] = FreeEntry(offset: area.offset + size, size: area.size - size)
            }
            return (EntryPlace(table: table, offset: area.offset), size)
        }
        try addTable()
        return try allocate(need: need, spare: spare)
    }

    /// Adds a table; where it goes in the file is decided later.
    mutating func addTable() throws(StorageError) {
        let highest = tables.map(\.index).max() ?? 0
        guard highest < UInt16.max else {
            throw StorageError(.tooLarge, .tree, at: nil, "the keys need more than \(UInt16.max) key tables")
        }
        tables.append(KeyTable(index: highest + 1, sequence: 1, offset: 0, size: tableSize))
        free.append([FreeEntry(offset: KeyTable.headerSize, size: tableSize - KeyTable.headerSize)])
    }

    /// Puts a new table at its place in the file.
    mutating func place(table: Int, at offset: Int) { tables[table].offset = offset }

    /// Counts a table's next version.
    mutating func advanceSequence(of table: Int) { tables[table].sequence &+= 1 }
}
