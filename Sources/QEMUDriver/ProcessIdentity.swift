/// Names one process for ever: a process id alone may be given to another process.
///
/// Source: proc(5), `/proc/pid/stat` field 22, `/proc/sys/kernel/random/boot_id`.
package struct ProcessIdentity: Hashable, Sendable {
    /// The process id.
    package var processID: Int32
    /// When the process began, in clock ticks since the host started.
    package var startTicks: UInt64
    /// The identifier of the host's current run.
    package var bootID: String

    package init(processID: Int32, startTicks: UInt64, bootID: String) {
        self.processID = processID
        self.startTicks = startTicks
        self.bootID = bootID
    }

    /// The identity of a process that exists now; nil when it does not, or is a zombie.
    package static func current(processID: Int32) -> ProcessIdentity? {
        guard let stat = readSmallText("/proc/\(processID)/stat"), let boot = currentBootID() else { return nil }
        // The name in parentheses may hold spaces and parentheses itself.
        guard let close = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: close)...].split(separator: " ")
        guard fields.count > 19, fields[0] != "Z", fields[0] != "X", let ticks = UInt64(fields[19]) else { return nil }
        return ProcessIdentity(processID: processID, startTicks: ticks, bootID: boot)
    }

    /// The identifier of the host's current run.
    package static func currentBootID() -> String? {
        readSmallText("/proc/sys/kernel/random/boot_id")
    }

    /// Whether the process still exists.
    package var isAlive: Bool { Self.current(processID: processID) == self }
}
