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

    private static let folder = "/proc/sys/vm"
    /// The limits for the time of a freeze, in bytes.
    private static let (limit, backgroundLimit) = (32 << 20, 2 << 20)

    /// A shell's commands that print what ``init(_:)`` reads, once what somebody had no time to undo is undone; nothing where they cannot be lowered.
    static let question = """
        \(FreezeLease.undoWhatIsLeft)
        cd \(folder) && [ -w dirty_bytes ] && [ -w /run ] && cat dirty_bytes dirty_background_bytes dirty_ratio dirty_background_ratio
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
    ///
    /// First less may wait in the background; once that is written, less may wait at all. Where that does not come about
    /// in ten seconds the disk is slow, and is waited for.
    var lower: String {
        """
        echo 'cd \(Self.folder) && echo \(ratio) >dirty_ratio && echo \(backgroundRatio) >dirty_background_ratio' >>\(FreezeLease.undoNote)
        echo \(Self.backgroundLimit) >\(Self.folder)/dirty_background_bytes
        n=0 size=999999
        while [ $n -lt 40 ]; do
            { sleep 0.25 || sleep 1; } & wait $!
            while read -r name now rest; do [ "$name" = Dirty: ] && size=$now; done </proc/meminfo
            n=$((n+1)); [ $n -gt 1 ] && [ "$size" -lt 98304 ] && break
        done
        if [ "$size" -lt 98304 ]; then
            echo \(Self.limit) >\(Self.folder)/dirty_bytes
            { sleep 0.4 || sleep 1; } & wait $!
        else
            sync & wait $!
        fi
        """
    }

    /// Gives those of the limits that are still the lowered ones their values back.
    ///
    /// The kernel gives whoever reads them byte by byte, as a shell's `read` does, no more than the first one.
    var restore: String {
        """
        cd \(Self.folder); [ "$(cat dirty_bytes)" = \(Self.limit) ] && echo \(ratio) >dirty_ratio
        [ "$(cat dirty_background_bytes)" = \(Self.backgroundLimit) ] && echo \(backgroundRatio) >dirty_background_ratio
        """
    }
}
