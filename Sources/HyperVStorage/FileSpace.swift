/// The room in the file: which areas nothing uses, and the object tables that say so.
///
/// New areas never overlap one that the stored state uses, so they can be written before the change is committed.
/// Areas freed by a change become available to later changes only.
struct FileSpace {
    /// The object tables: those of the file, then new ones.
    private(set) var objectTables: [ObjectTable]
    /// How many of ``objectTables`` the file has already.
    let storedTableCount: Int
    let alignment: Int
    /// Where the file's last area ends.
    private(set) var end: Int
    /// What is used, in order, without overlaps.
    private var used: [Range<Int>]
    /// The rows that are to be added.
    private var added: [ObjectEntry] = []
    /// The free areas as they are to be listed.
    private var free: [Range<Int>] = []
    /// A free area of the file that something uses; its row is put right with the next change.
    private(set) var misplacedFree: Range<Int>?

    /// The room in a file with the replay log at `log`.
    ///
    /// - Throws: ``StorageError/Code/corrupt`` when two areas overlap: then nothing can be written safely.
    init(_ objectTables: [ObjectTable], log: Range<Int>, alignment: Int, fileSize: Int) throws(StorageError) {
        self.objectTables = objectTables
        self.alignment = alignment
        storedTableCount = objectTables.count
        var used = [0..<FileHeader.areaEnd]
        if !log.isEmpty { used.append(log) }
        if let first = objectTables.first { used.append(first.offset..<first.offset + first.size) }
        for entry in objectTables.lazy.flatMap(\.entries) where !entry.area.isEmpty {
            if entry.type == ObjectEntry.Kind.free {
                free.append(entry.area)
            } else if entry.type != ObjectEntry.Kind.empty {
                used.append(entry.area)
            }
        }
        used.sort { $0.lowerBound < $1.lowerBound }
        try Self.checkBounds(used, log: log, fileSize: fileSize)
        for (one, next) in zip(used, used.dropFirst()) where one.upperBound > next.lowerBound {
            throw StorageError(
                .corrupt,
                .objectEntry,
                at: next.lowerBound,
                "the area overlaps the one at \(hexadecimal(one.lowerBound)) of \(one.count) bytes"
            )
        }
        self.used = used
        // What is listed as free behind the file's end is the file's end anyway.
        let fileEnd = fileSize.roundedUp(to: alignment)
        let listed = free.filter { $0.upperBound <= fileEnd }
        let unused = listed.flatMap { Self.subtracting(used, from: $0) }
        free = unused
        misplacedFree = listed.first { !unused.contains($0) }
        end = max(fileSize, used.last?.upperBound ?? 0, free.map(\.upperBound).max() ?? 0).roundedUp(to: alignment)
    }

    /// Refuses areas so far behind the file's end that writing behind them would make a giant of the file.
    ///
    /// Only the log may end there, because it is used up to its size only by the largest transactions; and it has about
    /// a page for each table.
    private static func checkBounds(_ used: [Range<Int>], log: Range<Int>, fileSize: Int) throws(StorageError) {
        for area in used {
            let limit = area == log ? 2 * fileSize + 0x10_0000 : max(fileSize, ObjectTable.firstOffset + 0x1000)
            guard area.upperBound > limit.roundedUp(to: 0x10000) else { continue }
            throw StorageError(
                .corrupt,
                area == log ? .logHeader : .objectEntry,
                at: area.lowerBound,
                "an area of \(area.count) bytes lies behind the file's end at \(fileSize)"
            )
        }
    }

    /// Takes an area for a new object, the first that is large enough.
    mutating func allocate(_ type: UInt8, size: Int) throws(StorageError) -> Range<Int> {
        let area = try reserve(size: size)
        added.append(ObjectEntry(type, area))
        return area
    }

    /// Lists what stands behind everything that is allocated here.
    mutating func list(_ area: Range<Int>, as type: UInt8) {
        added.append(ObjectEntry(type, area.lowerBound..<area.upperBound.roundedUp(to: alignment)))
    }

