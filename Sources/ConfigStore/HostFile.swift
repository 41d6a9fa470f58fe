import DurableFiles
import HyperVStorage
package import RoostPrimitives

/// What the host itself keeps: its switches and the run in which roostd last worked.
package struct HostRecord: Sendable, Hashable {
    /// A virtual switch as it is stored.
    package struct Switch: Sendable, Hashable {
        package var id: GUID
        package var name: String
        /// `Private`, `Internal` or `External`.
        package var type: String
        package var bridge: String
        package var interface: String
        /// Whether Roost made the bridge, and so deletes it with the switch.
        package var ownsBridge: Bool

        package init(id: GUID, name: String, type: String, bridge: String, interface: String, ownsBridge: Bool) {
            self.id = id
            self.name = name
            self.type = type
            self.bridge = bridge
            self.interface = interface
            self.ownsBridge = ownsBridge
        }
    }

    package var switches: [Switch] = []
    /// The host's run in which roostd last worked: another one means that the host has started since.
    package var bootID = ""

    package init() {}

    /// What a file's keys say.
    init(tree: KeyNode) {
        if case .string(let boot)? = tree.descendant("host/boot_id")?.value { bootID = boot }
        for node in tree.descendant("host/switches")?.children ?? [] {
            func text(_ name: String) -> String {
                if case .string(let value)? = node[name]?.value { value } else { "" }
            }
            guard let id = GUID(text("id")) else { continue }
            switches.append(
                Switch(
                    id: id,
                    name: text("name"),
                    type: text("type"),
                    bridge: text("bridge"),
                    interface: text("interface"),
                    ownsBridge: node["owns_bridge"]?.value == .bool(true)
                )
            )
        }
    }

    /// Puts the record in the place of the one that the keys hold; other keys stay.
    func store(in tree: inout KeyNode) {
        tree.set("host/boot_id", .string(bootID))
        let rows = switches.map { item in
            KeyNode(
                "switch",
                children: [
                    KeyNode("id", .string(item.id.uppercased)), KeyNode("name", .string(item.name)),
                    KeyNode("type", .string(item.type)), KeyNode("bridge", .string(item.bridge)),
                    KeyNode("interface", .string(item.interface)), KeyNode("owns_bridge", .bool(item.ownsBridge)),
                ]
            )
        }
        // A damaged file may have given several.
        while tree.remove("host/switches") != nil {}
        guard let host = tree.children.firstIndex(where: { $0.name == "host" }) else { return }
        tree.children[host].children.append(KeyNode("switches", children: rows))
    }
}

extension ConfigurationStore {
    /// Reads the host's record; an empty one when there is none yet.
    ///
    /// A damaged or missing file comes back from its second copy, as a run record does.
    ///
    /// - Throws: `StoreError` `.corrupt` when the copy cannot help, with what to do about it.
    package func hostRecord() throws(StoreError) -> HostRecord {
        guard let opened = try openHostFile() else { return HostRecord() }
        return HostRecord(tree: opened.content.tree)
    }

    /// Writes the host's record, durably and with its second copy; keys of the file that are not the record's stay.
    ///
    /// - Parameter known: the record as it was stored last, when somebody knows: a file that has become unreadable since,
    ///   with its copy, is made anew from it.
    /// - Throws: `StoreError` as ``hostRecord()``, and what the disk reports; then the old record stays.
    package func save(_ record: HostRecord, known: HostRecord? = nil) throws(StoreError) {
        if let known { try mend(known) }
        guard var opened = try openHostFile() else {
            var tree = KeyNode("")
            record.store(in: &tree)
            return try hostFile.create(tree)
        }
        var tree = opened.content.tree
        record.store(in: &tree)
        guard tree.children != opened.content.tree.children else { return }
        try hostFile.commit(tree.with(generation: opened.content.generation + 1), to: &opened)
    }

    /// Checks every byte of the host's file and of its second copy, and puts right what is damaged.
    ///
    /// - Parameter known: the record as it was stored last, when somebody knows: what is damaged or missing in both places
    ///   is made anew from it.
    /// - Returns: what was found and put right; it is reported as ever, too.
    /// - Throws: as ``hostRecord()``.
    package func scrubHostRecord(known: HostRecord? = nil) throws(StoreError) -> [StorageReport] {
        let (store, found) = noting()
        if let known { try store.mend(known) } else { _ = try store.hostRecord() }
        return found.reports
    }

    /// Makes the host's file and its copy anew from a known record when neither can be used.
    ///
    /// - Throws: `StoreError` `.corrupt` for a file that can be read and is older than its copy: somebody has put it there.
    private func mend(_ known: HostRecord) throws(StoreError) {
        let (path, copy) = (directory.hostFile, directory.copy(of: directory.hostFile))
        do throws(StoreError) {
            if try openHostFile() != nil || known == HostRecord() { return }
        } catch {
            guard error.code == .corrupt, known != HostRecord() else { throw error }
            let plan = try FileRepair(planning: path, copy: copy, files: files)
            guard !plan.isReadable else { throw error }
            return try remake(known, plan, copy)
        }
        try remake(known, try FileRepair(planning: path, copy: copy, files: files), copy)
    }

    private func remake(_ record: HostRecord, _ plan: FileRepair, _ copy: String) throws(StoreError) {
        let generation = plan.nextGeneration
        // What else stands in the best that can be read stays.
        var tree = plan.sources.first.flatMap(plan.tree(of:)) ?? KeyNode("")
        record.store(in: &tree)
        if (try? hostFile.layOut(tree)).map({ HostRecord(tree: $0.0.tree) }) != record {
            tree = KeyNode("")
            record.store(in: &tree)
        }
        let kept = files.exists(plan.path) ? try hostFile.keepAside() : nil
        if files.exists(copy) { _ = try FileRepair.keepAside(copy, files) }
        _ = try hostFile.writeAnew(tree, generation)
        report(
            StorageReport(
                path: plan.path,
                action: .remade(keptAs: kept),
                problems: plan.problems + plan.copyProblems,
                generation: generation
            )
        )
    }

    /// Empties the replay log of the host's file, as ``settle(path:)`` does for a configuration.
    package func settleHostRecord() throws(StoreError) {
        if files.exists(directory.hostFile) { try hostFile.settle() }
    }

    /// The host's file as both it and its copy have it; nil when there is neither.
    private func openHostFile() throws(StoreError) -> MirroredFile.Opened? {
        let path = directory.hostFile
        let copy = directory.copy(of: path)
        guard files.exists(path) || files.exists(copy) else { return nil }
        do throws(StoreError) {
            return try hostFile.open(.scrub)
        } catch  where error.code == .corrupt || error.code == .notFound {
            throw StoreError(
                .corrupt,
                "cannot use \(path), which holds the host's switches: roost file repair --dry-run \(path) says what can "
                    + "be saved; or move it and \(copy) away and create the switches again",
                cause: [error.message, error.cause].compactMap(\.self).joined(separator: ": ")
            )
        }
    }

    private var hostFile: MirroredFile {
        var file = mirrored(directory.hostFile)
        file.restoresMissing = true
        return file
    }
}
