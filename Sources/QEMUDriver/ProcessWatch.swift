import CRoostLinux

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
    private let watch: ReadWatch

    /// Calls `onEnd` once, on an internal thread that it must not block, when the process has ended.
    package init(_ process: SpawnedProcess, onEnd: @escaping @Sendable (ProcessEnd) -> Void) {
        watch = Self.follow(process, onEnd: onEnd)
    }

    /// Starts following, until the process has ended or the watch is cancelled.
    @discardableResult
    fileprivate static func follow(
        _ process: SpawnedProcess,
        onEnd: @escaping @Sendable (ProcessEnd) -> Void
    ) -> ReadWatch {
        ReadWatch(process.pidfd) { pidfd in
            guard let end = reap(pidfd) else { return .goOn }
            onEnd(end)
            return .end
        }
    }

    /// Reaps a process whenever it ends.
    static func reaping(_ process: SpawnedProcess) -> ReadWatch { follow(process) { _ in } }

    /// Stops following; `onEnd` is not called any more once a call under way has returned.
    package func cancel() { watch.cancel() }

    deinit { watch.cancel() }
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
