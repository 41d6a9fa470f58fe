extension QMPCommands {
    /// `screendump`: writes the picture of a screen to a file that QEMU makes.
    package struct Screendump: QMPCommand {
        package typealias Response = Void
        package static let name = "screendump"

        /// The format of a picture; `png` needs QEMU 7.1.
        package enum Format: String, Hashable, Sendable {
            case ppm, png
        }

        package var filename: String
        /// The format; nil for PPM, without naming it.
        package var format: Format?

        package init(filename: String, format: Format? = nil) {
            self.filename = filename
            self.format = format
        }

        package var arguments: [String: JSONValue] {
            ["filename": .string(filename)].setting("format", format.map { .string($0.rawValue) })
        }
    }

    /// `query-vnc`: whether and where the screen is served.
    package struct QueryVNC: QMPCommand {
        package static let name = "query-vnc"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> VNCStatus {
            let reader = ReplyReader(value, of: name)
            return VNCStatus(
                isEnabled: try reader.bool("enabled"),
                family: try reader.optionalString("family"),
                host: try reader.optionalString("host"),
                service: try reader.optionalString("service"),
                clientCount: try reader.optionalMember("clients")?.elements().count ?? 0
            )
        }
    }

    /// `query-chardev`: the character devices.
    package struct QueryChardev: QMPCommand {
        package static let name = "query-chardev"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> [CharacterDevice] {
            try ReplyReader(value, of: name).map { (device) throws(QMPError) in
                CharacterDevice(
                    label: try device.string("label"),
                    filename: try device.string("filename"),
                    isFrontendOpen: try device.bool("frontend-open")
                )
            }
        }
    }
}

/// Whether and where the screen is served.
package struct VNCStatus: Hashable, Sendable {
    package var isEnabled: Bool
    /// `ipv4`, `ipv6`, `unix` or `unknown`.
    package var family: String?
    /// The address; empty for a Unix socket.
    package var host: String?
    /// The port, or the path of the Unix socket.
    package var service: String?
    package var clientCount: Int
}

/// A character device.
package struct CharacterDevice: Hashable, Sendable {
    package var label: String
    /// What is behind it, such as `disconnected:unix:…,server=on`.
    package var filename: String
    /// Whether the guest has its side open.
    package var isFrontendOpen: Bool
}
