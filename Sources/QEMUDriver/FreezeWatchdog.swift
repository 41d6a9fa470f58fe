import NIOCore

#if canImport(Glibc)
    import Glibc
#endif

/// A process on the host that ends a freeze when its time is over, whatever has become of roostd.
///
/// It has the agent's socket from roostd, so that neither the end of roostd nor one that hangs keeps it from asking for
/// the thaw, and it goes on asking: a hook of the agent's that takes long puts the freeze itself off. The next roostd
/// ends it, upon which it asks once more, and connects to the agent itself.
package struct FreezeWatchdog: Sendable {
    private let process: SpawnedProcess

    /// Starts one; what it asks for is that of QEMU's `guest-fsfreeze-thaw`.
    ///
    /// - Throws: `EngineError` when it cannot be started; nothing may be frozen then.
    package init(_ agent: GuestAgentConnection, seconds: Int) async throws {
        let socket = try await agent.duplicatedSocket()
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        guard null >= 0 else { throw EngineError(.failed, "cannot open /dev/null", cause: systemErrorText(errno)) }
        let owned = [OwnedDescriptor(null), socket]
        defer { withExtendedLifetime(owned) {} }
        process = try spawn(
            SpawnRequest(
                path: "/bin/sh",
                arguments: ["-c", Self.script, "roost-freeze-watchdog", "\(seconds)"],
                environment: ["PATH=/usr/bin:/bin", "LC_ALL=C"] + ToolOwner.own,
                directory: "/",
                descriptors: [null, null, null, socket.number],
                user: Tool.ownUser
            )
        )
        // Reaped whenever it ends.
        _ = ProcessWatch.reaping(process)
    }

    /// Half a command of roostd's in the agent is dropped at a byte 0xFF.
    private static let script = """
        thaw() { printf '\\377{"execute":"guest-fsfreeze-thaw"}\\n' >&3; }
        trap 'kill $! 2>/dev/null; thaw; exit' TERM
        trap 'kill $! 2>/dev/null; exit' USR1
        pause() { sleep "$1" 3>&- & wait $!; }
        pause "$1"; n=0
        while [ $n -lt 600 ]; do n=$((n + 1)); thaw; pause 1; done
        """

    /// Ends it: there is nothing to thaw any more.
    package func end() { process.signal(SIGUSR1) }
}
