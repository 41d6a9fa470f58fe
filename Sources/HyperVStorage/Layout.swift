/// Everything that stands in a file, and where: its object tables, key tables and key entries, all checked.
struct Layout {
    /// The object tables, the first one first.
    var objectTables: [ObjectTable] = []
    /// The key tables in force, by index.
    var tables: [KeyTable] = []
    /// All entries but the free ones, by table and offset.
    var entries: [KeyEntry] = []
    /// For each key table, where in ``entries`` its own are.
    var entryRanges: [Range<Int>] = []
    /// For each key table, its free areas in order.
    var free: [[FreeEntry]] = []
    /// The sizes of the file objects, by offset.
    private var fileObjects: [UInt64: ObjectEntry] = [:]
    /// The size of the whole file, of which the view may have only the beginning.
    private var fileSize = 0
    /// How many more bytes a search for keys under damaged free entries may look at.
    private var searchBudget = 1 << 24

    /// Reads the structures behind the headers.
    ///
    /// The replay log must have been dealt with before.
    ///
    /// - Parameter fileSize: the size of the whole file when the view has only its beginning, with all tables.
    init(_ view: ImageView, fileSize: Int? = nil, _ diagnosis: inout Diagnosis) throws(StorageError) {
        self.fileSize = fileSize ?? view.count
        objectTables = try ObjectTable.chain(view, &diagnosis)
        for table in objectTables {
            for object in table.entries where object.type == ObjectEntry.Kind.fileObject {
                fileObjects[object.offset] = object
            }
        }
        try readKeyTableHeaders(view, &diagnosis)
        // A key takes 60 bytes or so. Tables that lie over each other may claim more than the file has.
        entries.reserveCapacity(tables.reduce(0) { min(view.count, $0 + $1.size) } / 60)
        for position in tables.indices {
            let start = entries.count
            free.append([])
            try readEntries(view, of: position, &diagnosis)
            entryRanges.append(start..<entries.count)
        }
    }

    /// Reads what can be read behind the headers, key tables that no sound row names included.
    init(salvaging view: ImageView, _ diagnosis: inout Diagnosis) throws(StorageError) {
        fileSize = view.count
        objectTables = try ObjectTable.chain(view, &diagnosis)
        for table in objectTables {
            for object in table.entries where object.type == ObjectEntry.Kind.fileObject {
                fileObjects[object.offset] = object
            }
        }
        try readKeyTableHeaders(view, &diagnosis)
        findKeyTables(view)
        for position in tables.indices {
            let start = entries.count
            free.append([])
            try readEntries(view, of: position, &diagnosis, resuming: true)
            entryRanges.append(start..<entries.count)
        }
    }

    /// Adds the key tables that can be recognized and whose index is missing.
    private mutating func findKeyTables(_ view: ImageView) {
        var known = Set(tables.map(\.index))
        var ignored = Diagnosis(collects: true)
        for offset in stride(from: ObjectTable.firstOffset + 0x1000, to: view.count - 0xFFF, by: 0x1000) {
            guard view.load(offset, as: UInt16.self) == KeyTable.signature else { continue }
            let area = ObjectEntry(ObjectEntry.Kind.keyTable, offset..<offset + 0x1000)
            guard let table = (try? KeyTable(view, area, &ignored)) ?? nil, known.insert(table.index).inserted else {
                continue
            }
            tables.append(table)
        }
        tables.sort { $0.index < $1.index }
    }

    /// A layout without a key.
    init(objectTables: [ObjectTable]) { self.objectTables = objectTables }

