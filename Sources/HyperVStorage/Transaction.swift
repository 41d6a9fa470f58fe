internal import RoostPrimitives

/// The writes of one transaction that go through the replay log.
struct Transaction {
    private var writes: [(offset: Int, bytes: [UInt8])] = []

    /// A transaction without a write.
    init() {}

    /// Adds the first bytes of a table.
    mutating func add(_ bytes: ArraySlice<UInt8>, at offset: Int) { writes.append((offset, Array(bytes))) }

    var count: Int { writes.count }
    var payloadSize: Int { writes.reduce(0) { $0 + $1.bytes.count } }
    var destinations: [StorageAction] {
        writes.map { .write(offset: UInt64($0.offset), bytes: $0.bytes) }
    }

    /// These writes behind those of an earlier transaction, without the earlier ones that they replace whole.
    func following(_ earlier: Transaction) -> Transaction {
        var both = Transaction()
        both.writes = earlier.writes.filter { old in
            !writes.contains { $0.offset == old.offset && $0.bytes.count >= old.bytes.count }
        }
        both.writes += writes
        return both
    }

    /// Collects what a finished plan changes in tables that the file has already.
    init(_ plan: ChangePlan, _ before: [ObjectTable]) {
        for table in plan.changedTables {
            // As Hyper-V does: from the table's start to the last change.
            var end = table.new.count
            while end > 0, table.new[end - 1] == table.old[end - 1] { end -= 1 }
            add(table.new[..<end], at: table.offset)
        }
        for (old, new) in zip(before, plan.space.objectTables) {
            let changed = old.entries.indices.filter { old.entries[$0] != new.entries[$0] }
            guard let first = changed.first, let last = changed.last else { continue }
            let bytes = new.entries[first...last].flatMap { $0.encoded() }
            writes.append((new.offset + ObjectTable.headerSize + first * ObjectEntry.size, bytes))
        }
    }

    /// The log with these writes: the payloads, one behind the other, and the sealed header with its entries.
    func logged(_ log: LogHeader, at header: FileHeader) -> [StorageAction] {
        var entries: [UInt8] = []
        var payload: [UInt8] = []
        for (offset, bytes) in writes {
            let entry = LogEntry(
                destination: UInt64(offset),
                count: UInt32(clamping: bytes.count),
                payload: UInt64(header.logHeaderSize) + UInt64(payload.count),
                payloadChecksum: CRC32.checksum(bytes)
            )
            entries += entry.encoded()
            payload += bytes
        }
        return [
            .write(offset: header.logOffset + UInt64(header.logHeaderSize), bytes: payload),
            .write(offset: header.logOffset, bytes: log.sealed(count: count, entries: entries).encoded() + entries),
        ]
    }
}
