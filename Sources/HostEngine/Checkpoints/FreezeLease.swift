/// The shell script by which a guest ends a freeze of its own file systems; BusyBox is enough.
enum FreezeLease {
    /// Succeeds where the guest has what it takes: the programs, and in its memory, which no freeze reaches, a place for notes.
    static let needs = """
        command -v sleep >/dev/null && command -v fsfreeze >/dev/null && {
            grep '^[^ ]* /run ' /proc/mounts || grep '^[^ ]* / ' /proc/mounts
        } | tail -n 1 | grep -Eq '^[^ ]* [^ ]* (tmpfs|ramfs|rootfs) '
        """
    /// Where the guest notes the script that waits, and that its time has begun.
    static let note = "/run/roost-freeze-lease"
    /// Where a script notes how what it sets for the freeze is undone, should it have no time to; for its own shell only.
    static let undoNote = "\(note).undo.$$"
    /// Undoes what scripts that have ended had no time to undo; succeeds.
    static let undoWhatIsLeft = """
        for left in \(note).undo.*; do
            [ -e "$left" ] || continue
            grep -q roost-freeze-lease "/proc/${left##*.}/cmdline" 2>/dev/null && continue
            . "$left"; rm -f "$left"
        done
        """
    /// Ends the script that the guest has noted last, without a thaw, when nobody knows it any more; succeeds.
    static let endByNote = """
        number=; read -r number state <\(note) && grep -q roost-freeze-lease "/proc/$number/cmdline" && kill -USR1 "$number"
        \(awaitEnd)
        \(undoWhatIsLeft)
        true
        """
    /// Waits until the script `$number` has ended, for half a second at most; one that has is without a command line.
    private static let awaitEnd = """
        n=0; while [ $n -lt 50 ] && [ "$number" ] && grep -q roost-freeze-lease "/proc/$number/cmdline"; do
            n=$((n+1)); sleep 0.01 || { sleep 1; n=50; }
        done 2>/dev/null
        """
    /// Succeeds once the time of a script has begun.
    static func isReady(_ process: Int64) -> String {
        "read -r number state <\(note) && [ \"$number $state\" = \"\(process) ready\" ]"
    }
    /// Waits until the time of a script has begun, for a second or two at most.
    static func awaitReady(_ process: Int64) -> String {
        """
        n=0; until { \(isReady(process)); } 2>/dev/null || [ $n -ge 50 ]; do
            n=$((n+1)); sleep 0.02 || { sleep 1; n=$((n+25)); }
        done 2>/dev/null
        """
    }

    /// Waits, and thaws the mount points that are its arguments, again and again: a hook of the agent's that takes long puts
    /// the freeze itself off.
    ///
    /// It leaves the control group of the agent's service, so that whoever stops that does not end it too. Where it cannot,
    /// it is told by SIGTERM, and thaws at once. SIGUSR1 ends it, as does the next one: of an agent that was started anew
    /// meanwhile nobody knows its number.
    ///
    /// - Parameters:
    ///   - first: what is done before the time begins; waits only as `sleep SECONDS & wait $!`, which a signal ends, and in no function.
    ///   - undo: what is done at the end, in any case; behind the thaw when the time is over, and again when a signal interrupts it.
    ///   - note: where the guest notes it; gone behind a boot.
    static func script(seconds: Int, first: String = "true", undo: String = "true", note: String = FreezeLease.note)
        -> String
    {
        """
        exec 2>/dev/null
        for group in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd /sys/fs/cgroup/openrc; do
            [ -w "$group/cgroup.procs" ] && echo $$ >"$group/cgroup.procs"
        done
        note=\(note) isDone=
        undo() { [ "$isDone" ] && return; \(undo)
        rm -f $note.undo.$$; isDone=1; }
        thaw() { for point; do fsfreeze --unfreeze "$point"; done; }
        trap 'kill $!; undo; exit' USR1
        trap 'kill $!; thaw "$@"; undo; exit' TERM HUP INT
        number=; read -r number state <$note; [ "$number" = $$ ] && number=
        [ "$number" ] && grep -q roost-freeze-lease "/proc/$number/cmdline" && kill -USR1 "$number"
        \(awaitEnd)
        echo $$ begun >$note
        \(first)
        echo $$ ready >$note
        sleep \(seconds) & wait $!
        thaw "$@"; undo; n=0; while [ $n -lt 600 ]; do n=$((n+1)); sleep 1 & wait $!; thaw "$@"; done
        """
    }

    /// Ends it without a thaw.
    static func end(_ process: Int64) -> String { "kill -USR1 \(process)" }
}
