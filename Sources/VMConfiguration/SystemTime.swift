/// A moment as Windows' `SYSTEMTIME` structure has it, in UTC: 16 bytes, eight numbers of 16 bits.
struct SystemTime: Hashable, Sendable {
    var year: UInt16
    /// From 1.
    var month: UInt16
    /// From 0, which is Sunday.
    var weekday: UInt16
    /// From 1.
    var day: UInt16
    var hour: UInt16
    var minute: UInt16
    var second: UInt16
    var millisecond: UInt16

    /// The moment, cut to milliseconds.
    init(_ time: FileTime) {
        let milliseconds = time.intervals / 10_000
        let (days, rest) = milliseconds.quotientAndRemainder(dividingBy: 86_400_000)
        hour = UInt16(truncatingIfNeeded: rest / 3_600_000)
        minute = UInt16(truncatingIfNeeded: rest / 60_000 % 60)
        second = UInt16(truncatingIfNeeded: rest / 1000 % 60)
        millisecond = UInt16(truncatingIfNeeded: rest % 1000)
        // 1601-01-01 was a Monday.
        weekday = UInt16(truncatingIfNeeded: (days + 1) % 7)
        // 1601 begins a cycle of 400 years; the last day of a cycle, of a century and of four years is one too many
        // for the years to be told by division.
        let (cycles, inCycle) = days.quotientAndRemainder(dividingBy: 146_097)
        let centuries = min(inCycle / 36_524, 3)
        let inCentury = inCycle - centuries * 36_524
        let (fours, inFour) = inCentury.quotientAndRemainder(dividingBy: 1461)
        let years = min(inFour / 365, 3)
        let isLeap = years == 3 && (fours != 24 || centuries == 3)
        year = UInt16(truncatingIfNeeded: 1601 + 400 * cycles + 100 * centuries + 4 * fours + years)
        var dayOfYear = inFour - years * 365
        var months: UInt16 = 1
        for length in [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30] as [Int64] {
            if dayOfYear < length { break }
            dayOfYear -= length
            months += 1
        }
        month = months
        day = UInt16(truncatingIfNeeded: dayOfYear + 1)
    }

    /// The structure's bytes.
    var bytes: [UInt8] {
        [year, month, weekday, day, hour, minute, second, millisecond].flatMap {
            [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)]
        }
    }
}
