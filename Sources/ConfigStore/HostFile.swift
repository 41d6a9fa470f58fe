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

    /// Reads the host's record; an empty one when there is none yet.
    package static func load(_ path: String) throws(StoreError) -> HostRecord {
        let bytes: [UInt8]
        do throws(StoreError) {
            bytes = try FileAccess.read(path)
        } catch  where error.code == .notFound {
            return HostRecord()
        }
        let tree: KeyNode
        do throws(StorageError) {
            tree = try StorageFile(parsing: bytes).tree
        } catch {
            throw StoreError(
                .corrupt,
                "cannot read \(path), which holds the host's switches: move it away and create them again",
                cause: error.message
            )
        }
        var record = HostRecord()
        if case .string(let boot)? = tree.descendant("host/boot_id")?.value { record.bootID = boot }
        for node in tree.descendant("host/switches")?.children ?? [] {
            func text(_ name: String) -> String {
                if case .string(let value)? = node[name]?.value { value } else { "" }
            }
            guard let id = GUID(text("id")) else { continue }
            record.switches.append(
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
        return record
    }

    /// Writes the record as a whole, durably.
    package func save(_ path: String) throws(StoreError) {
        var tree = KeyNode("")
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
        tree.children[0].children.append(KeyNode("switches", children: rows))
        let bytes: [UInt8]
        do throws(StorageError) {
            bytes = try StorageFile.create(tree: tree).bytes
        } catch {
            throw StoreError(.failed, "cannot make \(path)", cause: error.message)
        }
        try FileAccess.write(bytes, to: path)
    }
}
