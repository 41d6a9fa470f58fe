/// A moment as Windows stores it: 100-nanosecond intervals since 1601-01-01 00:00 UTC.
public struct FileTime: Hashable, Comparable, Sendable {
    /// The intervals of 100 ns since 1601, never negative.
    public let intervals: Int64

    /// The moment a number of 100 ns intervals after 1601; nil when it is not positive, which stands for "never".
    public init?(intervals: Int64) {
        guard intervals > 0 else { return nil }
        self.intervals = intervals
    }

    /// The moment a number of seconds, plus nanoseconds, after 1970-01-01 00:00 UTC.
    ///
    /// Nil for a moment before 1601 or after the year 30828, the last that the format holds.
    public init?(unixSeconds: Int64, nanoseconds: Int64 = 0) {
        let (ticks, overflow) = unixSeconds.multipliedReportingOverflow(by: 10_000_000)
        let (moved, overflow2) = ticks.addingReportingOverflow(Self.unixEpoch)
        let (sum, overflow3) = moved.addingReportingOverflow(nanoseconds / 100)
        guard !overflow, !overflow2, !overflow3 else { return nil }
        self.init(intervals: sum)
    }

    /// The whole seconds since 1970-01-01 00:00 UTC.
    public var unixSeconds: Int64 { (intervals - Self.unixEpoch) / 10_000_000 }

    /// The eight bytes, least significant first, as the key `properties/creation_time` holds them.
    public var littleEndianBytes: [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: intervals >> (8 * $0)) } }

    /// Reads eight bytes, least significant first; nil for any other count and for "never".
    public init?(littleEndianBytes bytes: some Collection<UInt8>) {
        guard bytes.count == 8 else { return nil }
        self.init(intervals: bytes.reversed().reduce(0) { $0 << 8 | Int64($1) })
    }

    /// Orders by time.
    public static func < (left: FileTime, right: FileTime) -> Bool { left.intervals < right.intervals }

    /// 1970-01-01 00:00 UTC.
    private static let unixEpoch: Int64 = 116_444_736_000_000_000
}
