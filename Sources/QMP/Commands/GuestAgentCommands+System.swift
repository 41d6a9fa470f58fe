extension GuestAgentCommands {
    /// `guest-ping`: does nothing; the answer says that the agent lives.
    package struct Ping: GuestAgentCommand {
        package typealias Response = Void
        package static let name = "guest-ping"

        package init() {}
    }

    /// `guest-info`: the agent's version and its commands.
    package struct GetInfo: GuestAgentCommand {
        package static let name = "guest-info"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> GuestAgentInfo {
            let reader = ReplyReader(value, of: name)
            return GuestAgentInfo(
                version: try reader.string("version"),
                commands: try reader.list("supported_commands") { (command) throws(QMPError) in
                    GuestAgentInfo.Command(
                        name: try command.string("name"),
                        isEnabled: try command.bool("enabled"),
                        answersOnSuccess: try command.optionalBool("success-response") ?? true
                    )
                }
            )
        }
    }

    /// `guest-get-osinfo`: which operating system runs, as its `os-release` says.
    package struct GetOSInfo: GuestAgentCommand {
        package static let name = "guest-get-osinfo"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> GuestOSInfo {
            let reader = ReplyReader(value, of: name)
            return GuestOSInfo(
                id: try reader.optionalString("id"),
                name: try reader.optionalString("name"),
                prettyName: try reader.optionalString("pretty-name"),
                version: try reader.optionalString("version"),
                versionID: try reader.optionalString("version-id"),
                kernelRelease: try reader.optionalString("kernel-release"),
                kernelVersion: try reader.optionalString("kernel-version"),
                machine: try reader.optionalString("machine")
            )
        }
    }

    /// `guest-get-host-name`: the guest's own name.
    package struct GetHostName: GuestAgentCommand {
        package static let name = "guest-get-host-name"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> String {
            try ReplyReader(value, of: name).string("host-name")
        }
    }

    /// `guest-get-time`: the guest's clock, in nanoseconds since 1970, UTC.
    package struct GetTime: GuestAgentCommand {
        package static let name = "guest-get-time"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> Int64 {
            try ReplyReader(value, of: name).int()
        }
    }

    /// `guest-set-time`: sets the guest's clock.
    package struct SetTime: GuestAgentCommand {
        package typealias Response = Void
        package static let name = "guest-set-time"

        /// Nanoseconds since 1970, UTC; nil to take the machine's real-time clock.
        package var nanoseconds: Int64?

        package init(nanoseconds: Int64? = nil) { self.nanoseconds = nanoseconds }

        package var arguments: [String: JSONValue] { [:].setting("time", nanoseconds.map(JSONValue.int)) }
    }

    /// `guest-shutdown`: shuts the guest down from within.
    ///
    /// The agent answers errors only. When the guest is quick, the channel closes before the agent has answered the
    /// synchronisation behind the command, which then ends with ``QMPError/Code/closed``.
    package struct Shutdown: GuestAgentCommand {
        package typealias Response = Void
        package static let name = "guest-shutdown"
        package static let answersOnSuccess = false

        /// What is to follow.
        package enum Mode: String, Hashable, Sendable {
            case halt, powerdown, reboot
        }

        package var mode: Mode

        package init(mode: Mode = .powerdown) { self.mode = mode }

        package var arguments: [String: JSONValue] { ["mode": .string(mode.rawValue)] }
    }

    /// `guest-network-get-interfaces`: the guest's network interfaces and their addresses.
    package struct NetworkGetInterfaces: GuestAgentCommand {
        package static let name = "guest-network-get-interfaces"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> [GuestNetworkInterface] {
            try ReplyReader(value, of: name).map(GuestNetworkInterface.init)
        }
    }
}

/// The agent's version and its commands.
package struct GuestAgentInfo: Hashable, Sendable {
    package var version: String
    package var commands: [Command]

    /// A command the agent knows.
    package struct Command: Hashable, Sendable {
        package var name: String
        /// Whether the guest's configuration allows it.
        package var isEnabled: Bool
        package var answersOnSuccess: Bool
    }
}

/// Which operating system runs in the guest.
package struct GuestOSInfo: Hashable, Sendable {
    /// `debian`, `ubuntu`, `mswindows`.
    package var id: String?
    package var name: String?
    package var prettyName: String?
    package var version: String?
    package var versionID: String?
    package var kernelRelease: String?
    package var kernelVersion: String?
    package var machine: String?
}

/// A network interface of the guest.
package struct GuestNetworkInterface: Hashable, Sendable {
    package var name: String
    /// The MAC address in the guest's notation, such as `52:54:00:12:34:56`.
    package var hardwareAddress: String?
    package var addresses: [Address]

    init(_ reader: ReplyReader) throws(QMPError) {
        name = try reader.string("name")
        hardwareAddress = try reader.optionalString("hardware-address")
        addresses = try reader.list("ip-addresses") { (address) throws(QMPError) in
            Address(
                family: try address.string("ip-address-type"),
                address: try address.string("ip-address"),
                prefixLength: try address.int("prefix")
            )
        }
    }

    /// An address of an interface.
    package struct Address: Hashable, Sendable {
        /// `ipv4` or `ipv6`.
        package var family: String
        package var address: String
        package var prefixLength: Int64
    }
}
