internal import RoostPrimitives

extension StorageFile {
    /// The size of the blocks that ``blockChecksums()`` and ``problems(inBlocks:)`` speak of, in bytes.
    package static let blockSize = 4096

    /// The size of the file in bytes, when all actions handed out so far are carried out.
    package var byteCount: Int { image.count }

    /// Whether a file's bytes are just what this value stands for.
    package func isImage(_ bytes: [UInt8]) -> Bool { image.hasSameBytes(as: bytes) }

    /// The CRC-32 of each 4 KiB block of the file as it will be at rest; 0 for the two blocks of the file headers.
    ///
    /// The headers change when the log is emptied, and a reader can check each of their bytes without help. All other
    /// blocks have the same checksum while the log is in force, afterwards, and when a cut-off transaction has been
    /// completed at opening.
    ///
    /// - Parameters:
    ///   - known: the checksums before `actions`, which brought the file to its present state.
    ///   - actions: what has been written since; only the blocks of these are computed.
    package func blockChecksums(since known: [UInt32] = [], _ actions: [StorageAction] = []) -> [UInt32] {
        let logStart = clamped(headers.current.logOffset)
        let empty = log.encoded()
        var changed = Array(repeating: false, count: (image.count + Self.blockSize - 1) / Self.blockSize)
        let ranges = actions.map(\.range) + [logStart..<logStart + empty.count]
        for range in ranges.map({ $0.clamped(to: 0..<image.count) }) where !range.isEmpty {
            for block in range.lowerBound / Self.blockSize...(range.upperBound - 1) / Self.blockSize {
                changed[block] = true
            }
        }
        return image.withUnsafeBytes { buffer in
            stride(from: 0, to: buffer.count, by: Self.blockSize).map { start in
                let block = start / Self.blockSize
                guard start >= FileHeader.areaEnd else { return 0 }
                let end = min(start + Self.blockSize, buffer.count)
                // The last known block may have been shorter.
                if block < known.count - 1, !changed[block] { return known[block] }
                var crc = CRC32()
                // The log's header is aligned, so it never reaches into a further block.
                if isLogInForce, logStart >= start, logStart + empty.count <= end {
                    crc.update(buffer: UnsafeRawBufferPointer(rebasing: buffer[start..<logStart]))
                    crc.update(empty)
                    crc.update(buffer: UnsafeRawBufferPointer(rebasing: buffer[logStart + empty.count..<end]))
                } else {
                    crc.update(buffer: UnsafeRawBufferPointer(rebasing: buffer[start..<end]))
                }
                return crc.value
            }
        }
    }

    /// What is wrong in the two blocks of the file headers, which nothing but themselves protects.
    package func headerProblems() -> [String] {
        var problems: [String] = []
        if let header = recovery.header {
            let offset = header.copy * FileHeader.copySize
            problems.append(StorageError(.corrupt, .fileHeader, at: offset, header.reason).message)
        }
        for copy in 0..<2 where dirtyHeaderTail(copy) != nil {
            let offset = copy * FileHeader.copySize
            problems.append(
                StorageError(.corrupt, .fileHeader, at: offset, "bytes behind the header are not zero").message
            )
        }
        return problems
    }

    /// The bytes behind a file header, when one of them is not zero.
    func dirtyHeaderTail(_ copy: Int) -> Range<Int>? {
        let tail = copy * FileHeader.copySize + FileHeader.size..<(copy + 1) * FileHeader.copySize
        return tail.upperBound <= image.count && image[tail].contains { $0 != 0 } ? tail : nil
    }

    /// Completes recovery, and puts right what ``headerProblems()`` names; returns the writes and syncs that do so.
    package mutating func repairHeaders() -> [StorageAction] {
        var actions = takeRecoveryActions()
        let tails = (0..<2).compactMap(dirtyHeaderTail)
        for tail in tails {
            actions.append(.write(offset: UInt64(tail.lowerBound), bytes: Array(repeating: 0, count: tail.count)))
        }
        if !tails.isEmpty { actions.append(.sync) }
        StorageAction.apply(actions, to: &image)
        return actions
    }

    /// What a block of the file is used for.
    package enum BlockUse: String, Sendable, Hashable {
        /// Headers, tables, or the replay log.
        case structure
        /// Values that are stored outside the tables, which have no checksum of their own.
        case fileObject = "file object"
        /// Nothing that counts.
        case unused
    }

    /// What each 4 KiB block of the file is used for; of several uses the first in the order of ``BlockUse``.
    ///
    /// The replay log counts as unused: between transactions nothing in it counts but its header, which opening checks.
    package func blockUses() -> [BlockUse] {
        var uses = Array(
            repeating: BlockUse.unused,
            count: (image.count + Self.blockSize - 1) / Self.blockSize
        )
        func mark(_ area: Range<Int>, _ use: BlockUse) {
            let end = min(area.upperBound, image.count)
            guard area.lowerBound < end else { return }
            for block in area.lowerBound / Self.blockSize...(end - 1) / Self.blockSize {
                if uses[block] != .structure { uses[block] = use }
            }
        }
        let layout = try? withView(image) { (view) throws(StorageError) in
            var ignored = Diagnosis(collects: false)
            return try Layout(view, &ignored)
        }
        for entry in layout?.objectTables.flatMap(\.entries) ?? [] where entry.type == ObjectEntry.Kind.fileObject {
            mark(entry.area, .fileObject)
        }
        mark(0..<FileHeader.areaEnd, .structure)
        for table in layout?.objectTables ?? [] { mark(table.offset..<table.offset + table.size, .structure) }
        for table in layout?.tables ?? [] { mark(table.offset..<table.offset + table.size, .structure) }
        return uses
    }
}

extension StorageAction {
    /// The bytes of the file that it writes.
    fileprivate var range: Range<Int> {
        guard case .write(let offset, let bytes) = self, let start = Int(exactly: offset) else { return 0..<0 }
        return start..<start + bytes.count
    }
}
