extension StorageFile {
    /// What a new file says about itself.
    public struct Options: Hashable, Sendable {
        /// The application's own version number in the file header; 0 in Hyper-V's files.
        public var dataVersion: UInt32

        /// Options for a new file.
        public init(dataVersion: UInt32 = 0) { self.dataVersion = dataVersion }
    }

    /// Lays a tree out as a new file; returns the file and its bytes, which the caller has to store and sync.
    ///
    /// The layout is that of Hyper-V's own files: headers with the sequences 1 and 0, an object table of 4 KiB, key
    /// tables of 4 KiB with parents before their children, large values, and an empty replay log that has room for
    /// every table. Values get spare bytes so that slightly longer ones fit in place later.
    ///
    /// - Throws: ``StorageError/Code/invalidTree`` for a name, nesting or value that the format cannot hold,
    ///   ``StorageError/Code/tooLarge`` when a limit of the format would be passed.
    public static func create(
        tree: KeyNode,
        options: Options = Options()
    ) throws(StorageError) -> (file: StorageFile, bytes: [UInt8]) {
        let image = try create(tree: tree, options: options, placements: [:])
        let file = try StorageFile(created: image)
        guard file.tree.children == tree.children else {
            throw StorageError(.corrupt, .tree, at: nil, "the written keys would read back differently")
        }
        return (file, image)
    }

    /// The bytes of a new file but for the arrays that stand elsewhere already.
    static func create(
        tree: KeyNode,
        options: Options = Options(),
        placements: [String: Range<Int>]
    ) throws(StorageError) -> [UInt8] {
        let alignment = 0x1000
        let first = ObjectTable(offset: ObjectTable.firstOffset, size: alignment)
        let layout = Layout(objectTables: [first])
        var diagnosis = Diagnosis(collects: false)
        let hierarchy = try Hierarchy(layout, &diagnosis)
        let blank = [UInt8](repeating: 0, count: ObjectTable.firstOffset + first.size)
        var plan = try withView(blank) { (view) throws(StorageError) in
            try ChangePlan(tree, view, layout, hierarchy, log: 0..<0, alignment: alignment, placements: placements)
        }
        try plan.finish()
        let tables = plan.space.objectTables.count + plan.keys.tables.count
        let sizes = LogSizes(tables: tables, alignment: alignment)
        guard sizes.total <= Int(UInt32.max) else {
            throw StorageError(.tooLarge, .tree, at: nil, "\(tables) tables are too many for a replay log")
        }
        var header = FileHeader(
            sequence: 0,
            logOffset: UInt64(plan.space.end),
            logSize: UInt64(sizes.total),
            logHeaderSize: UInt32(clamping: sizes.header)
        )
        header.dataVersion = options.dataVersion
        var actions = [header.write(copy: 1)]
        header.sequence = 1
        actions.append(header.write(copy: 0))
        actions.append(.write(offset: UInt64(first.offset), bytes: plan.space.objectTables[0].encoded()))
        actions += plan.newAreas.map { .write(offset: UInt64($0.offset), bytes: $0.bytes) }
        actions.append(.write(offset: header.logOffset, bytes: LogHeader(headerSize: sizes.header).encoded()))
        var image = [UInt8](repeating: 0, count: plan.space.end + sizes.total)
        StorageAction.apply(actions, to: &image)
        return image
    }
}
