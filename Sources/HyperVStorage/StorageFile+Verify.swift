extension StorageFile {
    /// Checks everything in a file and reports all that is wrong or odd, by structure and offset.
    ///
    /// A file without a finding of severity ``StorageFinding/Severity/error`` is one that ``init(parsing:)`` opens.
    /// File objects have no checksum in this format: damage inside them cannot be found.
    public static func verify(_ bytes: [UInt8]) -> [StorageFinding] {
        var diagnosis = Diagnosis(collects: true)
        do {
            let file = try StorageFile(bytes, &diagnosis)
            var checks = Diagnosis(collects: true)
            file.reportRecovery(&checks)
            file.checkInvariants(&checks)
            return diagnosis.findings + checks.findings
        } catch {
            try? diagnosis.fail(error)
        }
        // The headers or the log stop a reader here; what stands behind them is still worth a look.
        _ = try? keys(bytes, &diagnosis)
        return diagnosis.findings
    }

    /// Checks this file, with what recovery has put right already put right.
    public func verify() -> [StorageFinding] { Self.verify(image) }

    // MARK: - Findings that stop no reader

    private func reportRecovery(_ diagnosis: inout Diagnosis) {
        let offset = clamped(headers.current.logOffset)
        switch recovery.log {
        case .clean: break
        case .replayed(let writes):
            diagnosis.note(.notice, .logHeader, at: offset, "\(writes) committed writes are to be completed")
        case .discarded(let reason):
            diagnosis.note(.warning, .logHeader, at: offset, "its contents are discarded: \(reason)")
        }
        for copy in 0..<2 where copy != recovery.header?.copy && dirtyHeaderTail(copy) != nil {
            diagnosis.note(
                .warning,
                .fileHeader,
                at: copy * FileHeader.copySize,
                "bytes behind the header are not zero"
            )
        }
        if let header = recovery.header {
            diagnosis.note(
                .warning,
                .fileHeader,
                at: header.copy * FileHeader.copySize,
                "the copy is not used: \(header.reason)"
            )
        }
    }

    private func checkInvariants(_ diagnosis: inout Diagnosis) {
        var checks = diagnosis
        defer { diagnosis = checks }
        var ignored = Diagnosis(collects: true)
        _ = try? withView(image) { (view) throws(StorageError) in
            let layout = try Layout(view, &ignored)
            let hierarchy = try Hierarchy(layout, &ignored)
            _ = try layout.tree(view, hierarchy, &ignored)
            checkKeys(view, layout, hierarchy, &checks)
            checkAreas(view, layout, &checks)
        }
    }

    private func checkKeys(_ view: ImageView, _ layout: Layout, _ hierarchy: Hierarchy, _ diagnosis: inout Diagnosis) {
        var reachable = 0
        var waiting: [Int?] = [nil]
        while let parent = waiting.popLast() {
            var previous: UInt32 = 0
            for child in hierarchy.children(of: parent) {
                let entry = layout.entries[Int(child)]
                reachable += 1
                if entry.sequence <= previous {
                    diagnosis.note(
                        .warning,
                        .keyEntry,
                        at: entry.fileOffset,
                        "insertion sequence \(entry.sequence), which another child of its parent has too"
                    )
                }
                previous = entry.sequence
                if entry.isNode { waiting.append(Int(child)) }
            }
            if let parent, previous > 0, layout.entries[parent].nextSequence(view) <= previous {
                diagnosis.note(
                    .warning,
                    .keyEntry,
                    at: layout.entries[parent].fileOffset,
                    "next insertion sequence \(layout.entries[parent].nextSequence(view)) with a child at \(previous)"
                )
            }
        }
        let connected = hierarchy.parents.count { $0 >= -1 }
        if reachable < connected {
            try? diagnosis.fail(
                StorageError(
                    .corrupt,
                    .tree,
                    at: nil,
                    "\(connected - reachable) keys are not connected to the root"
                )
            )
        }
    }

    private func checkAreas(_ view: ImageView, _ layout: Layout, _ diagnosis: inout Diagnosis) {
        let log = clamped(headers.current.logOffset)
        let alignment = Int(headers.current.alignment)
        do {
            let space = try FileSpace(
                layout.objectTables,
                log: log..<log + Int(headers.current.logSize),
                alignment: alignment,
                fileSize: view.count
            )
            if let area = space.misplacedFree {
                diagnosis.note(
                    .warning,
                    .objectEntry,
                    at: area.lowerBound,
                    "\(area.count) bytes are listed as free and used by something else"
                )
            }
        } catch {
            try? diagnosis.fail(error)
        }
        let used = Set(
            layout.entries.lazy.filter(\.pointsToFileObject).map { view.load($0.dataOffset + 4, as: UInt64.self) }
        )
        for table in layout.objectTables {
            for (row, entry) in table.entries.enumerated() where entry.type != ObjectEntry.Kind.empty {
                let offset = table.offset + ObjectTable.headerSize + row * ObjectEntry.size
                if entry.type > ObjectEntry.Kind.free {
                    diagnosis.note(.notice, .objectEntry, at: offset, "type \(entry.type) is unknown and left alone")
                }
                if entry.type == ObjectEntry.Kind.fileObject, !used.contains(entry.offset) {
                    diagnosis.note(.notice, .objectEntry, at: offset, "no key uses the file object")
                }
                if entry.offset % UInt64(alignment) != 0 {
                    diagnosis.note(
                        .warning,
                        .objectEntry,
                        at: offset,
                        "offset \(hexadecimal(entry.offset)) is no multiple of \(hexadecimal(alignment))"
                    )
                }
            }
        }
    }
}
