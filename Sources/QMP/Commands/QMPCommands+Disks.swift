extension QMPCommands {
    /// `query-block`: the drives of the machine and what is in them.
    package struct QueryBlock: QMPCommand {
        package static let name = "query-block"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> [BlockDevice] {
            try ReplyReader(value, of: name).map(BlockDevice.init)
        }
    }

    /// `query-named-block-nodes`: the nodes of the block graph.
    package struct QueryNamedBlockNodes: QMPCommand {
        package static let name = "query-named-block-nodes"

        package init() {}

        package var arguments: [String: JSONValue] { ["flat": true] }

        package static func response(from value: JSONValue) throws(QMPError) -> [BlockNode] {
            try ReplyReader(value, of: name).map(BlockNode.init)
        }
    }

    /// `block_resize`: gives a node another size while the guest runs.
    package struct BlockResize: QMPCommand {
        package typealias Response = Void
        package static let name = "block_resize"

        package var nodeName: String
        package var sizeInBytes: UInt64

        package init(nodeName: String, sizeInBytes: UInt64) {
            self.nodeName = nodeName
            self.sizeInBytes = sizeInBytes
        }

        package var arguments: [String: JSONValue] {
            ["node-name": .string(nodeName), "size": JSONValue(sizeInBytes)]
        }
    }

    /// `eject`: opens the tray of a removable drive and takes the medium out.
    package struct Eject: QMPCommand {
        package typealias Response = Void
        package static let name = "eject"

        /// The identifier of the drive's device.
        package var id: String
        /// Whether to do it although the guest locked the tray.
        package var isForced: Bool

        package init(id: String, isForced: Bool = false) {
            self.id = id
            self.isForced = isForced
        }

        package var arguments: [String: JSONValue] { ["id": .string(id), "force": .bool(isForced)] }
    }

    /// `blockdev-change-medium`: puts another image into a removable drive.
    package struct BlockdevChangeMedium: QMPCommand {
        package typealias Response = Void
        package static let name = "blockdev-change-medium"

        /// The identifier of the drive's device.
        package var id: String
        package var filename: String
        package var format: String?
        /// Whether the guest may only read the image.
        package var isReadOnly: Bool

        package init(id: String, filename: String, format: String? = nil, isReadOnly: Bool = true) {
            self.id = id
            self.filename = filename
            self.format = format
            self.isReadOnly = isReadOnly
        }

        package var arguments: [String: JSONValue] {
            let mode: JSONValue = isReadOnly ? "read-only" : "read-write"
            return ["id": .string(id), "filename": .string(filename), "read-only-mode": mode]
                .setting("format", format.map(JSONValue.string))
        }
    }
}

/// A drive of the machine.
package struct BlockDevice: Hashable, Sendable {
    /// The back end's name; empty for a drive made with `-blockdev`.
    package var device: String
    /// The identifier or the path of the device in the machine.
    package var deviceID: String?
    package var isRemovable: Bool
    package var isLocked: Bool
    /// Whether the tray is open; nil for a drive without one.
    package var isTrayOpen: Bool?
    /// `ok`, `failed` or `nospace`; nil when the drive does not stop the machine on errors.
    package var ioStatus: String?
    /// What is in the drive; nil when it is empty.
    package var inserted: BlockNode?

    init(_ reader: ReplyReader) throws(QMPError) {
        device = try reader.string("device")
        deviceID = try reader.optionalString("qdev")
        isRemovable = try reader.bool("removable")
        isLocked = try reader.bool("locked")
        isTrayOpen = try reader.optionalBool("tray_open")
        ioStatus = try reader.optionalString("io-status")
        inserted = nil
        if let node = try reader.optionalMember("inserted") { inserted = try BlockNode(node) }
    }
}

/// A node of the block graph.
package struct BlockNode: Hashable, Sendable {
    package var name: String?
    package var driver: String
    /// The file, or a description that starts with `json:`.
    package var file: String
    package var isReadOnly: Bool
    /// The size the guest sees, in bytes.
    package var virtualSizeInBytes: UInt64
    /// The space taken on the host, in bytes; nil when it is not known.
    package var actualSizeInBytes: UInt64?
    /// The file behind it, for a differencing image.
    package var backingFile: String?

    /// The path of its file; nil for a node that is none.
    package var path: String? { Self.path(file) }
    /// The path of the file behind it.
    package var backingPath: String? { backingFile.flatMap(Self.path) }

    /// The path in what QEMU calls a file; a chain of files has a `./` for each of its members.
    private static func path(_ file: String) -> String? {
        var path = file
        if file.hasPrefix("json:") {
            guard let options = try? JSONValue(parsing: Array(file.dropFirst(5).utf8)),
                let name = options["file"]?["filename"]?.stringValue ?? options["filename"]?.stringValue
            else { return nil }
            path = name
        }
        guard path.hasPrefix("/") else { return nil }
        return "/" + path.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
    }

    init(_ reader: ReplyReader) throws(QMPError) {
        name = try reader.optionalString("node-name")
        driver = try reader.string("drv")
        file = try reader.string("file")
        isReadOnly = try reader.bool("ro")
        let image = try reader.member("image")
        virtualSizeInBytes = try image.uint64("virtual-size")
        actualSizeInBytes = try image.optionalUInt64("actual-size")
        backingFile = try reader.optionalString("backing_file")
    }
}
