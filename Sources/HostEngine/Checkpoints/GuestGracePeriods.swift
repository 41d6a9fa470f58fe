/// How a guest with Linux is kept from waiting for its kernel while it is frozen.
///
/// To freeze a file system, the kernel locks writers out of it on three levels, and waits on each one for a grace period of
/// RCU, usually some ten milliseconds, during which every writer stands still. Expedited, they take microseconds, for interrupts on all
/// processors: right for a moment, not for good. Kernels for real time (`rcu_normal`) do not heed the setting.
/// Source: Linux, `fs/super.c` (`freeze_super`), `kernel/rcu/sync.c` (`rcu_sync_enter`), and
/// `Documentation/admin-guide/kernel-parameters.txt`, `rcupdate.rcu_expedited`.
enum GuestGracePeriods {
    private static let setting = "/sys/kernel/rcu_expedited"

    /// A shell's commands that expedite them, unless the guest does so anyway or it could not note how that is undone.
    ///
    /// - Parameter writeback: the limits that are lowered before that, which takes longer.
    static func expedite(behind writeback: GuestWriteback? = nil) -> String {
        """
        \(writeback?.lower ?? "true")
        isExpedited=
        if [ "$(cat \(setting))" = 0 ] && echo 'echo 0 >\(setting)' >>\(FreezeLease.undoNote); then
            isExpedited=1
            echo 1 >\(setting)
        fi
        """
    }

    /// Undoes what ``expedite(behind:)`` has done before in the same shell.
    static func restore(with writeback: GuestWriteback? = nil) -> String {
        """
        [ "$isExpedited" ] && echo 0 >\(setting)
        \(writeback?.restore ?? "true")
        """
    }
}
