/// How much a guest with Linux has in its memory that is not on its disks yet, and what limits that.
///
/// A freeze ends when all of it is written, and a guest that writes at full speed fills the room anew while it is synced.
/// Source: Linux, `Documentation/admin-guide/sysctl/vm.rst`, `dirty_bytes` and what belongs to it.
struct GuestWriteback: Hashable, Sendable {
    /// The limits, in percent of the memory that can be used.
    private var ratio: Int
    private var backgroundRatio: Int
    /// The guest's administrator has set limits in bytes, which are left alone.
    private var isInBytes: Bool
    /// What waits to be written, in KiB.
    private var waiting: Int

    /// A shell's commands that print what ``init(_:)`` reads.
    static let question = """
        cd /proc/sys/vm && cat dirty_bytes dirty_background_bytes dirty_ratio dirty_background_ratio
        while read -r name size rest; do [ "$name" = Dirty: ] && echo "$size"; done </proc/meminfo; true
        """

    /// Reads what a guest has printed; nil when it makes no sense.
    init?(_ output: some Sequence<UInt8>) {
        let words = String(decoding: Array(output), as: UTF8.self).split(whereSeparator: \.isWhitespace)
        let numbers = words.compactMap { Int($0) }
        guard words.count == 5, numbers.count == 5, numbers.allSatisfy({ $0 >= 0 }) else { return nil }
        isInBytes = numbers[0] != 0 || numbers[1] != 0
        (ratio, backgroundRatio, waiting) = (numbers[2], numbers[3], numbers[4])
    }

    /// Whether so much waits that the limits should be lowered for the freeze, which they can be.
    var isLarge: Bool {
        !isInBytes && (1...100).contains(ratio) && (0...100).contains(backgroundRatio) && waiting >= 16 << 10
    }

    /// Lowers the limits, step by step: at once, everybody who writes would have to wait until all is written.
    static let lower = """
        cd /proc/sys/vm && echo 2097152 >dirty_background_bytes && sleep 0.5 && echo 33554432 >dirty_bytes && sleep 0.4
        """

    /// Gives the limits their values back.
    var restore: String {
        "echo \(ratio) >/proc/sys/vm/dirty_ratio; echo \(backgroundRatio) >/proc/sys/vm/dirty_background_ratio"
    }
}
