/// Files whose large values are written before anything else, as a stream whose length nobody knows.
///
/// The head, which comes last and has all tables, stands in front of them. Until it is written the file is none.
extension StorageFile {
    /// The most that a head takes, in bytes; large values stand behind it.
    package static let headSize = 1 << 20
    /// The most bytes of one large value.
    package static let largestPlacedValue = 1 << 30

    /// Lays out the head of a file whose large values stand in it already.
    ///
    /// - Parameters:
    ///   - tree: the keys; arrays that are placed are empty.
    ///   - placements: where they stand, by the names of their keys, each in a multiple of 4 KiB and behind
    ///     ``headSize``.
    /// - Returns: the bytes from the file's beginning; the first 8 KiB, with the headers, are to be written last.
    /// - Throws: as ``create(tree:options:)``.
    package static func head(
        tree: KeyNode,
        placements: [String: Range<Int>]
    ) throws(StorageError) -> [UInt8] {
        for (name, area) in placements {
            guard area.lowerBound >= headSize, area.lowerBound % 0x1000 == 0, area.count <= largestPlacedValue else {
                throw StorageError(.invalidTree, .tree, at: area.lowerBound, "\(name) does not stand where it may")
            }
        }
        let bytes = try create(tree: tree, placements: placements)
        guard bytes.count <= headSize else {
            throw StorageError(.tooLarge, .tree, at: nil, "the keys take \(bytes.count) bytes of at most \(headSize)")
        }
        return bytes
    }

    /// Reads the head of a file, with all tables, and not the large values behind it.
    ///
    /// - Parameters:
    ///   - bytes: the first ``headSize`` bytes, or all of a smaller file.
    ///   - fileSize: the size of the whole file.
    /// - Returns: the keys, and where the arrays stand whose bytes are not at hand, by the names of their keys.
    /// - Throws: as ``init(parsing:)``; a file that is not at rest is ``StorageError/Code/corrupt``.
    package static func head(
        of bytes: [UInt8],
        fileSize: Int
    ) throws(StorageError) -> (tree: KeyNode, placed: [String: Range<Int>]) {
        try withView(bytes) { (view) throws(StorageError) in
            let headers = try FileHeaders(view)
            guard case .clean = try LogState(view, headers.current) else {
                throw StorageError(.corrupt, .logHeader, at: headers.current.logOffset, "the file is not at rest")
            }
            var diagnosis = Diagnosis(collects: false)
            let layout = try Layout(view, fileSize: fileSize, &diagnosis)
            let tree = try layout.tree(view, try Hierarchy(layout, &diagnosis), &diagnosis)
            var placed: [String: Range<Int>] = [:]
            for entry in layout.entries where entry.pointsToFileObject {
                let count = Int(view.load(entry.dataOffset, as: UInt32.self))
                let offset = clamped(view.load(entry.dataOffset + 4, as: UInt64.self))
                if !view.holds(offset, count) { placed[entry.name(view)] = offset..<offset + count }
            }
            return (tree, placed)
        }
    }
}
