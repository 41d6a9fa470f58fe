#if canImport(Glibc)
    import Glibc
#endif

/// The folder of a running machine below the run directory: its sockets and QEMU's log.
///
/// `<run>/vm` can be entered by roostd alone. The machine's folder belongs to QEMU's user, and QEMU starts in it, so QEMU
/// reaches its own files by relative names and no other machine's.
package struct MachineFolder: Sendable, Hashable {
    package var path: String

    package init(_ path: String) { self.path = path }

    package var monitorSocket: String { "\(path)/qmp.sock" }
    package var agentSocket: String { "\(path)/agent.sock" }
    package var serialSocket: String { "\(path)/serial.sock" }
    package var vncSocket: String { "\(path)/vnc.sock" }
    package var log: String { "\(path)/qemu.log" }
    package var screenshot: String { "\(path)/screen.png" }

    /// The longest name that lies in a machine's folder, for checking the run directory's length.
    package static let longestName = "/vm/00000000-0000-0000-0000-000000000000/serial.sock"

    /// Makes the folder, empty and owned by QEMU's user.
    package func prepare(for user: QEMUUser) throws(EngineError) {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw EngineError(.failed, "cannot make the folder \(path)", cause: systemErrorText(errno))
        }
        for file in [vncSocket, screenshot, log] { unlink(file) }
        try user.takeOwnership(of: path)
    }

    /// Deletes the folder with what Roost and QEMU place in it; the log stays when asked for.
    package func remove(keepingLog: Bool = false) {
        for file in [monitorSocket, agentSocket, serialSocket, vncSocket, stateSocket, screenshot] { unlink(file) }
        if !keepingLog {
            unlink(log)
            rmdir(path)
        }
    }

    /// The last lines that QEMU wrote, at most 2 KiB of them; nil when it wrote none.
    package func lastWords() -> String? {
        guard let bytes = readTail(log, limit: 2048) else { return nil }
        let words = String(decoding: bytes, as: UTF8.self).split(separator: "\n").suffix(4).map { line -> Substring in
            // The time stamp and the program's name in front of each line say nothing new.
            line.firstRange(of: "qemu-system-x86_64: ").map { line[$0.upperBound...] } ?? line
        }
        return words.isEmpty ? nil : words.joined(separator: "; ")
    }
}
