/// A HyperVStorage file (`.vmcx`, `.vmrs`, `.vsv`, a host's `data.vmcx`) as a value: bytes in, bytes and actions out.
///
/// The format is described in `docs/formats/hyper-v-storage.md`. The value does no I/O: opening reports what recovery
/// has to write, and ``commit(_:)`` returns the ordered writes and syncs that make a change durable.
public struct StorageFile: Sendable {
    /// The keys, below a root without a name and value.
    ///
    /// Every key carries where it is stored.
    public internal(set) var tree: KeyNode
    /// What opening found to put right; its actions come before those of the first commit.
    public let recovery: RecoveryReport

    /// The file's bytes, as they stand when all actions handed out so far, and those of ``recovery``, are carried out.
    var image: [UInt8]
    /// The headers in force.
    var headers: FileHeaders
    /// The replay log's header, with no entries.
    var log: LogHeader
    /// Whether the log holds a transaction whose destinations have been written and not synced.
    var isLogInForce = false
    /// The writes of that transaction; none when it came from the disk.
    var unsynced = Transaction()
    /// Whether the file's areas are known not to overlap.
    var hasCheckedAreas = false
    /// What stands where in ``image``; nil when it has not been read since the last change.
    var layout: (tables: Layout, hierarchy: Hierarchy)?
    /// Actions of recovery that nobody has fetched yet.
    private(set) var pendingRecovery: [StorageAction]
    /// What is left of ``pendingRecovery`` when a commit follows at once; nil when nothing can be left out.
    private var shortRecovery: [StorageAction]?

    /// Reads a file: headers, replay log, object tables, key tables, keys.
    ///
    /// A committed transaction in the replay log is completed in memory, any other is discarded; ``recovery`` tells.
    /// Every checksum is verified. The order is that of a writer's commit: the replay log holds rows of object tables,
    /// so it is dealt with before they are read.
    ///
    /// - Throws: ``StorageError/Code/foreign`` for another kind of file, ``StorageError/Code/unsupported`` for another
    ///   format version or an unknown type of key, ``StorageError/Code/truncated`` when something referenced lies
    ///   behind the end, ``StorageError/Code/corrupt`` for a checksum or an invariant that does not hold.
    public init(parsing bytes: [UInt8]) throws(StorageError) {
        var diagnosis = Diagnosis(collects: false)
        try self.init(bytes, &diagnosis)
    }

    /// Reads a file, with errors behind the headers collected when `diagnosis` does so.
    init(_ bytes: [UInt8], _ diagnosis: inout Diagnosis) throws(StorageError) {
        image = bytes
        headers = try withView(bytes) { (view) throws(StorageError) in try FileHeaders(view) }
        log = LogHeader(headerSize: Int(headers.current.logHeaderSize))
        let recovered = try Self.recover(&image, &headers, &log)
        recovery = recovered.report
        pendingRecovery = recovered.report.actions
        shortRecovery = recovered.short
        tree = KeyNode("")
        let found = try Self.keys(image, &diagnosis)
        (layout, tree) = ((found.tables, found.hierarchy), found.tree)
    }

    /// A file whose bytes are known to be sound.
    init(created image: [UInt8]) throws(StorageError) { try self.init(parsing: image) }

    /// The actions that complete recovery, once; a commit puts them in front of its own when nobody has asked before.
    public mutating func takeRecoveryActions() -> [StorageAction] {
        defer { (pendingRecovery, shortRecovery) = ([], nil) }
        return pendingRecovery
    }

    /// The actions of recovery for a commit, which may leave the log in force until it writes the next one.
    mutating func takeRecoveryForCommit() -> [StorageAction] {
        guard let short = shortRecovery else { return takeRecoveryActions() }
        (pendingRecovery, shortRecovery) = ([], nil)
        isLogInForce = true
        return short
    }

    /// The keys of a file at rest, for whoever only looks; nil for a file that recovery has to put right first.
    ///
    /// Every checksum is verified as by ``init(parsing:)``. What is left out is checked all the same, and only not made
    /// into keys. Values outside the tables have no checksum: a file with one gives nil.
    ///
    /// - Parameter prefix: the first byte of the names, two levels below the root, that are left out with all below them.
    /// - Throws: as ``init(parsing:)``.
    package static func overview(
        of bytes: [UInt8],
        leavingOut prefix: UInt8
    ) throws(StorageError) -> KeyNode? {
        try withView(bytes) { (view) throws(StorageError) -> KeyNode? in
            let headers = try FileHeaders(view)
            guard headers.defect == nil, case .clean = try LogState(view, headers.current) else { return nil }
            var diagnosis = Diagnosis(collects: false)
            let layout = try Layout(view, &diagnosis)
            if layout.hasFileObjects { return nil }
            return try layout.tree(view, try Hierarchy(layout, &diagnosis), leavingOut: prefix, &diagnosis)
        }
    }

    /// Whether some values stand outside the tables, where nothing in the file tells that they are damaged.
    package var hasFileObjects: Bool { layout?.tables.hasFileObjects ?? true }

    /// Reads everything behind the headers and the replay log.
    static func keys(
        _ image: [UInt8],
        _ diagnosis: inout Diagnosis
    ) throws(StorageError) -> (tables: Layout, hierarchy: Hierarchy, tree: KeyNode) {
        var checks = diagnosis
        defer { diagnosis = checks }
        return try withView(image) { (view) throws(StorageError) in
            let layout = try Layout(view, &checks)
            let hierarchy = try Hierarchy(layout, &checks)
            return (layout, hierarchy, try layout.tree(view, hierarchy, &checks))
        }
    }

    // MARK: - Recovery

    /// What opening found, and the shorter form of its actions for a commit that follows at once.
    private struct Recovered {
        var report = RecoveryReport()
        var short: [StorageAction]?
    }

    /// Completes or discards the replay log, and puts right a header copy that cannot be used.
    private static func recover(
        _ image: inout [UInt8],
        _ headers: inout FileHeaders,
        _ log: inout LogHeader
    ) throws(StorageError) -> Recovered {
        var recovered = Recovered()
        let header = headers.current
        switch try withView(image, { (view) throws(StorageError) in try LogState(view, header) }) {
        case .clean(let found):
            log = found
        case .committed(let found, let writes):
            log = found
            recovered.report.log = .replayed(writes: writes.count)
            // The log stays valid until its writes are on the disk, so a crash in between repeats them.
            recovered.report.actions = writes + [.sync]
            // Only a sealed log may be overwritten by the next one: a part of that beside a part of this is found.
            if found.isSealed { recovered.short = writes }
        case .bad(let found, let error):
            log = found ?? log
            recovered.report.log = .discarded(reason: error.message)
        }
        log = log.emptied()
        if recovered.report.log != .clean {
            recovered.report.actions += [.write(offset: header.logOffset, bytes: log.encoded()), .sync]
        }
        if let defect = headers.defect {
            recovered.report.header = RecoveryReport.Header(copy: 1 - headers.copy, reason: defect)
            let repair = headers.advanceOther()
            recovered.report.actions += repair + [.sync]
            if let short = recovered.short { recovered.short = short + repair }
            headers.defect = nil
        }
        StorageAction.apply(recovered.report.actions, to: &image)
        return recovered
    }
}
