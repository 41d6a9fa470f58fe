import QMP
import VMConfiguration

/// Which of a guest's file systems a freeze reaches: a pure function of what the guest agent tells.
///
/// The agent of Linux freezes what is mounted from a disk, can be written, and has a file system that can freeze
/// (FIFREEZE of `ioctl_fs(2)`); it passes over the others in silence and answers with a number. That of Windows asks VSS,
/// which takes all volumes.
struct FreezePlan: Hashable {
    /// Every file system on a disk, with the reason why it will not be frozen.
    var fileSystems: [CheckpointReceipt.FileSystem]
    /// Whether the guest's agent freezes by VSS, which asks applications too and ends a freeze by itself.
    var usesVSS: Bool

    /// The mount points that will be frozen.
    var mountPoints: [String] { fileSystems.filter { $0.skipped == nil }.map(\.mountPoint) }

    /// - Parameters:
    ///   - fileSystems: what `guest-get-fsinfo` has told.
    ///   - mounts: the guest's `/proc/self/mounts`; nil when it could not be read.
    ///   - isWindows: whether the guest runs Windows.
    init(_ fileSystems: [GuestFileSystem], mounts: String?, isWindows: Bool) {
        usesVSS = isWindows
        let readOnly = mounts.map(Self.readOnlyMountPoints) ?? []
        var seen: Set<String> = []
        self.fileSystems = fileSystems.map { system in
            var row = CheckpointReceipt.FileSystem(mountPoint: system.mountPoint, type: system.type)
            if !isWindows { row.skipped = Self.reason(system, readOnly) }
            // A file system that is mounted twice is frozen once.
            if row.skipped == nil && !isWindows && !seen.insert(system.name).inserted {
                row.skipped = "the same file system as another one"
            }
            return row
        }
    }

    private static func reason(_ system: GuestFileSystem, _ readOnly: Set<String>) -> String? {
        if readOnly.contains(system.mountPoint) { return "mounted read-only" }
        if unfreezable.contains(system.type.lowercased()) { return "\(system.type) cannot be frozen" }
        return nil
    }

    /// File systems on disks without support for freezing.
    private static let unfreezable: Set<String> = [
        "vfat", "msdos", "exfat", "iso9660", "udf", "squashfs", "erofs", "romfs", "cramfs", "ntfs", "ntfs3", "fuseblk",
        "minix", "hfs", "hfsplus", "ufs",
    ]

    /// The mount points whose options say `ro` (proc_pid_mounts(5)).
    private static func readOnlyMountPoints(_ mounts: String) -> Set<String> {
        var result: Set<String> = []
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count >= 4, fields[3].split(separator: ",").contains("ro") else { continue }
            result.insert(unescaped(fields[1]))
        }
        return result
    }

    /// A path of `/proc/self/mounts`, where blanks and backslashes stand as octal numbers.
    private static func unescaped(_ field: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = field.utf8[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// What the agent's numbers say of the freeze.
    ///
    /// - Parameters:
    ///   - frozen: how many file systems the agent said that it froze.
    ///   - thawed: how many it thawed when it was told to.
    /// - Returns: how consistent the disks are, and why not more.
    func consistency(frozen: Int64, thawed: Int64) -> (CheckpointReceipt.Consistency, reason: String?) {
        if frozen == 0 { return (.crash, "the guest has no file system that can be frozen") }
        if thawed < frozen {
            return (.crash, "the guest was thawed too early: \(thawed) of \(frozen) file systems were still frozen")
        }
        if usesVSS { return (.application, nil) }
        if frozen < mountPoints.count {
            return (.fileSystem, "the agent froze \(frozen) of \(mountPoints.count) file systems that can be frozen")
        }
        return (.fileSystem, nil)
    }
}