    /// The entry that starts at a place, found by bisection.
    func entry(table index: UInt16, offset: UInt32) -> Int? {
        guard let position = tablePosition(index) else { return nil }
        var range = entryRanges[position]
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            if entries[middle].offset == offset { return middle }
            range =
                entries[middle].offset < offset ? middle + 1..<range.upperBound : range.lowerBound..<middle
        }
        return nil
    }

    /// Whether some values stand outside the tables.
    var hasFileObjects: Bool { !fileObjects.isEmpty }

    /// The row of the file object that starts at an offset.
    func fileObject(at offset: UInt64) -> ObjectEntry? { fileObjects[offset] }

    /// The position of the key table with an index; tables are mostly numbered without gaps.
    private func tablePosition(_ index: UInt16) -> Int? {
        let guess = Int(index) - 1
        if guess >= 0, guess < tables.count, tables[guess].index == index { return guess }
        return tables.firstIndex { $0.index == index }
    }

    // MARK: - Key tables

    /// Finds the key tables.
    ///
    /// Of two with the same index the one with the higher sequence counts.
    private mutating func readKeyTableHeaders(_ view: ImageView, _ diagnosis: inout Diagnosis) throws(StorageError) {
        var byIndex: [UInt16: KeyTable] = [:]
        for objects in objectTables {
            for object in objects.entries where object.type == ObjectEntry.Kind.keyTable {
                guard let table = try KeyTable(view, object, &diagnosis) else { continue }
                guard let other = byIndex[table.index] else {
                    byIndex[table.index] = table
                    continue
                }
                let distance = Int16(bitPattern: table.sequence &- other.sequence)
                guard distance != 0, distance != .min else {
                    try diagnosis.fail(
                        StorageError(
                            .corrupt,
                            .keyTable,
                            at: table.offset,
                            "index \(table.index) and sequence \(table.sequence) are also those of the table at "
                                + hexadecimal(other.offset)
                        )
                    )
                    continue
                }
                if distance > 0 { byIndex[table.index] = table }
            }
        }
        tables = byIndex.values.sorted { $0.index < $1.index }
    }

    // MARK: - Key entries

    private mutating func readEntries(
        _ view: ImageView,
        of position: Int,
        _ diagnosis: inout Diagnosis,
        resuming: Bool = false
    ) throws(StorageError) {
        let table = tables[position]
        var offset = KeyTable.headerSize
        while offset < table.size {
            let start = table.offset + offset
            if resuming, !isEntry(view, at: start, end: table.offset + table.size) {
                try diagnosis.fail(StorageError(.corrupt, .keyEntry, at: start, "the entry cannot be read"))
                repeat {
                    offset += 1
                } while offset < table.size
                    && !isEntry(view, at: table.offset + offset, end: table.offset + table.size)
                continue
            }
            guard table.size - offset >= KeyEntry.headerSize else {
                return try diagnosis.fail(
                    StorageError(.corrupt, .keyEntry, at: start, "\(table.size - offset) bytes are no entry")
                )
            }
            let size = Int(view.load(start + 2, as: UInt32.self))
            guard size >= KeyEntry.headerSize, size <= table.size - offset else {
                return try diagnosis.fail(
                    StorageError(
                        .corrupt,
                        .keyEntry,
                        at: start,
                        "size \(size), with \(table.size - offset) bytes left"
                    )
                )
            }
            if view.byte(start) == KeyEntry.Kind.free {
                try checkFree(view, at: start, size: size, &diagnosis)
                free[position].append(FreeEntry(offset: offset, size: size))
            } else {
                let entry = KeyEntry(view, table: position, tableOffset: table.offset, offset: offset, size: size)
                if let problem = problem(view, entry) {
                    try diagnosis.fail(problem)
                } else {
                    entries.append(entry)
                }
            }
            offset += size
        }
    }

    /// What is wrong with an entry that is not free; nil when every check holds.
    func problem(_ view: ImageView, _ entry: KeyEntry) -> StorageError? {
        func failure(_ code: StorageError.Code, _ detail: String) -> StorageError {
            StorageError(code, .keyEntry, at: entry.fileOffset, detail)
        }
        let nameEnd = KeyEntry.headerSize + Int(entry.nameLength)
        guard entry.nameLength > 0, nameEnd <= Int(entry.size) else {
            return failure(.corrupt, "name of \(entry.nameLength) bytes in an entry of \(entry.size)")
        }
        guard let dataSize = entry.dataSize(view) else {
            let known = KeyEntry.Kind.int...KeyEntry.Kind.node ~= entry.type
            return known
                ? failure(.corrupt, "data of type \(entry.type) does not fit an entry of \(entry.size) bytes")
                : failure(.unsupported, "type \(entry.type) is unknown")
        }
        let stored = view.load(entry.fileOffset + 12, as: UInt32.self)
        let computed = view.checksum(entry.fileOffset, nameEnd + dataSize, zeroing: 12)
        guard stored == computed else {
            return failure(.corrupt, "checksum \(hexadecimal(stored)), expected \(hexadecimal(computed))")
        }
        guard view.byte(entry.dataOffset - 1) == 0 else { return failure(.corrupt, "the name does not end in NUL") }
        return entry.pointsToFileObject ? problemOfFileObject(view, entry) : nil
    }

    /// What is wrong with the area that an entry points to.
    private func problemOfFileObject(_ view: ImageView, _ entry: KeyEntry) -> StorageError? {
        let count = Int(view.load(entry.dataOffset, as: UInt32.self))
        let offset = view.load(entry.dataOffset + 4, as: UInt64.self)
        guard let object = fileObjects[offset], count <= Int(object.size) else {
            return StorageError(
                .corrupt,
                .fileObject,
                at: offset,
                "no object table row of \(count) bytes or more for the key entry at \(hexadecimal(entry.fileOffset))"
            )
        }
        guard clamped(offset) <= fileSize, count <= fileSize - clamped(offset) else {
            return StorageError(.truncated, .fileObject, at: offset, "\(count) bytes, the file ends at \(fileSize)")
        }
        return nil
    }

    /// Checks a free entry, which has no checksum, for being a damaged key or for hiding keys behind a damaged size.
    private mutating func checkFree(
        _ view: ImageView,
        at start: Int,
        size: Int,
        _ diagnosis: inout Diagnosis
    ) throws(StorageError) {
        guard view.byte(start + 1) == 0, view.load(start + 6, as: UInt16.self) == 0,
            view.load(start + 8, as: UInt64.self) == 0, view.byte(start + 20) == 0
        else {
            return try diagnosis.fail(
                StorageError(.corrupt, .keyEntry, at: start, "a free entry with the fields of a key")
            )
        }
        let body = view.slice(start + KeyEntry.headerSize, size - KeyEntry.headerSize)
        guard let filler = body.first, body.contains(where: { $0 != filler }) else { return }
        for index in body.indices where hidesKey(view, at: start + KeyEntry.headerSize + index, end: start + size) {
            return try diagnosis.fail(
                StorageError(
                    .corrupt,
                    .keyEntry,
                    at: start,
                    "a free entry of \(size) bytes over the key at "
                        + hexadecimal(start + KeyEntry.headerSize + index)
                )
            )
        }
        diagnosis.note(.notice, .keyEntry, at: start, "the filler of a free entry is not uniform")
    }

    /// Whether the bytes at `start` are a key entry with a right checksum, or a free entry.
    private mutating func isEntry(_ view: ImageView, at start: Int, end: Int) -> Bool {
        guard end - start >= KeyEntry.headerSize else { return false }
        if view.byte(start) == KeyEntry.Kind.free {
            let size = Int(view.load(start + 2, as: UInt32.self))
            return size >= KeyEntry.headerSize && size <= end - start && view.byte(start + 1) == 0
                && view.load(start + 6, as: UInt16.self) == 0 && view.load(start + 8, as: UInt64.self) == 0
                && view.byte(start + 20) == 0 && (start + size == end || view.byte(start + size) <= KeyEntry.Kind.node)
        }
        return hidesKey(view, at: start, end: end)
    }

    /// Whether the bytes at `start` are a key entry with a right checksum, or the search has become too long.
    private mutating func hidesKey(_ view: ImageView, at start: Int, end: Int) -> Bool {
        guard KeyEntry.Kind.int...KeyEntry.Kind.node ~= view.byte(start), end - start >= KeyEntry.headerSize
        else { return false }
        let size = Int(view.load(start + 2, as: UInt32.self))
        guard size >= KeyEntry.headerSize, size <= end - start else { return false }
        searchBudget -= size
        guard searchBudget > 0 else { return true }
        let entry = KeyEntry(view, table: 0, tableOffset: start, offset: 0, size: size)
        return problem(view, entry) == nil
    }
}

