/// When a machine takes checkpoints by itself, and what became of it.
public struct CheckpointScheduleInfo: Codable, Hashable, Sendable {
    /// The minutes from one to the next.
    public var everyMinutes: Int
    /// How many automatic checkpoints are kept.
    public var keep: Int
    /// When the last one was taken, as RFC 3339 text in UTC; nil when there is none.
    public var last: String?
    /// When the next one is due, as RFC 3339 text in UTC.
    public var next: String?
    /// How many came to nothing since roostd started, those that were due while none ran among them.
    public var missed: Int
    /// When the last of these was noticed, as RFC 3339 text in UTC.
    public var lastMissed: String?
    /// Why it came to nothing.
    public var reason: String?

    /// A schedule of the given fields.
    public init(
        everyMinutes: Int,
        keep: Int,
        last: String?,
        next: String?,
        missed: Int,
        lastMissed: String?,
        reason: String?
    ) {
        self.everyMinutes = everyMinutes
        self.keep = keep
        self.last = last
        self.next = next
        self.missed = missed
        self.lastMissed = lastMissed
        self.reason = reason
    }
}

/// A change of when a machine takes checkpoints by itself.
public struct CheckpointScheduleRequest: Codable, Hashable, Sendable {
    /// The minutes from one to the next, 1 to 527,040 (a year); 0 for none any more; nil stays as it is.
    public var everyMinutes: Int?
    /// How many automatic checkpoints are kept, 1 to 50; nil stays as it is, 12 at first.
    public var keep: Int?

    /// A request of the given fields.
    public init(everyMinutes: Int? = nil, keep: Int? = nil) { (self.everyMinutes, self.keep) = (everyMinutes, keep) }
}
