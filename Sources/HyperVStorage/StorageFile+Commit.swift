internal import RoostPrimitives

extension StorageFile {
    /// Changes the file to hold `newTree`; returns the ordered writes and syncs that make the change durable.
    ///
    /// Only what differs from ``tree`` is written: values in place where they fit, everything else into free space or
    /// new tables. All changes to areas that the stored state uses go through the replay log, and areas that it does
    /// not use are written and synced before, so that a crash at any point leaves the old tree or the new one: the
    /// new one as soon as the last sync of the actions is done. The writes behind that sync put the change in its
    /// place; they need no sync of their own, because the log stays in force until the next commit or ``settle()``,
    /// which begin with one. The root's name and flags are not stored and do not count. Afterwards ``tree`` tells
    /// where each key is stored now.
    ///
    /// An unchanged tree gives no actions. When an action fails, the value and the file no longer agree: drop the
    /// value and open the file again.
    ///
    /// - Throws: ``StorageError/Code/invalidTree`` for a name, nesting or value that the format cannot hold,
    ///   ``StorageError/Code/tooLarge`` when a limit of the format would be passed, ``StorageError/Code/corrupt`` when
    ///   areas of the file overlap, ``StorageError/Code/unsupported`` when the file records changes in a buffer that
    ///   only Hyper-V can keep. The value is unchanged then, and nothing needs to be written.
    public mutating func commit(_ newTree: KeyNode) throws(StorageError) -> [StorageAction] {
        guard newTree.children != tree.children || newTree.value != tree.value else { return [] }
        guard log.tracking == 0 else {
            throw StorageError(
                .unsupported,
                .logHeader,
                at: headers.current.logOffset,
                "change tracking is enabled"
            )
        }
        let start = Int(headers.current.logOffset)
        let logArea = start..<start + Int(headers.current.logSize)
        let alignment = Int(headers.current.alignment)
        let (plan, before) = try withView(image) { (view) throws(StorageError) in
            let (layout, hierarchy) = try currentLayout(view)
            let plan = try ChangePlan(newTree, view, layout, hierarchy, log: logArea, alignment: alignment)
            return (plan, layout.objectTables)
        }
        var next = self
        let actions = next.takeRecoveryForCommit() + (try next.carryOut(plan, before))
        StorageAction.apply(actions, to: &next.image)
        // Nothing leaves here that does not read back as the tree that was asked for.
        var diagnosis = Diagnosis(collects: false)
        let found = try Self.keys(next.image, &diagnosis)
        (next.layout, next.tree) = ((found.tables, found.hierarchy), found.tree)
        guard next.tree.children == newTree.children else {
            throw StorageError(.corrupt, .tree, at: nil, "the written keys would read back differently")
        }
        self = next
        return actions
    }

    /// What stands where in the file.
    private func currentLayout(_ view: ImageView) throws(StorageError) -> (Layout, Hierarchy) {
        if let layout { return (layout.tables, layout.hierarchy) }
        var diagnosis = Diagnosis(collects: false)
        let tables = try Layout(view, &diagnosis)
        return (tables, try Hierarchy(tables, &diagnosis))
    }

    /// Whether the log is empty and every change stands in its place: the state of a file at rest.
    public var isSettled: Bool { !isLogInForce && pendingRecovery.isEmpty }

    /// Empties the log of the last commit, as a file at rest has it; returns the writes and syncs that do so.
    ///
    /// Nothing depends on it but other programs, which may not know how to complete a transaction. Safe to interrupt
    /// anywhere. A settled file gives no actions.
    public mutating func settle() -> [StorageAction] {
        var actions = takeRecoveryActions()
        guard isLogInForce else { return actions }
        isLogInForce = false
        actions += [.sync, .write(offset: headers.current.logOffset, bytes: log.encoded())]
        // As Hyper-V does: the copies take turns, in pairs.
        for copy in headers.advance() { actions += copy + [.sync] }
        StorageAction.apply(actions, to: &image)
        return actions
    }

    /// The actions for a plan; moves the replay log first when the plan's writes do not fit into it.
    private mutating func carryOut(
        _ plan: ChangePlan,
        _ before: [ObjectTable]
    ) throws(StorageError) -> [StorageAction] {
        var finished = plan
        try finished.finish()
        var writes = Transaction(finished, before)
        var actions: [StorageAction] = []
        if !fits(writes) {
            finished = plan
            actions = try moveLog(&finished)
            try finished.finish()
            writes = Transaction(finished, before)
        }
        actions += finished.newAreas.map { .write(offset: UInt64($0.offset), bytes: $0.bytes) }
        // The log's last transaction must stand in its place before the log is written again.
        if isLogInForce || !finished.newAreas.isEmpty { actions.append(.sync) }
        actions += writes.logged(log, at: headers.current) + [.sync] + writes.destinations
        isLogInForce = true
        return actions
    }

    private func fits(_ writes: Transaction) -> Bool {
        let headerSize = Int(headers.current.logHeaderSize)
        return writes.count <= min(Int(log.capacity), LogHeader.capacity(headerSize: headerSize))
            && writes.payloadSize <= Int(headers.current.logSize) - headerSize
    }

    /// Puts an empty log large enough for every table at the file's end, and switches the headers to it one by one.
    ///
    /// The old log's area is not reused before both headers have left it.
    private mutating func moveLog(_ plan: inout ChangePlan) throws(StorageError) -> [StorageAction] {
        let old = Int(headers.current.logOffset)..<Int(headers.current.logOffset + headers.current.logSize)
        plan.releaseLog(old)
        let alignment = Int(headers.current.alignment)
        // Freeing the old log may chain one more object table.
        let sizes = LogSizes(tables: plan.keys.tables.count + plan.space.objectTables.count + 1, alignment: alignment)
        let area = try plan.reserveLog(size: sizes.total)
        log = LogHeader(headerSize: sizes.header)
        headers.current.logOffset = UInt64(area.lowerBound)
        headers.current.logSize = UInt64(area.count)
        headers.current.logHeaderSize = UInt32(clamping: sizes.header)
        var bytes = log.encoded()
        bytes.append(contentsOf: repeatElement(0, count: area.count - bytes.count))
        var actions: [StorageAction] = [.write(offset: UInt64(area.lowerBound), bytes: bytes), .sync]
        for copy in headers.advance() { actions += copy + [.sync] }
        // The first sync was one for the old log's last transaction too.
        isLogInForce = false
        return actions
    }
}

/// How large a replay log is for a number of tables: a header that has an entry for each, and a page for each.
struct LogSizes {
    var header: Int
    var total: Int

    init(tables: Int, alignment: Int) {
        header = (LogHeader.size + tables * LogEntry.size).roundedUp(to: alignment)
        total = header + tables * alignment
    }
}

/// The writes of one transaction that go through the replay log.
private struct Transaction {
    private var writes: [(offset: Int, bytes: [UInt8])] = []

    var count: Int { writes.count }
    var payloadSize: Int { writes.reduce(0) { $0 + $1.bytes.count } }
    var destinations: [StorageAction] {
        writes.map { .write(offset: UInt64($0.offset), bytes: $0.bytes) }
    }

    /// Collects what a finished plan changes in tables that the file has already.
    init(_ plan: ChangePlan, _ before: [ObjectTable]) {
        for table in plan.changedTables {
            // As Hyper-V does: from the table's start to the last change.
            var end = table.new.count
            while end > 0, table.new[end - 1] == table.old[end - 1] { end -= 1 }
            writes.append((table.offset, Array(table.new[..<end])))
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
