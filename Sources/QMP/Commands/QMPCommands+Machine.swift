package import RoostPrimitives

extension QMPCommands {
    /// `query-version`: which QEMU this is.
    package struct QueryVersion: QMPCommand {
        package static let name = "query-version"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> QMPVersion {
            try QMPVersion(ReplyReader(value, of: name))
        }
    }

    /// `query-status`: whether the virtual processors run, and if not, why.
    package struct QueryStatus: QMPCommand {
        package static let name = "query-status"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> MachineStatus {
            let reader = ReplyReader(value, of: name)
            return MachineStatus(
                state: MachineStatus.State(rawValue: try reader.string("status")),
                isRunning: try reader.bool("running")
            )
        }
    }

    /// `query-name`: the name given with `-name`; nil without one.
    package struct QueryName: QMPCommand {
        package static let name = "query-name"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> String? {
            try ReplyReader(value, of: name).optionalString("name")
        }
    }

    /// `query-uuid`: the identifier given with `-uuid`; zero without one.
    package struct QueryUUID: QMPCommand {
        package static let name = "query-uuid"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> GUID {
            let member = try ReplyReader(value, of: name).member("UUID")
            guard let guid = GUID(try member.string()) else { throw member.unexpected("a UUID") }
            return guid
        }
    }

    /// `query-cpus-fast`: the paths of the virtual processors' objects.
    package struct QueryProcessors: QMPCommand {
        package static let name = "query-cpus-fast"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> [String] {
            try ReplyReader(value, of: name).map { (row) throws(QMPError) in try row.string("qom-path") }
        }
    }

    /// `cont`: lets the virtual processors run.
    package struct Continue: QMPCommand {
        package typealias Response = Void
        package static let name = "cont"

        package init() {}
    }

    /// `stop`: stops the virtual processors.
    package struct Stop: QMPCommand {
        package typealias Response = Void
        package static let name = "stop"

        package init() {}
    }

    /// `quit`: ends QEMU at once, as if the machine's power were cut.
    ///
    /// The answer may be lost with the connection.
    package struct Quit: QMPCommand {
        package typealias Response = Void
        package static let name = "quit"

        package init() {}
    }

    /// `system_powerdown`: presses the power button; the guest decides what follows.
    package struct SystemPowerdown: QMPCommand {
        package typealias Response = Void
        package static let name = "system_powerdown"

        package init() {}
    }

    /// `system_reset`: resets the machine at once.
    package struct SystemReset: QMPCommand {
        package typealias Response = Void
        package static let name = "system_reset"

        package init() {}
    }

    /// `system_wakeup`: wakes the guest from sleep; refused when it does not sleep.
    package struct SystemWakeup: QMPCommand {
        package typealias Response = Void
        package static let name = "system_wakeup"

        package init() {}
    }
}

/// Whether a machine runs.
package struct MachineStatus: Hashable, Sendable {
    package var state: State
    /// Whether the virtual processors run.
    package var isRunning: Bool

    /// What the machine does (QEMU's `RunState`).
    package struct State: Hashable, Sendable, RawRepresentable {
        package var rawValue: String

        package init(rawValue: String) { self.rawValue = rawValue }

        /// Started with `-S` and not yet told to run.
        package static let prelaunch = State(rawValue: "prelaunch")
        package static let running = State(rawValue: "running")
        package static let paused = State(rawValue: "paused")
        /// The guest has shut down and QEMU was told to stay.
        package static let shutdown = State(rawValue: "shutdown")
        package static let suspended = State(rawValue: "suspended")
        /// Awaits an incoming migration.
        package static let inMigrate = State(rawValue: "inmigrate")
        package static let finishMigrate = State(rawValue: "finish-migrate")
        package static let postMigrate = State(rawValue: "postmigrate")
        package static let saveVM = State(rawValue: "save-vm")
        package static let restoreVM = State(rawValue: "restore-vm")
        package static let guestPanicked = State(rawValue: "guest-panicked")
        package static let internalError = State(rawValue: "internal-error")
        /// Stopped by an error of a disk.
        package static let ioError = State(rawValue: "io-error")
        package static let watchdog = State(rawValue: "watchdog")
        package static let debug = State(rawValue: "debug")
    }
}
