import HyperVStorage
package import RoostPrimitives

/// What makes a configuration one of a checkpoint: the node `/configuration/roost/checkpoint` of its file.
///
/// The file is named after the checkpoint's own identifier, which is its `global_id`; everything else in it is the
/// virtual machine as it was.
package struct CheckpointRecord: Hashable, Sendable {
    /// What a checkpoint keeps.
    package enum Kind: String, Hashable, Sendable, CaseIterable {
        /// Disks as a guest left them that had written out what it held; like a backup.
        case production
        /// Disks and memory of one instant.
        case standard
    }

    /// A disk file that the checkpoint relies on, as it was when nobody wrote to it any more.
    package struct Disk: Hashable, Sendable {
        package var path: String
        /// The file's size in bytes.
        package var sizeInBytes: UInt64
        /// When the file was last changed, in nanoseconds since 1970; 0 while Roost itself changes its header.
        package var changed: Int64
        package var format: RoostSettings.DiskFormat

        package init(path: String, sizeInBytes: UInt64, changed: Int64, format: RoostSettings.DiskFormat = .qcow2) {
            self.path = path
            self.sizeInBytes = sizeInBytes
            self.changed = changed
            self.format = format
        }
    }

    /// The virtual machine that it is a checkpoint of.
    package var machine: GUID
    /// The checkpoint that the virtual machine came from; nil for the first.
    package var parent: GUID?
    /// What the user calls it.
    package var name: String
    package var kind: Kind
    /// When it was taken, in seconds since 1970.
    package var created: Int64
    /// Whether it is still being made: it counts only once the virtual machine's configuration names it.
    package var isArmed = false
    /// Whether the machine's schedule made it, which gives it up again when there are enough newer ones.
    package var isAutomatic = false
    package var disks: [Disk] = []
    package var receipt: CheckpointReceipt

    package init(
        machine: GUID,
        parent: GUID?,
        name: String,
        kind: Kind,
        created: Int64,
        receipt: CheckpointReceipt
    ) {
        self.machine = machine
        self.parent = parent
        self.name = name
        self.kind = kind
        self.created = created
        self.receipt = receipt
    }
}

extension VirtualMachineConfiguration {
    /// The checkpoint that this is the configuration of; nil for that of a virtual machine.
    ///
    /// Setting nil makes it a virtual machine's again.
    package var checkpoint: CheckpointRecord? {
        get { root.descendant(Self.checkpointPath).flatMap(CheckpointRecord.init) }
        set {
            guard newValue != checkpoint else { return }
            guard let newValue else {
                root.remove(Self.checkpointPath)
                return
            }
            newValue.store(in: &root, at: Self.checkpointPath)
        }
    }

    /// The checkpoint that the virtual machine's disks branched off last; nil when there is none.
    package var currentCheckpoint: GUID? {
        get { root.descendant(Self.currentCheckpointPath)?.value.asString.flatMap { GUID($0) } }
        set { root.assign(text: newValue?.uppercased, at: Self.currentCheckpointPath) }
    }

    /// The checkpoint whose UEFI variables the virtual machine is about to take, `.zero` when it is to have none; nil when
    /// it has those it is to have.
    package var variablesToTake: GUID? {
        get { root.descendant(Self.variablesToTakePath)?.value.asString.flatMap { GUID($0) } }
        set { root.assign(text: newValue?.uppercased, at: Self.variablesToTakePath) }
    }

    /// The checkpoint whose memory the virtual machine is about to take as its saved state, `.zero` when it is to have none;
    /// nil when it has what it is to have.
    package var memoryToTake: GUID? {
        get { root.descendant(Self.memoryToTakePath)?.value.asString.flatMap { GUID($0) } }
        set { root.assign(text: newValue?.uppercased, at: Self.memoryToTakePath) }
    }

    private static let memoryToTakePath = "roost/memory_to_take"
    private static let variablesToTakePath = "roost/variables_to_take"
    private static let checkpointPath = "roost/checkpoint"
    private static let currentCheckpointPath = "roost/current_checkpoint"
}

extension CheckpointRecord {
    /// Reads a record; nil when what it must say is missing or has another type.
    init?(_ node: KeyNode) {
        guard let machine = node["machine"]?.value.asString.flatMap({ GUID($0) }),
            let name = node["name"]?.value.asString,
            let kind = node["kind"]?.value.asString.flatMap(Kind.init(rawValue:))
        else { return nil }
        self.machine = machine
        self.name = name
        self.kind = kind
        parent = node["parent"]?.value.asString.flatMap { GUID($0) }
        created = node["created"]?.value.asInteger ?? 0
        isArmed = node["armed"]?.value.asBool ?? false
        isAutomatic = node["automatic"]?.value.asBool ?? false
        disks = (node["disks"]?.children ?? []).compactMap { row in
            guard row.name == "disk", let path = row["pathname"]?.value.asString,
                let size = row["size"]?.value.asInteger.flatMap(UInt64.init(exactly:)),
                let changed = row["changed"]?.value.asInteger
            else { return nil }
            let format = row["format"]?.value.asString.flatMap(RoostSettings.DiskFormat.init(rawValue:))
            return Disk(path: path, sizeInBytes: size, changed: changed, format: format ?? .qcow2)
        }
        receipt = node["receipt"].map(CheckpointReceipt.init) ?? CheckpointReceipt()
    }

    fileprivate func store(in root: inout KeyNode, at path: String) {
        root.assign(.string(machine.uppercased), at: "\(path)/machine")
        root.assign(text: parent?.uppercased, at: "\(path)/parent")
        root.assign(.string(name), at: "\(path)/name")
        root.assign(.string(kind.rawValue), at: "\(path)/kind")
        root.assign(.int(created), at: "\(path)/created")
        root.assign(.bool(isArmed), at: "\(path)/armed")
        if isAutomatic { root.assign(.bool(true), at: "\(path)/automatic") } else { root.remove("\(path)/automatic") }
        let rows = disks.map { disk in
            KeyNode(
                "disk",
                children: [
                    KeyNode("pathname", .string(disk.path)),
                    KeyNode("size", .int(Int64(clamping: disk.sizeInBytes))),
                    KeyNode("changed", .int(disk.changed)),
                    KeyNode("format", .string(disk.format.rawValue)),
                ]
            )
        }
        root.replace(KeyNode("disks", children: rows), at: path)
        root.replace(receipt.node, at: path)
    }
}

extension KeyNode {
    /// Puts a node with its children below the one at a path, in the place of the first of its name.
    fileprivate mutating func replace(_ node: KeyNode, at path: String) {
        remove("\(path)/\(node.name)")
        if !node.children.isEmpty { update(at: path) { $0.children.append(node) } }
    }
}
