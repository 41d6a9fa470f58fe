import CRoostLinux
import Dispatch

#if canImport(Glibc)
    import Glibc
#endif

/// How a process ended.
package enum ProcessEnd: Sendable, Hashable, CustomStringConvertible {
    /// With an exit code.
    case exited(Int32)
    /// By a signal.
    case killed(signal: Int32)
    /// It is gone, but was not this process's child, so nobody knows how.
    case unknown

    package var description: String {
        switch self {
        case .exited(let code): "exit code \(code)"
        case .killed(let signal): "signal \(signal) (\(String(cString: strsignal(signal))))"
        case .unknown: "end not seen"
        }
    }
}

/// Follows a process through its pidfd; costs no wake-up while the process runs.
package final class ProcessWatch: Sendable {
    // SAFETY: dispatch sources may be used from any thread; the type merely lacks the conformance.
    nonisolated(unsafe) private let source: any DispatchSourceRead
    private static let queue = DispatchQueue(label: "roost.process-watch")

    /// Calls `onEnd` once, on an internal queue, when the process has ended.
    package init(_ process: SpawnedProcess, onEnd: @escaping @Sendable (ProcessEnd) -> Void) {
        source = Self.follow(process, onEnd: onEnd)
    }

    /// Starts following; the source keeps itself until the process has ended or it is cancelled.
    @discardableResult
    fileprivate static func follow(
        _ process: SpawnedProcess,
        onEnd: @escaping @Sendable (ProcessEnd) -> Void
    ) -> any DispatchSourceRead {
        let pidfd = process.pidfd
        // SAFETY: as above.
        nonisolated(unsafe) let source = DispatchSource.makeReadSource(fileDescriptor: pidfd.number, queue: queue)
        source.setEventHandler {
            guard let end = reap(pidfd.number) else { return }
            // A pidfd stays readable; cancelling also lets go of this handler and so of the source itself. Handlers run
            // one after the other, and none after this.
            source.cancel()
            onEnd(end)
        }
        // The handler keeps the descriptor open until the source has let go of it.
        source.setCancelHandler { withExtendedLifetime(pidfd) {} }
        source.activate()
        return source
    }

    /// Stops following; `onEnd` is not called any more once a call under way has returned.
    package func cancel() { source.cancel() }

    deinit { source.cancel() }
}

/// The way a process ended; nil while it runs.
private func reap(_ pidfd: Int32) -> ProcessEnd? {
    var code: Int32 = 0
    var status: Int32 = 0
    let result = roost_pidfd_reap(pidfd, &code, &status)
    if result == 0 { return nil }
    if result < 0 { return .unknown }
    return code == 1 ? .exited(status) : .killed(signal: status)
}

extension SpawnedProcess {
    /// Waits for the end, in a cancelled task too, so that a child is always reaped.
    package func end() async -> ProcessEnd {
        await withCheckedContinuation { continuation in
            ProcessWatch.follow(self) { continuation.resume(returning: $0) }
        }
    }

    /// Sends a signal; returns false when the process is gone.
    @discardableResult
    package func signal(_ number: Int32) -> Bool {
        roost_pidfd_signal(pidfd.number, number) == 0
    }

    /// Finds a process that an earlier roostd started; nil when it has ended.
    package static func find(_ identity: ProcessIdentity) -> SpawnedProcess? {
        let pidfd = roost_pidfd_open(identity.processID)
        guard pidfd >= 0 else { return nil }
        let descriptor = OwnedDescriptor(pidfd)
        // Opened first, compared second: the descriptor cannot change its process any more.
        guard identity.isAlive else { return nil }
        return SpawnedProcess(identity: identity, pidfd: descriptor)
    }
}
