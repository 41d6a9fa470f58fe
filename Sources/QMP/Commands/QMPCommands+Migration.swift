extension QMPCommands {
    /// `migrate`: begins to send the machine's state; ``QueryMigrate`` and the event tell how it goes.
    package struct Migrate: QMPCommand {
        package typealias Response = Void
        package static let name = "migrate"

        /// Where to: `unix:PATH`, `fd:NAME`, `tcp:HOST:PORT`.
        package var uri: String

        package init(uri: String) { self.uri = uri }

        package var arguments: [String: JSONValue] { ["uri": .string(uri)] }
    }

    /// `migrate-incoming`: begins to take a machine's state, in a QEMU started with `-incoming defer`.
    package struct MigrateIncoming: QMPCommand {
        package typealias Response = Void
        package static let name = "migrate-incoming"

        /// Where from, as in ``Migrate/uri``.
        package var uri: String

        package init(uri: String) { self.uri = uri }

        package var arguments: [String: JSONValue] { ["uri": .string(uri)] }
    }

    /// `migrate_cancel`: ends the migration; the machine goes on here.
    package struct MigrateCancel: QMPCommand {
        package typealias Response = Void
        package static let name = "migrate_cancel"

        package init() {}
    }

    /// `migrate-set-capabilities`: switches features of migration on and off.
    package struct MigrateSetCapabilities: QMPCommand {
        package typealias Response = Void
        package static let name = "migrate-set-capabilities"

        package var capabilities: [String: Bool]

        package init(_ capabilities: [String: Bool]) { self.capabilities = capabilities }

        package var arguments: [String: JSONValue] {
            let list = capabilities.sorted { $0.key < $1.key }
                .map { ["capability": .string($0.key), "state": .bool($0.value)] as JSONValue }
            return ["capabilities": .array(list)]
        }
    }

    /// `migrate-set-parameters`: sets limits of migration.
    package struct MigrateSetParameters: QMPCommand {
        package typealias Response = Void
        package static let name = "migrate-set-parameters"

        package var parameters: [String: JSONValue]

        package init(_ parameters: [String: JSONValue]) { self.parameters = parameters }

        package var arguments: [String: JSONValue] { parameters }
    }

    /// `query-migrate`: how the migration goes.
    package struct QueryMigrate: QMPCommand {
        package static let name = "query-migrate"

        package init() {}

        package static func response(from value: JSONValue) throws(QMPError) -> MigrationStatus {
            try MigrationStatus(ReplyReader(value, of: name))
        }
    }
}

/// How a migration goes.
package struct MigrationStatus: Hashable, Sendable {
    /// The stage; nil when none was ever begun.
    package var state: State?
    /// The time since its beginning, or in all, in milliseconds.
    package var totalTimeInMilliseconds: Int64?
    /// How long the guest stood still, in milliseconds; known at the end.
    package var downtimeInMilliseconds: Int64?
    package var memory: Memory?
    /// Why it failed, for people.
    package var errorDescription: String?
    /// Why the machine cannot migrate, for people; empty when it can.
    package var blockedReasons: [String]

    init(_ reader: ReplyReader) throws(QMPError) {
        state = try reader.optionalString("status").map(State.init(rawValue:))
        totalTimeInMilliseconds = try reader.optionalInt("total-time")
        downtimeInMilliseconds = try reader.optionalInt("downtime")
        memory = nil
        if let ram = try reader.optionalMember("ram") {
            memory = Memory(
                transferredInBytes: try ram.uint64("transferred"),
                remainingInBytes: try ram.uint64("remaining"),
                totalInBytes: try ram.uint64("total")
            )
        }
        errorDescription = try reader.optionalString("error-desc")
        blockedReasons = try reader.strings("blocked-reasons")
    }

    /// How much of the memory has gone over.
    package struct Memory: Hashable, Sendable {
        package var transferredInBytes: UInt64
        package var remainingInBytes: UInt64
        package var totalInBytes: UInt64
    }

    /// A stage of a migration (QEMU's `MigrationStatus`).
    package struct State: Hashable, Sendable, RawRepresentable {
        package var rawValue: String

        package init(rawValue: String) { self.rawValue = rawValue }

        package static let setup = State(rawValue: "setup")
        package static let active = State(rawValue: "active")
        package static let device = State(rawValue: "device")
        package static let preSwitchover = State(rawValue: "pre-switchover")
        package static let postcopyActive = State(rawValue: "postcopy-active")
        package static let cancelling = State(rawValue: "cancelling")
        package static let cancelled = State(rawValue: "cancelled")
        package static let completed = State(rawValue: "completed")
        package static let failed = State(rawValue: "failed")

        /// Whether nothing more will follow.
        package var isFinal: Bool { self == .completed || self == .cancelled || self == .failed }
    }
}
