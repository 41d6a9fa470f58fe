public import RoostPrimitives

/// A piece of work that takes time: it has progress, can be cancelled, and its outcome stays.
public struct Job: Codable, Hashable, Sendable {
    /// How far a job is.
    public enum State: String, Codable, Sendable, CaseIterable {
        /// Under way.
        case running
        /// Ended as wanted.
        case succeeded
        /// Ended with an error.
        case failed
        /// Ended because somebody cancelled it; nothing half done stays.
        case cancelled
    }

    /// The number, from 1, growing for as long as the state directory exists.
    public var id: Int
    /// What is done, as in `vm.start`.
    public var kind: String
    /// The name of what it is done to.
    public var subject: String
    /// The identifier of the machine, when there is one.
    public var virtualMachine: GUID?
    /// How far the job is.
    public var state: State
    /// 0 to 1; nil when it cannot be told.
    public var progress: Double?
    /// When the job began, as RFC 3339 text in UTC.
    public var started: String
    /// When the job ended, as RFC 3339 text in UTC.
    public var ended: String?
    /// Why the job failed.
    public var error: APIError?
    /// What the job made, as the path of a disk or the identifier of a machine.
    public var result: String?
    /// What the user should know although the job succeeded.
    public var warnings: [String]

    /// A job that has just begun.
    public init(id: Int, kind: String, subject: String, virtualMachine: GUID?, started: String) {
        self.id = id
        self.kind = kind
        self.subject = subject
        self.virtualMachine = virtualMachine
        self.state = .running
        self.started = started
        self.warnings = []
    }
}

/// One line of the stream `GET /v1/events`.
public struct Event: Codable, Hashable, Sendable {
    /// The number, from 1 at each start of roostd, without gaps: a gap means that events were lost.
    public var sequence: UInt64
    /// When it happened, as RFC 3339 text in UTC.
    public var time: String
    /// What happened, as in `vm.state`, `vm.created`, `vm.changed`, `vm.removed`, `job.started`, `job.ended`.
    public var kind: String
    /// The identifier of the machine, when there is one.
    public var virtualMachine: GUID?
    /// The name of what it happened to.
    public var subject: String
    /// The machine's state after a `vm.state`.
    public var state: VirtualMachineState?
    /// The job's number.
    public var job: Int?
    /// A sentence for people.
    public var message: String

    /// An event of the given fields.
    public init(
        sequence: UInt64,
        time: String,
        kind: String,
        virtualMachine: GUID? = nil,
        subject: String,
        state: VirtualMachineState? = nil,
        job: Int? = nil,
        message: String
    ) {
        self.sequence = sequence
        self.time = time
        self.kind = kind
        self.virtualMachine = virtualMachine
        self.subject = subject
        self.state = state
        self.job = job
        self.message = message
    }
}
