import HyperVStorage

/// When a virtual machine takes checkpoints by itself, and how many of these it keeps.
public struct CheckpointSchedule: Hashable, Sendable {
    /// The minutes from one to the next.
    public var intervalInMinutes: Int
    /// How many are kept: older ones are removed.
    public var keptCount: Int
    /// The moment from which it counts, in seconds since 1970.
    public var since: Int64

    /// The intervals that are allowed, in minutes: up to a year.
    public static let intervals = 1...527_040
    /// How many can be kept; each is a file more that a guest's reads may have to go through.
    public static let counts = 1...50

    /// A schedule of the given fields.
    public init(intervalInMinutes: Int, keptCount: Int, since: Int64) {
        self.intervalInMinutes = intervalInMinutes
        self.keptCount = keptCount
        self.since = since
    }

    private var interval: Int64 { Int64(intervalInMinutes) * 60 }

    /// When the next one is to be taken, in seconds since 1970.
    ///
    /// - Parameter last: when the last one was taken; nil when there is none.
    public func due(after last: Int64?) -> Int64 { max(since, last ?? since) + interval }

    /// The last moment up to now at which one was due, in seconds since 1970.
    public func lastDue(after last: Int64?, at now: Int64) -> Int64 {
        let first = due(after: last)
        return first + max(0, now - first) / interval * interval
    }

    /// How many were left out by a moment at which one is due since another.
    public func missedCount(due: Int64, now: Int64) -> Int { Int(clamping: max(0, now - due) / interval) }

    /// When to try again after one that came to nothing.
    ///
    /// - Parameter failures: how often in a row it was tried in vain; 0 when there was nothing to keep.
    public func next(after attempt: Int64, failures: Int) -> Int64 {
        // Ten minutes, then twice as long each time.
        attempt + (failures > 0 ? min(interval, 600 << min(Int64(failures - 1), 20)) : interval)
    }
}

extension VirtualMachineConfiguration {
    /// When the virtual machine takes checkpoints by itself; nil for never.
    public var checkpointSchedule: CheckpointSchedule? {
        get { root.checkpointSchedule }
        set {
            guard newValue != checkpointSchedule else { return }
            guard let newValue else {
                root.remove(KeyNode.checkpointSchedulePath)
                return
            }
            let values = [
                ("interval", Int64(newValue.intervalInMinutes)), ("kept", Int64(newValue.keptCount)),
                ("since", newValue.since),
            ]
            for (name, value) in values { root.assign(.int(value), at: "\(KeyNode.checkpointSchedulePath)/\(name)") }
        }
    }
}

extension KeyNode {
    fileprivate static let checkpointSchedulePath = "roost/checkpoint_schedule"

    /// The schedule of a configuration whose root this is; nil when there is none that can be kept.
    var checkpointSchedule: CheckpointSchedule? {
        guard let node = descendant(Self.checkpointSchedulePath),
            let interval = node["interval"]?.value.asInteger.flatMap(Int.init(exactly:)),
            let kept = node["kept"]?.value.asInteger.flatMap(Int.init(exactly:)),
            CheckpointSchedule.intervals.contains(interval), CheckpointSchedule.counts.contains(kept)
        else { return nil }
        // A moment that no clock shows would overflow.
        let since = min(max(node["since"]?.value.asInteger ?? 0, 0), 1 << 40)
        return CheckpointSchedule(intervalInMinutes: interval, keptCount: kept, since: since)
    }
}
