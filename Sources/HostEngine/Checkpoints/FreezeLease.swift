/// The shell script by which a guest ends a freeze of its own file systems; BusyBox is enough.
enum FreezeLease {
    /// What the guest has to have for it.
    static let needs = "command -v sleep >/dev/null && command -v fsfreeze >/dev/null"
    /// Where the guest notes the script that waits, and that its time has begun.
    static let note = "/run/roost-freeze-lease"
    /// Where the guest notes how what was set for the freeze is undone, should the script have no time to.
    static let undoNote = "\(note).undo"
    /// Undoes what a script that has ended had no time to undo.
    static let undoWhatIsLeft = """
        if [ -e \(undoNote) ] && ! { read -r number state <\(note) && kill -0 "$number"; } 2>/dev/null; then
            . \(undoNote); rm -f \(undoNote)
        fi
        """
    /// Succeeds once the time of a script has begun.
    static func isReady(_ process: Int64) -> String {
        "read -r number state <\(note) && [ \"$number $state\" = \"\(process) ready\" ]"
    }
    /// Waits until the time of a script has begun, for a moment at most.
    static func awaitReady(_ process: Int64) -> String {
        "n=0; until { \(isReady(process)); } 2>/dev/null || [ $n -ge 20 ]; do n=$((n+1)); sleep 0.01 || sleep 1; done"
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
    ///   - undo: what is done at the end, once, in any case.
    ///   - note: where the guest notes it; gone behind a boot.
    static func script(seconds: Int, first: String = "true", undo: String = "true", note: String = FreezeLease.note)
        -> String
    {
        """
        exec 2>/dev/null
        for group in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd /sys/fs/cgroup/openrc; do
            [ -w "$group/cgroup.procs" ] && echo $$ >"$group/cgroup.procs"
        done
        isDone=
        undo() { [ "$isDone" ] && return; isDone=1; \(undo)
        rm -f $note.undo; }
        thaw() { for point; do fsfreeze --unfreeze "$point"; done; }
        trap 'kill $!; undo; exit' USR1
        trap 'kill $!; thaw "$@"; undo; exit' TERM HUP INT
        note=\(note)
        read -r earlier state <$note && grep -q roost-freeze-lease "/proc/$earlier/cmdline" && kill -USR1 "$earlier"
        echo $$ begun >$note
        \(first)
        echo $$ ready >$note
        sleep \(seconds) & wait $!
        undo; n=0; while [ $n -lt 600 ]; do n=$((n+1)); thaw "$@"; sleep 1 & wait $!; done
        """
    }

    /// Ends it without a thaw.
    static func end(_ process: Int64) -> String { "kill -USR1 \(process)" }
}
