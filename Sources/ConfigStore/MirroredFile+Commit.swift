import DurableFiles
import HyperVStorage
import RoostPrimitives
import Synchronization
import VMConfiguration

/// The files of which a sync has failed in this process, and which have not been written anew since.
final class DistrustedFiles: Sendable {
    private let paths = Mutex<Set<String>>([])

    func contains(_ path: String) -> Bool { paths.withLock { $0.contains(path) } }
    func insert(_ path: String) { paths.withLock { _ = $0.insert(path) } }
    func remove(_ path: String) { paths.withLock { _ = $0.remove(path) } }
}

extension MirroredFile {
    /// What a change makes of the file.
    private struct Prepared {
        var next: PrimaryContent
        /// The steps for a HyperVStorage file.
        var actions: [StorageAction] = []
        /// Whether they begin by overwriting a log whose transaction may not be in its place yet.
        var overwritesLog = false
        /// The checksums of the file's blocks before the steps.
        var checksumsBefore: [UInt32] = []

        /// Computes what the copy says of the file's blocks.
        mutating func updateChecksums() {
            next.knownChecksums = next.storage?.blockChecksums(since: checksumsBefore, actions)
        }
    }

    /// Changes both to hold `tree`, as ``commit(_:to:_:)`` does.
    func commit(_ tree: KeyNode, to opened: inout Opened) throws(StoreError) {
        var handles: Handles?
        try commit(tree, to: &opened, &handles)
    }

    /// Changes both to hold `tree`, whose generation is one more; durable in both when it returns.
    ///
    /// When it throws, both are as before as far as that could be had: a change that reached one of them is undone by
    /// writing the old keys with a further generation, to new files.
    ///
    /// - Parameter handles: the files as they were opened for this change; nil opens them.
    func commit(_ tree: KeyNode, to opened: inout Opened, _ handles: inout Handles?) throws(StoreError) {
        let keys = opened.content.tree
        var prepared = try prepare(tree, &opened.content)
        do throws(FileError) {
            switch form {
            case .storage: try apply(&prepared, &opened, &handles)
            case .xml: try applyText(&prepared, &opened)
            }
        } catch {
            if error.code == .notDurable { distrusted.insert(path) }
            do throws(StoreError) {
                opened = try writeAnew(keys, tree.generation + 1)
            } catch let second {
                throw StoreError(
                    StoreError(error).code,
                    error.message,
                    cause: "\(error.cause ?? "no reason given"); writing it anew failed too: \(second)"
                )
            }
            throw StoreError(error)
        }
        opened.content = prepared.next
        opened.configuration = nil
    }

    /// Works out a change; `before` is left without its file, which would otherwise be copied.
    private func prepare(_ tree: KeyNode, _ before: inout PrimaryContent) throws(StoreError) -> Prepared {
        guard form == .storage else { return Prepared(next: try layOut(tree).0) }
        guard var storage = before.storage else { throw StoreError(.failed, "\(path) has not been read") }
        before.knownChecksums = before.blockChecksums()
        before.storage = nil
        do throws(StorageError) {
            let hadLog = !storage.isSettled
            // The copy has the state before; it gets the new one before a log is overwritten.
            let actions = try storage.commit(tree, keptElsewhere: true)
            return Prepared(
                next: PrimaryContent(storage),
                actions: actions,
                overwritesLog: hadLog && actions.count { $0 == .sync } == 1,
                checksumsBefore: before.blockChecksums()
            )
        } catch {
            throw StoreError(.failed, "cannot change \(path)", cause: error.message)
        }
    }

    private func apply(
        _ prepared: inout Prepared,
        _ opened: inout Opened,
        _ handles: inout Handles?
    ) throws(FileError) {
        let actions = prepared.actions
        guard let last = actions.lastIndex(of: .sync) else { return }
        // What the log needs to stand on, and the log: at most one more sync between them.
        let split = actions[..<last].lastIndex(of: .sync).map { $0 + 1 } ?? 0
        var copy: DurableFile?
        var file: DurableFile
        if let known = handles.take() {
            copy = .some(known.copy)
            file = known.file
        } else {
            copy = nil
            file = try DurableFile(path, for: .writing, in: files)
        }
        try file.perform(actions[..<split])
        if prepared.overwritesLog {
            prepared.updateChecksums()
            try writeState(prepared.next, &opened, &copy) { (copy) throws(FileError) in
                // A power cut may cost the file then: the copy must have both states whole.
                try copy.sync()
                try file.perform(actions[split..<last])
                try file.sync()
            }
        } else if fitsSlot(prepared.next, opened.position) {
            try file.perform(actions[split..<last])
            // The device is busy with the log while the state for the copy is put together.
            file.startWriting()
            prepared.updateChecksums()
            try writeState(prepared.next, &opened, &copy) { (copy) throws(FileError) in
                // The log is on its way already, so the second sync has little to wait for.
                try copy.sync()
                try file.sync()
            }
        } else {
            // Making a new copy can fail for want of space: nothing may be in the log by then.
            prepared.updateChecksums()
            try writeState(prepared.next, &opened, &copy) { (copy) throws(FileError) in
                try file.perform(actions[split..<last])
                try file.sync()
                try copy.sync()
            }
        }
        // The log is durable: these are only put where they belong, and synced before the log is written again.
        try file.perform(actions[(last + 1)...])
    }

