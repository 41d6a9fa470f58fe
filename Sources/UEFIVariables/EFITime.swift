/// A calendar time as EFI stores it (UEFI section 8.3, `EFI_TIME`), 16 bytes.
///
/// | offset | field |
/// | --- | --- |
/// | 0 | year, 2 bytes |
/// | 2 | month, day, hour, minute, second, 1 byte each |
/// | 8 | nanosecond, 4 bytes |
/// | 12 | minutes west of UTC, 2 bytes, or 2047 for local time |
/// | 14 | daylight flags |
///
/// The numbers are kept as found, in their range or not. Variables without authentication hold zeros.
package struct EFITime: Hashable, Sendable {
    package var year: UInt16
    package var month: UInt8
    package var day: UInt8
    package var hour: UInt8
    package var minute: UInt8
    package var second: UInt8
    package var nanosecond: UInt32
    package var timeZone: UInt16
    package var daylight: UInt8

    /// The time whose fields are all zero, as in variables that have none.
    package static let zero = EFITime(year: 0, month: 0, day: 0)

    /// Midnight, or the given time of the day, in UTC.
    package init(year: UInt16, month: UInt8, day: UInt8, hour: UInt8 = 0, minute: UInt8 = 0, second: UInt8 = 0) {
        self.year = year
        self.month = month
        self.day = day
        self.hour = hour
        self.minute = minute
        self.second = second
        nanosecond = 0
        timeZone = 0
        daylight = 0
    }

    /// Takes the 16 bytes of the structure; nil for fewer.
    init?(_ bytes: ArraySlice<UInt8>) {
        guard let year = bytes.littleEndian(UInt16.self, at: 0), let fields = bytes.bytes(at: 2, count: 5),
            let nanosecond = bytes.littleEndian(UInt32.self, at: 8),
            let timeZone = bytes.littleEndian(UInt16.self, at: 12), let flags = bytes.bytes(at: 14, count: 2)
        else { return nil }
        let small = Array(fields)
        self.init(
            year: year,
            month: small[0],
            day: small[1],
            hour: small[2],
            minute: small[3],
            second: small[4]
        )
        self.nanosecond = nanosecond
        self.timeZone = timeZone
        daylight = flags[flags.startIndex]
    }

    /// The 16 bytes of the structure.
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: year)
        bytes += [month, day, hour, minute, second, 0]
        bytes.append(littleEndian: nanosecond)
        bytes.append(littleEndian: timeZone)
        bytes += [daylight, 0]
        return bytes
    }
}
