import CRoostLinux

#if canImport(Glibc)
    import Glibc
#endif

/// The user that QEMU runs as.
package struct QEMUUser: Sendable, Hashable {
    package var name: String
    package var userID: UInt32
    package var groupID: UInt32
    /// Supplementary groups: `kvm`, where the host has it.
    package var groups: [UInt32]
    /// Whether that is another user than roostd's, so that privileges are dropped.
    package var isOther: Bool

    /// Finds the user: `name` when roostd is privileged, else roostd's own user.
    ///
    /// - Throws: `EngineError` `.notFound` when the user does not exist, `.permissionDenied` when it is root.
    package static func resolve(name: String) throws(EngineError) -> QEMUUser {
        guard geteuid() == 0 else {
            let own = getpwuid(geteuid()).map { String(cString: $0.pointee.pw_name) } ?? "\(geteuid())"
            return QEMUUser(name: own, userID: geteuid(), groupID: getegid(), groups: [], isOther: false)
        }
        guard let entry = getpwnam(name) else {
            throw EngineError(
                .notFound,
                "the user \(name), which QEMU is to run as, does not exist: create it with "
                    + "'adduser --system --group --no-create-home \(name)' or name another with --qemu-user"
            )
        }
        guard entry.pointee.pw_uid != 0 else {
            throw EngineError(.permissionDenied, "QEMU must not run as \(name), who is root: name another user")
        }
        var groups: [UInt32] = []
        if let kvm = getgrnam("kvm") { groups.append(kvm.pointee.gr_gid) }
        return QEMUUser(
            name: name,
            userID: entry.pointee.pw_uid,
            groupID: entry.pointee.pw_gid,
            groups: groups,
            isOther: true
        )
    }

    /// Gives a file or folder to the user; does nothing when roostd runs as that user itself.
    package func takeOwnership(of path: String) throws(EngineError) {
        guard isOther else { return }
        guard lchown(path, userID, groupID) == 0 else {
            throw EngineError(
                .permissionDenied,
                "cannot give \(path) to the user \(name)",
                cause: systemErrorText(errno)
            )
        }
    }

    /// Whether the user can open a file, asked of the kernel, so that every folder above and every ACL counts.
    ///
    /// - Throws: `EngineError` `.notFound` or `.permissionDenied`, with the remedy.
    package func requireAccess(to path: String, writable: Bool) throws(EngineError) {
        let mode = R_OK | (writable ? W_OK : 0)
        let result: Int32 =
            if isOther {
                roost_access_as(path, mode, userID, groupID, groups, groups.count)
            } else {
                access(path, mode) == 0 ? 0 : -errno
            }
        if result == 0 { return }
        if result == -ENOENT || access(path, F_OK) != 0 && errno == ENOENT {
            throw EngineError(.notFound, "the file \(path) does not exist")
        }
        throw EngineError(
            .permissionDenied,
            "the user \(name), which QEMU runs as, cannot \(writable ? "read and write" : "read") \(path): "
                + "grant it (setfacl -m u:\(name):\(writable ? "rw" : "r") FILE, and x on the folders above)",
            cause: systemErrorText(-result)
        )
    }
}
