/// What can be read of a damaged file.
public struct StorageSalvage: Sendable {
    /// The keys that can be read and whose parents can be, below a root without a name.
    public var tree = KeyNode("")
    /// Keys that can be read, with what is below them, whose parent is lost.
    public var orphans: [KeyNode] = []
    /// What is wrong, by structure and offset.
    public var findings: [StorageFinding] = []

    /// The number of keys that can be read, orphans included.
    public var keyCount: Int { (tree.children + orphans).reduce(0) { $0 + Self.count($1) } }

    private static func count(_ node: KeyNode) -> Int { node.children.reduce(1) { $0 + count($1) } }
}

extension StorageFile {
    /// Reads whatever can be read of a file, however damaged it is.
    ///
    /// Key tables are found without the object tables that name them, and keys behind damaged ones in their table. Only
    /// keys whose own checksum is right are taken; values outside the tables have none.
    public static func salvage(_ bytes: [UInt8]) -> StorageSalvage {
        var salvage = StorageSalvage()
        var image = bytes
        var diagnosis = Diagnosis(collects: true)
        do {
            var headers = try withView(bytes) { (view) throws(StorageError) in try FileHeaders(view) }
            if let defect = headers.defect {
                diagnosis.note(.warning, .fileHeader, at: (1 - headers.copy) * FileHeader.copySize, defect)
            }
            headers.defect = nil
            let state = try withView(bytes) { (view) throws(StorageError) in try LogState(view, headers.current) }
            switch state {
            case .clean: break
            case .committed(_, let writes): StorageAction.apply(writes, to: &image)
            case .bad(_, let error): try? diagnosis.fail(error)
            }
        } catch {
            try? diagnosis.fail(error)
        }
        _ = try? withView(image) { (view) throws(StorageError) in
            let layout = try Layout(salvaging: view, &diagnosis)
            let hierarchy = try Hierarchy(layout, &diagnosis)
            salvage.tree = try layout.tree(view, hierarchy, &diagnosis)
            salvage.orphans = try layout.orphans(view, hierarchy, &diagnosis)
        }
        salvage.findings = diagnosis.findings
        return salvage
    }
}