    /// Takes an area; with `atEnd`, behind everything else.
    mutating func reserve(size: Int, atEnd: Bool = false) throws(StorageError) -> Range<Int> {
        let size = size.roundedUp(to: alignment)
        guard size <= Int(UInt32.max), end <= Int.max / 4 else {
            throw StorageError(.tooLarge, .fileObject, at: nil, "\(size) bytes at the file's end at \(end)")
        }
        var area = end..<end + size
        if !atEnd {
            for (one, next) in zip(used, used.dropFirst()) {
                let start = one.upperBound.roundedUp(to: alignment)
                guard next.lowerBound - start >= size else { continue }
                area = start..<start + size
                break
            }
        }
        used.insert(area, at: used.firstIndex { $0.lowerBound > area.lowerBound } ?? used.count)
        end = max(end, area.upperBound)
        free = free.flatMap { Self.subtracting(area, from: $0) }
        return area
    }

    /// Gives up the object at an area, for later changes to use.
    mutating func release(_ area: Range<Int>) {
        for table in objectTables.indices {
            for row in objectTables[table].entries.indices
            where objectTables[table].entries[row].type == ObjectEntry.Kind.fileObject
                && objectTables[table].entries[row].area == area
            {
                objectTables[table].entries[row] = .empty
            }
        }
        list(area)
    }

    /// Lists an area as free, joined to its free neighbours.
    mutating func list(_ area: Range<Int>) {
        guard !area.isEmpty else { return }
        var joined = area
        for other in free where other.upperBound == area.lowerBound || other.lowerBound == area.upperBound {
            guard joined.count + other.count <= Int(UInt32.max) else { continue }
            joined = min(joined.lowerBound, other.lowerBound)..<max(joined.upperBound, other.upperBound)
        }
        free.removeAll { joined.overlaps($0) }
        free.append(joined)
    }

    /// Enters everything into the object tables, chaining new ones when the rows run out.
    mutating func finish() throws(StorageError) {
        var wanted = free
        var rows: [(table: Int, row: Int)] = []
        for table in objectTables.indices {
            for row in objectTables[table].entries.indices {
                let entry = objectTables[table].entries[row]
                if entry.type == ObjectEntry.Kind.free {
                    if let index = wanted.firstIndex(of: entry.area) {
                        wanted.remove(at: index)
                        continue
                    }
                    objectTables[table].entries[row] = .empty
                }
                // The last row is kept for the chain.
                if objectTables[table].entries[row].type == ObjectEntry.Kind.empty,
                    row < objectTables[table].entries.count - 1
                {
                    rows.append((table, row))
                }
            }
        }
        var waiting =
            added + wanted.sorted { $0.lowerBound < $1.lowerBound }.map { ObjectEntry(ObjectEntry.Kind.free, $0) }
        added = []
        var next = 0
        while !waiting.isEmpty {
            if next == rows.count {
                let (table, displaced) = try chainTable()
                if let displaced { waiting.append(displaced) }
                rows += objectTables[table].entries.indices.dropLast().map { (table, $0) }
            }
            objectTables[rows[next].table].entries[rows[next].row] = waiting.removeFirst()
            next += 1
        }
    }

    /// Adds an object table and points the last row of the last one to it.
    private mutating func chainTable() throws(StorageError) -> (table: Int, displaced: ObjectEntry?) {
        // The chain goes on where a table has no successor; what another writer left in its last row moves.
        guard
            let tail = objectTables.lastIndex(where: { $0.entries.last?.type != ObjectEntry.Kind.objectTable }),
            let last = objectTables[tail].entries.last
        else { throw StorageError(.corrupt, .objectTable, at: nil, "the chain of object tables has no end") }
        // Behind everything, because the free areas that are being listed must not shrink any more.
        let area = try reserve(size: alignment, atEnd: true)
        objectTables[tail].entries[objectTables[tail].entries.count - 1] = ObjectEntry(
            ObjectEntry.Kind.objectTable,
            area
        )
        objectTables.append(ObjectTable(offset: area.lowerBound, size: area.count))
        return (objectTables.count - 1, last.type == ObjectEntry.Kind.empty ? nil : last)
    }

    /// What is left of an area without those in `used`, which are in order.
    private static func subtracting(_ used: [Range<Int>], from area: Range<Int>) -> [Range<Int>] {
        var rest = [area]
        for other in used where other.overlaps(area) { rest = rest.flatMap { subtracting(other, from: $0) } }
        return rest
    }

    private static func subtracting(_ area: Range<Int>, from other: Range<Int>) -> [Range<Int>] {
        guard area.overlaps(other) else { return [other] }
        return [
            other.lowerBound..<max(other.lowerBound, area.lowerBound),
            min(other.upperBound, area.upperBound)..<other.upperBound,
        ].filter { !$0.isEmpty }
    }
}