extension KeyTable {
    /// Reads the header of the table that an object entry points to; nil when it is damaged and errors are collected.
    init?(_ view: ImageView, _ object: ObjectEntry, _ diagnosis: inout Diagnosis) throws(StorageError) {
        func failure(_ code: StorageError.Code, _ detail: String) -> StorageError {
            StorageError(code, .keyTable, at: object.offset, detail)
        }
        let base = clamped(object.offset)
        size = Int(object.size)
        guard size >= Self.headerSize, view.holds(base, size) else {
            try diagnosis.fail(failure(.truncated, "\(size) bytes, and the file ends at \(view.count)"))
            return nil
        }
        offset = base
        index = view.load(base + 2, as: UInt16.self)
        sequence = view.load(base + 4, as: UInt16.self)
        let signature = view.load(base, as: UInt16.self)
        guard signature == Self.signature else {
            try diagnosis.fail(
                failure(.corrupt, "signature \(hexadecimal(signature)), expected \(hexadecimal(Self.signature))")
            )
            return nil
        }
        let stored = view.load(base + 6, as: UInt32.self)
        let computed = view.checksum(base, Self.headerSize, zeroing: 6)
        guard stored == computed else {
            try diagnosis.fail(
                failure(.corrupt, "checksum \(hexadecimal(stored)), expected \(hexadecimal(computed))")
            )
            return nil
        }
        guard index > 0 else {
            try diagnosis.fail(failure(.corrupt, "index 0, which stands for the root"))
            return nil
        }
    }
}

extension KeyEntry {
    /// Loads the fields of the entry at `offset` of a table.
    ///
    /// The caller has checked that its header is inside.
    fileprivate init(_ view: ImageView, table: Int, tableOffset: Int, offset: Int, size: Int) {
        let start = tableOffset + offset
        self.init(
            type: view.byte(start),
            flags: view.byte(start + 1),
            nameLength: view.byte(start + 20),
            parentTable: view.load(start + 6, as: UInt16.self),
            table: Int32(truncatingIfNeeded: table),
            offset: UInt32(truncatingIfNeeded: offset),
            size: UInt32(truncatingIfNeeded: size),
            parentOffset: view.load(start + 8, as: UInt32.self),
            sequence: view.load(start + 16, as: UInt32.self),
            fileOffset: start
        )
    }
}
