import QEMUDriver
import QMP
import RoostAPI

/// What is looked at inside of a guest to find out whether a checkpoint is any good.
struct GuestCheck: Sendable {
    /// The user's command, for the guest's shell; nil for a look at the file systems.
    var command: String?

    /// What was found.
    struct Finding: Sendable {
        var passed: Bool
        var detail: String
    }

    /// Runs the check in a guest whose agent answers.
    ///
    /// - Parameter deadline: when it has to be over.
    func run(in agent: GuestAgentConnection, until deadline: ContinuousClock.Instant) async throws -> Finding {
        let info = try await agent.execute(GuestAgentCommands.GetInfo())
        let enabled = Set(info.commands.filter(\.isEnabled).map(\.name))
        let isWindows = (try? await agent.execute(GuestAgentCommands.GetOSInfo()))?.id == "mswindows"
        guard enabled.isSuperset(of: ["guest-exec", "guest-exec-status"]) else {
            return command == nil
                ? Finding(
                    passed: true,
                    detail: "the guest agent answers; it runs no programs, so nothing else was looked at"
                )
                : Finding(passed: false, detail: "the guest agent runs no programs (guest-exec is not enabled)")
        }
        if isWindows, command == nil {
            return Finding(passed: true, detail: "the guest agent answers; give a command to have more looked at")
        }
        let text = command ?? Self.fileSystems
        let shell = isWindows ? "cmd.exe" : "/bin/sh"
        let program = GuestAgentCommands.Exec(path: shell, programArguments: [isWindows ? "/c" : "-c", text])
        let process: Int64
        do {
            process = try await agent.execute(program)
        } catch let error as QMPError where error.code == .refused {
            return Finding(passed: false, detail: "the check cannot be started in the guest: \(error.message)")
        }
        while true {
            let status = try await agent.execute(GuestAgentCommands.ExecStatus(processID: process))
            if status.hasExited { return finding(status) }
            guard ContinuousClock.now < deadline else {
                return Finding(passed: false, detail: "the check in the guest did not end in time")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    private func finding(_ status: GuestProcessStatus) -> Finding {
        let said = Self.printable(status.output + status.errorOutput)
        guard status.exitCode == 0 else {
            let end = status.exitCode.map { "ended with exit code \($0)" } ?? "was ended by a signal"
            return Finding(passed: false, detail: "the check \(end)" + (said.isEmpty ? "" : ": \(said)"))
        }
        if command == nil { return Finding(passed: true, detail: said.isEmpty ? "no file system to look at" : said) }
        return Finding(passed: true, detail: "the command succeeded" + (said.isEmpty ? "" : ": \(said)"))
    }

    /// The last words of a text that anybody may have written, in one line.
    static func printable(_ bytes: some Collection<UInt8>, limit: Int = 500) -> String {
        let text = String(decoding: Array(bytes.suffix(limit)), as: UTF8.self)
        let lines = text.split(whereSeparator: \.isNewline).map { line in
            String(String.UnicodeScalarView(line.unicodeScalars.filter { $0.value >= 32 && $0.value != 127 }))
        }
        return lines.filter { !$0.isEmpty }.joined(separator: "; ")
    }

    /// Reads every folder of every file system on a disk, and asks the kernel what it has met.
    ///
    /// That meets damage that the journal has not mended. Linux; BusyBox is enough.
    private static let fileSystems = """
        bad=0 count=0
        while read -r device point type rest; do
            case $type in ext2 | ext3 | ext4 | xfs | btrfs | f2fs | vfat) ;; *) continue ;; esac
            point=$(printf '%b' "$point")
            count=$((count + 1)) names="$names $point ($type)"
            if ! find "$point" -xdev >/dev/null 2>/tmp/roost-verify; then
                bad=1; echo "$point: $(head -n 1 /tmp/roost-verify)"
            fi
            node=$(readlink -f "$device")
            errors=$(cat "/sys/fs/ext4/${node##*/}/errors_count" 2>/dev/null)
            if [ "${errors:-0}" != 0 ]; then bad=1; echo "$point: $errors errors are recorded in the file system"; fi
        done </proc/self/mounts
        rm -f /tmp/roost-verify
        said=$(dmesg 2>/dev/null | grep -E \
            'EXT4-fs error|XFS .*[Cc]orrupt|BTRFS (error|critical)|F2FS-fs.*(error|corrupt)|FAT-fs.*error|I/O error|JBD2.*error' |
            tail -n 3)
        if [ -n "$said" ]; then bad=1; echo "$said"; fi
        [ $bad = 0 ] && echo "$count file systems are sound:$names"
        exit $bad
        """
}
