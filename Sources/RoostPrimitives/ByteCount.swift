/// A number of bytes, read and written with binary units (`512MiB`).
public struct ByteCount: Hashable, Sendable, Comparable {
    /// The number of bytes.
    public var bytes: UInt64

    /// A count of `bytes` bytes.
    public init(bytes: UInt64) { self.bytes = bytes }

    /// A count of `value` × 2^20 bytes; a product above 2^64 − 1 saturates.
    public static func mebibytes(_ value: UInt64) -> ByteCount { scaled(value, shift: 20) }

    /// A count of `value` × 2^30 bytes; a product above 2^64 − 1 saturates.
    public static func gibibytes(_ value: UInt64) -> ByteCount { scaled(value, shift: 30) }

    /// The whole number of mebibytes in the count, rounded down.
    public var wholeMebibytes: UInt64 { bytes >> 20 }

    /// Reads `1073741824`, `512MiB`, `512MB`, `512M`, `1.5GiB` (in any case, a space before the unit allowed).
    ///
    /// All units are powers of 1024, as Hyper-V's tools use them. Returns nil for text of any other shape, for a
    /// fraction of a byte and for more than 2^63 − 1 bytes.
    public init?(_ text: some StringProtocol) {
        let number = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let unit = text.dropFirst(number.count).drop { $0 == " " }.lowercased()
        guard let shift = Self.shifts[unit] else { return nil }
        let parts = number.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let whole = parts.first.flatMap({ UInt64($0) }), whole <= UInt64(Int64.max) >> shift else { return nil }
        var bytes = whole << shift
        if parts.count == 2 {
            let digits = parts[1]
            guard !digits.isEmpty, digits.count <= 6, let fraction = UInt64(digits) else { return nil }
            var scale: UInt64 = 1
            for _ in 0..<digits.count { scale *= 10 }
            let (product, overflow) = fraction.multipliedReportingOverflow(by: 1 << shift)
            guard !overflow, product % scale == 0 else { return nil }
            bytes += product / scale
        }
        guard bytes <= UInt64(Int64.max) else { return nil }
        self.bytes = bytes
    }

    /// Orders by the number of bytes.
    public static func < (left: ByteCount, right: ByteCount) -> Bool { left.bytes < right.bytes }

    private static func scaled(_ value: UInt64, shift: UInt64) -> ByteCount {
        ByteCount(bytes: value > UInt64.max >> shift ? UInt64.max : value << shift)
    }

    private static let shifts: [String: UInt64] = [
        "": 0, "b": 0, "k": 10, "kb": 10, "kib": 10, "m": 20, "mb": 20, "mib": 20,
        "g": 30, "gb": 30, "gib": 30, "t": 40, "tb": 40, "tib": 40,
    ]
}

extension ByteCount: CustomStringConvertible {
    /// The count in the largest unit that gives a whole number or one decimal: `512 MiB`, `1.5 GiB`, `37 B`.
    public var description: String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var index = 0
        while index < units.count - 1, bytes >> (10 * UInt64(index + 1)) > 0 { index += 1 }
        let unit = UInt64(1) << (10 * UInt64(index))
        let tenths = (bytes / unit) * 10 + (bytes % unit) * 10 / unit
        let fraction = tenths % 10 == 0 ? "" : ".\(tenths % 10)"
        return "\(tenths / 10)\(fraction) \(units[index])"
    }
}
