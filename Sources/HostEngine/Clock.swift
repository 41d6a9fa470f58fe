#if canImport(Glibc)
    import Glibc
#endif

/// The present, in seconds since the epoch, UTC.
package func secondsSinceEpoch() -> Int64 {
    Int64(time(nil))
}

/// A moment as RFC 3339 text in UTC, as in `2016-10-12T09:30:00Z`.
package func timestamp(_ seconds: Int64) -> String {
    var moment = time_t(seconds)
    var parts = tm()
    gmtime_r(&moment, &parts)
    func padded(_ value: some BinaryInteger, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
    return "\(padded(Int(parts.tm_year) + 1900, 4))-\(padded(parts.tm_mon + 1, 2))-\(padded(parts.tm_mday, 2))"
        + "T\(padded(parts.tm_hour, 2)):\(padded(parts.tm_min, 2)):\(padded(parts.tm_sec, 2))Z"
}

/// The present as RFC 3339 text in UTC.
package func timestamp() -> String { timestamp(secondsSinceEpoch()) }