    /// Whether a state fits into the slot of the copy that it is to be written to.
    private func fitsSlot(_ next: PrimaryContent, _ position: CopyPosition?) -> Bool {
        let blocks = (next.byteCount + StorageFile.blockSize - 1) / StorageFile.blockSize
        let size = CopySlotHeader.size + CopyContent.payloadSize(of: next.tree, blocks: blocks)
        return position.map { size <= $0.slotSize } ?? false
    }

    private func applyText(_ prepared: inout Prepared, _ opened: inout Opened) throws(FileError) {
        try files.replace(path, with: prepared.next.text, withTime: true) { (next) throws(FileError) in
            // The copy says when the file was written, so that damage is told from another program's change.
            prepared.next.changed = files.timeOfChange(of: next)
            var copy: DurableFile?
            try writeState(prepared.next, &opened, &copy) { (copy) throws(FileError) in try copy.sync() }
        }
    }

    /// Writes a state into the copy, in place where it fits; `finish` syncs it, perhaps together with something else.
    private func writeState(
        _ next: PrimaryContent,
        _ opened: inout Opened,
        _ handle: inout DurableFile?,
        finish: (inout DurableFile) throws(FileError) -> Void
    ) throws(FileError) {
        let sequence = opened.position?.sequence ?? 1
        let content = next.copy(sequence: sequence + 1)
        if let position = opened.position,
            let bytes = ConfigurationCopy.slot(
                content,
                slotSize: position.slotSize,
                clearing: position.used[position.slot]
            )
        {
            let offset = position.slot * position.slotSize
            var file: DurableFile
            if let known = handle.take() {
                file = known
            } else {
                file = try DurableFile(copyPath, for: .writing, in: files)
            }
            try file.write(bytes, at: UInt64(offset))
            try finish(&file)
            opened.position = position.following(bytes.count)
            opened.copyBytes?.replaceSubrange(offset..<offset + bytes.count, with: bytes)
            return
        }
        // The state before goes along: it tells an interrupted change from an older file.
        let position = try makeCopy(content, previous: opened.content.copy(sequence: sequence))
        var file = try DurableFile(copyPath, for: .writing, in: files)
        try finish(&file)
        (opened.position, opened.copyBytes) = (position, nil)
    }

    /// Empties the replay log of the file; nothing when there is none, or when it cannot be read.
    func settle() throws(StoreError) {
        guard form == .storage, !distrusted.contains(path) else { return }
        // Recovery does not touch the headers when the log is all there is to do; as after a crash, that suffices.
        if var known = reopen(), var storage = known.content.storage {
            try perform(storage.settle())
            known.content.storage = storage
            recent.put(known, path)
        } else if case .sound(let content) = try PrimaryFile(path, in: files), var storage = content.storage {
            try perform(storage.settle())
        }
    }

    /// Carries out writes and syncs on the file.
    func perform(_ actions: [StorageAction]) throws(StoreError) {
        guard !actions.isEmpty else { return }
        do throws(FileError) {
            var file = try DurableFile(path, for: .writing, in: files)
            try file.perform(actions[...])
        } catch {
            if error.code == .notDurable { distrusted.insert(path) }
            throw StoreError(error)
        }
    }

    /// Writes a state into the older slot of a copy.
    func writeSlot(_ content: CopyContent, at position: CopyPosition) throws(StoreError) -> CopyPosition {
        guard
            let bytes = ConfigurationCopy.slot(
                content,
                slotSize: position.slotSize,
                clearing: position.used[position.slot]
            )
        else { return try writeCopy(content) }
        try asStore { () throws(FileError) in
            var file = try DurableFile(copyPath, for: .writing, in: files)
            try file.write(bytes, at: UInt64(position.slot * position.slotSize))
            try file.sync()
        }
        return position.following(bytes.count)
    }
}

extension DurableFile {
    /// Carries out writes and syncs.
    mutating func perform(_ actions: ArraySlice<StorageAction>) throws(FileError) {
        for action in actions {
            switch action {
            case .write(let offset, let bytes): try write(bytes, at: offset)
            case .sync: try sync()
            }
        }
    }
}
