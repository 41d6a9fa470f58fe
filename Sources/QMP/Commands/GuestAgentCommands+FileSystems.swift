extension GuestAgentCommands {
    /// `guest-get-fsinfo`: the mounted file systems.
    package struct GetFSInfo: GuestAgentCommand {
        package static let name = "guest-get-fsinfo"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> [GuestFileSystem] {
            try ReplyReader(value, of: name).map { (fileSystem) throws(QMPError) in
                GuestFileSystem(
                    name: try fileSystem.string("name"),
                    mountPoint: try fileSystem.string("mountpoint"),
                    type: try fileSystem.string("type"),
                    usedInBytes: try fileSystem.optionalUInt64("used-bytes"),
                    totalInBytes: try fileSystem.optionalUInt64("total-bytes")
                )
            }
        }
    }

    /// `guest-fsfreeze-status`: whether the file systems are frozen.
    package struct FSFreezeStatus: GuestAgentCommand {
        package static let name = "guest-fsfreeze-status"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> Bool {
            let reader = ReplyReader(value, of: name)
            switch try reader.string() {
            case "frozen": return true
            case "thawed": return false
            default: throw reader.unexpected("frozen or thawed")
            }
        }
    }

    /// `guest-fsfreeze-freeze`: holds back all writes to the file systems; returns how many it froze.
    ///
    /// Until the thaw the agent refuses commands that write, ``Exec`` among them.
    package struct FSFreezeFreeze: GuestAgentCommand {
        package static let name = "guest-fsfreeze-freeze"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> Int64 {
            try ReplyReader(value, of: name).int()
        }
    }

    /// `guest-fsfreeze-freeze-list`: as ``FSFreezeFreeze``, for some mount points.
    package struct FSFreezeFreezeList: GuestAgentCommand {
        package static let name = "guest-fsfreeze-freeze-list"

        package var mountPoints: [String]

        package init(mountPoints: [String]) { self.mountPoints = mountPoints }

        package var arguments: [String: JSONValue] { ["mountpoints": JSONValue(mountPoints)] }

        package static func response(from value: JSONValue) throws(QMPError) -> Int64 {
            try ReplyReader(value, of: name).int()
        }
    }

    /// `guest-fsfreeze-thaw`: lets writes through again; returns how many file systems it thawed.
    ///
    /// Fewer than were frozen tells that something else thawed the rest before.
    package struct FSFreezeThaw: GuestAgentCommand {
        package static let name = "guest-fsfreeze-thaw"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> Int64 {
            try ReplyReader(value, of: name).int()
        }
    }

    /// `guest-file-open`: opens a file of the guest; returns a handle.
    package struct FileOpen: GuestAgentCommand {
        package static let name = "guest-file-open"

        package var path: String
        /// The mode as for C's `fopen`: `r`, `w`, `a+`.
        package var mode: String

        package init(path: String, mode: String = "r") {
            self.path = path
            self.mode = mode
        }

        package var arguments: [String: JSONValue] { ["path": .string(path), "mode": .string(mode)] }

        package static func response(from value: JSONValue) throws(QMPError) -> Int64 {
            try ReplyReader(value, of: name).int()
        }
    }

    /// `guest-file-read`: reads from an open file.
    package struct FileRead: GuestAgentCommand {
        package static let name = "guest-file-read"

        package var handle: Int64
        /// How much to read, in bytes; the agent takes at most 48 MiB.
        package var count: Int64

        package init(handle: Int64, count: Int64 = 4096) {
            self.handle = handle
            self.count = count
        }

        package var arguments: [String: JSONValue] { ["handle": .int(handle), "count": .int(count)] }

        package static func response(from value: JSONValue) throws(QMPError) -> GuestFileContent {
            let reader = ReplyReader(value, of: name)
            return GuestFileContent(bytes: try reader.bytes("buf-b64"), isAtEnd: try reader.bool("eof"))
        }
    }

    /// `guest-file-close`: closes an open file.
    package struct FileClose: GuestAgentCommand {
        package typealias Response = Void
        package static let name = "guest-file-close"

        package var handle: Int64

        package init(handle: Int64) { self.handle = handle }

        package var arguments: [String: JSONValue] { ["handle": .int(handle)] }
    }
}

/// A mounted file system of the guest.
package struct GuestFileSystem: Hashable, Sendable {
    package var name: String
    package var mountPoint: String
    /// `ext4`, `NTFS`.
    package var type: String
    package var usedInBytes: UInt64?
    package var totalInBytes: UInt64?
}

/// A piece of a file of the guest.
package struct GuestFileContent: Hashable, Sendable {
    package var bytes: [UInt8]
    package var isAtEnd: Bool
}
