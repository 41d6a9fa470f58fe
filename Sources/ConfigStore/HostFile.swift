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
        tree.remove("host/switches")
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
    /// - Throws: `StoreError` as ``hostRecord()``, and what the disk reports; then the old record stays.
    package func save(_ record: HostRecord) throws(StoreError) {
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

    /// Makes the host's file and its copy anew from a record that is known from elsewhere; what is damaged stays beside them.
    ///
    /// - Returns: what was found and done.
    package func remake(_ record: HostRecord) throws(StoreError) -> StorageReport {
        let (path, copy) = (directory.hostFile, directory.copy(of: directory.hostFile))
        let plan = try FileRepair(planning: path, copy: copy, files: files)
        var tree = KeyNode("")
        record.store(in: &tree)
        let kept = files.exists(path) ? try hostFile.keepAside() : nil
        if files.exists(copy) { _ = try FileRepair.keepAside(copy, files) }
        let opened = try hostFile.writeAnew(tree, plan.newestGeneration == .max ? .max : plan.newestGeneration + 1)
        let found = StorageReport(
            path: path,
            action: .remade(keptAs: kept),
            problems: plan.problems + plan.copyProblems,
            generation: opened.content.generation
        )
        report(found)
        return found
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
