/// The version of a QEMU.
package struct QMPVersion: Hashable, Sendable {
    package var major: Int64
    package var minor: Int64
    package var micro: Int64
    /// The downstream package, such as `Debian 1:7.2+dfsg-7`; empty for an unpackaged build.
    package var package: String

    package init(major: Int64, minor: Int64, micro: Int64, package: String = "") {
        self.major = major
        self.minor = minor
        self.micro = micro
        self.package = package
    }

    init(_ reader: ReplyReader) throws(QMPError) {
        let numbers = try reader.member("qemu")
        major = try numbers.int("major")
        minor = try numbers.int("minor")
        micro = try numbers.int("micro")
        package = try reader.optionalString("package") ?? ""
    }
}

extension QMPVersion: Comparable, CustomStringConvertible {
    /// Orders by the three numbers; the package does not count.
    package static func < (left: QMPVersion, right: QMPVersion) -> Bool {
        (left.major, left.minor, left.micro) < (right.major, right.minor, right.micro)
    }

    /// The three numbers: `7.2.22`.
    package var description: String { "\(major).\(minor).\(micro)" }
}

/// What QEMU says of itself when a monitor connection opens.
package struct QMPGreeting: Hashable, Sendable {
    package var version: QMPVersion
    /// The capabilities on offer; `oob` is the only one known.
    package var capabilities: [String]

    package init(version: QMPVersion, capabilities: [String]) {
        self.version = version
        self.capabilities = capabilities
    }

    init(_ message: JSONValue) throws(QMPError) {
        let body = try ReplyReader(message, of: "greeting").member("QMP")
        version = try QMPVersion(try body.member("version"))
        // A capability may come as any type (docs/interop/qmp-spec, "Server Greeting"): those not known are skipped.
        capabilities = try body.member("capabilities").elements().compactMap(\.text)
    }
}
