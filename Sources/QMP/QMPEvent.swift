/// Something that happened in QEMU, reported without being asked for.
package struct QMPEvent: Hashable, Sendable {
    /// The event's name on the wire, such as `SHUTDOWN`.
    package var name: String
    /// The event's data; an object without members when there is none.
    package var data: JSONValue
    /// When QEMU says it happened.
    package var timestamp: Timestamp
    /// The place of the event among those of its connection, from 0 without gaps.
    package var sequence: UInt64

    package init(name: String, data: JSONValue = [:], timestamp: Timestamp, sequence: UInt64) {
        self.name = name
        self.data = data
        self.timestamp = timestamp
        self.sequence = sequence
    }

    init(name: String, message: JSONValue, sequence: UInt64) throws(QMPError) {
        let time = try ReplyReader(message, of: "event \(name)").member("timestamp")
        self.init(
            name: name,
            data: message["data"] ?? [:],
            timestamp: Timestamp(seconds: try time.int("seconds"), microseconds: try time.int("microseconds")),
            sequence: sequence
        )
    }

    /// A time of the host's clock.
    package struct Timestamp: Hashable, Sendable, Comparable {
        /// Seconds since 1970, UTC; −1 when QEMU could not read the clock.
        package var seconds: Int64
        /// Microseconds within the second; −1 when QEMU could not read the clock.
        package var microseconds: Int64

        package init(seconds: Int64, microseconds: Int64) {
            self.seconds = seconds
            self.microseconds = microseconds
        }

        /// Orders by time.
        package static func < (left: Timestamp, right: Timestamp) -> Bool {
            (left.seconds, left.microseconds) < (right.seconds, right.microseconds)
        }
    }
}
