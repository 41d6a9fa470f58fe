@testable import QMP
import Testing
import VMConfiguration

@testable import HostEngine

@Suite struct FreezePlanTests {
    private func system(_ name: String, _ mountPoint: String, _ type: String) -> GuestFileSystem {
        GuestFileSystem(name: name, mountPoint: mountPoint, type: type)
    }

    @Test func skippedFileSystemsHaveTheirReasons() {
        let plan = FreezePlan(
            [
                system("sda1", "/", "ext4"), system("sda15", "/boot/efi", "vfat"),
                system("sdb1", "/srv/read only", "xfs"), system("sda1", "/mnt/again", "ext4"),
            ],
            mounts: """
                /dev/sda1 / ext4 rw,relatime,errors=remount-ro 0 0
                /dev/sda15 /boot/efi vfat rw,relatime 0 0
                /dev/sdb1 /srv/read\\040only xfs ro,nosuid 0 0
                """,
            isWindows: false
        )
        #expect(plan.mountPoints == ["/"])
        #expect(
            plan.fileSystems.map(\.skipped) == [
                nil, "vfat cannot be frozen", "mounted read-only", "the same file system as another one",
            ]
        )
    }

    @Test func windowsFreezesAllVolumes() {
        let volumes = [system("C:", "C:\\", "NTFS"), system("D:", "D:\\", "FAT32")]
        let plan = FreezePlan(volumes, mounts: nil, isWindows: true)
        #expect(plan.mountPoints.count == 2)
        #expect(plan.consistency(frozen: 2, thawed: 2).0 == .application)
    }

    private static let answers: [(Int64, Int64, CheckpointReceipt.Consistency)] = [
        (0, 0, .crash), (2, 1, .crash), (2, 2, .fileSystem), (2, 3, .fileSystem),
    ]

    @Test(arguments: answers)
    func agentsNumbersDecide(frozen: Int64, thawed: Int64, expected: CheckpointReceipt.Consistency) {
        let plan = FreezePlan([system("a", "/", "ext4"), system("b", "/b", "xfs")], mounts: "", isWindows: false)
        let result = plan.consistency(frozen: frozen, thawed: thawed)
        #expect(result.0 == expected)
        #expect((result.reason == nil) == (expected == .fileSystem))
        #expect(plan.consistency(frozen: 1, thawed: 1).reason?.contains("1 of 2") == true)
    }
}
