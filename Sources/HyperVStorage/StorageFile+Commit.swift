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
        try commit(newTree, keptElsewhere: false)
    }

    /// The same for a file whose new tree somebody can also have from elsewhere.
    ///
    /// - Parameter keptElsewhere: whether both trees, the one before and the new one, are on stable storage elsewhere
    ///   when the log is written. It can then be written again while what it held is still on its way to its place, and
    ///   takes that along: a crash in between may leave a file that cannot be read, and one behind it the new tree.
    package mutating func commit(_ newTree: KeyNode, keptElsewhere: Bool) throws(StorageError) -> [StorageAction] {
        let change = ValueChange(from: tree, to: newTree)
        let isUnchanged = change?.edits.isEmpty ?? (newTree.children == tree.children && newTree.value == tree.value)
        if isUnchanged { return [] }
        guard log.tracking == 0 else {
            throw StorageError(
                .unsupported,
                .logHeader,
                at: headers.current.logOffset,
                "change tracking is enabled"
            )
        }
        let syncsLog = !keptElsewhere || !pendingRecovery.isEmpty
        if let change, let actions = commitValues(change, to: newTree, syncsLog: syncsLog) { return actions }
        return try commitPlan(of: newTree, syncsLog: syncsLog)
    }

    /// Carries out any change: works out anew where everything goes.
    mutating func commitPlan(of newTree: KeyNode, syncsLog: Bool) throws(StorageError) -> [StorageAction] {
        let start = Int(headers.current.logOffset)
        let logArea = start..<start + Int(headers.current.logSize)
        let alignment = Int(headers.current.alignment)
        let (plan, before) = try withView(image) { (view) throws(StorageError) in
            let (layout, hierarchy) = try currentLayout(view)
            let plan = try ChangePlan(newTree, view, layout, hierarchy, log: logArea, alignment: alignment)
            return (plan, layout.objectTables)
        }
        var next = self
        let actions = next.takeRecoveryForCommit() + (try next.carryOut(plan, before, syncsLog: syncsLog))
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
    /// anywhere, and the last write needs no sync: a log that is still there repeats what is in its place. A settled file
    /// gives no actions.
    public mutating func settle() -> [StorageAction] {
        var actions = takeRecoveryActions()
        guard isLogInForce else { return actions }
        (isLogInForce, unsynced) = (false, Transaction())
        actions += [.sync, .write(offset: headers.current.logOffset, bytes: log.encoded())]
        StorageAction.apply(actions, to: &image)
        return actions
    }

    /// The actions for a plan; moves the replay log first when the plan's writes do not fit into it.
    private mutating func carryOut(
        _ plan: ChangePlan,
        _ before: [ObjectTable],
        syncsLog: Bool
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
        return actions + logged(writes, syncsBefore: syncsLog && isLogInForce || !finished.newAreas.isEmpty)
    }

    /// The actions that carry a transaction through the log.
    ///
    /// - Parameter syncsBefore: whether the log's last transaction is synced in its place before the log is written
    ///   again. Otherwise the log takes its writes along, so that it is whole without what may not have reached the
    ///   disk; where there is no room for both, it is synced after all.
    mutating func logged(_ writes: Transaction, syncsBefore: Bool) -> [StorageAction] {
        let both = writes.following(unsynced)
        let carries = !syncsBefore && fits(both)
        let syncs = isLogInForce && !carries
        (isLogInForce, unsynced) = (true, writes)
        return (syncs || syncsBefore ? [.sync] : [])
            + (carries ? both : writes).logged(log, at: headers.current) + [.sync] + writes.destinations
    }

    /// Whether the log has room for a transaction.
    func fits(_ writes: Transaction) -> Bool {
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
        (isLogInForce, unsynced) = (false, Transaction())
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
