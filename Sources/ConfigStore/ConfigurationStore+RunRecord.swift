import DurableFiles
import HyperVStorage
package import RoostPrimitives

extension ConfigurationStore {
    /// Reads what is known of a machine's last start; nil when it never started.
    ///
    /// A damaged record comes back from its second copy, as a configuration does; so does one that is missing.
    ///
    /// - Throws: `StoreError` `.corrupt` when both are damaged.
    package func runRecord(of id: GUID) throws(StoreError) -> RunRecord? {
        do throws(StoreError) {
            return RunRecord(tree: try recordFile(id).open(.whole).content.tree)
        } catch  where error.code == .notFound {
            return nil
        }
    }

    /// Writes a run record, durably and with its second copy; keys of the file that are not the record's stay.
    ///
    /// Where both are damaged, the file is kept beside the new one as `.vmrs.damaged-<number>`.
    package func save(_ record: RunRecord, of id: GUID, version: Int) throws(StoreError) {
        let file = recordFile(id)
        do throws(StoreError) {
            var opened = try file.open(.whole)
            var tree = opened.content.tree
            record.store(in: &tree)
            guard tree.children != opened.content.tree.children else { return }
            try file.commit(tree.with(generation: opened.content.generation + 1), to: &opened)
        } catch  where error.code == .notFound || error.code == .corrupt {
            if error.code == .corrupt { _ = try file.keepAside() }
            var tree = KeyNode("")
            tree.set("configuration/properties/version", .int(Int64(version)))
            record.store(in: &tree)
            _ = try file.writeAnew(tree, 1)
        }
    }

    func recordFile(_ id: GUID) -> MirroredFile {
        var file = mirrored(directory.runRecord(id))
        file.restoresMissing = true
        return file
    }
}
