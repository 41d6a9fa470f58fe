import Foundation
import RoostAPI
import RoostClient
import RoostPrimitives
import Testing

extension Integration.GuestTests {
    @Test(arguments: ["qcow2", "raw", "vhdx"]) func diskComesAndGoesInARunningGuest(format: String) async throws {
        let console = try await guests.running(.uefi)
        let before = try await console.shell("cd /sys/block; echo sd*")
        let path = try #require(
            try await client.createDisk(
                .init(path: "hot.\(format)", sizeBytes: 64 << 20, format: format),
                waitSeconds: 30
            ).succeeded().result
        )
        let drive = try await client.attachDisk(to: "uefi", .init(path: path))
        #expect(drive.controllerType == "scsi")
        try await eventually("the guest has the new disk", within: 20) {
            try await console.shell("cd /sys/block; echo sd*") != before
        }
        let now = try await console.shell("cd /sys/block; echo sd*")
        let name = try #require(now.split(separator: " ").first { !before.contains($0) })
        #expect(try await console.shell("cat /sys/block/\(name)/size") == "\(64 << 11)")
        #expect(try await console.shell("echo written > /dev/\(name); sync; head -c 7 /dev/\(name)") == "written")

        let info = try #require(try await client.disks().first { $0.path == path })
        #expect(info.format == format)
        #expect(info.attachedTo == ["uefi"])
        #expect(try await refusal { try await client.attachDisk(to: "uefi", .init(path: path)) }?.code == .exists)

        if format != "vhdx" {
            try await client.resizeDisk(.init(path: path, sizeBytes: 96 << 20), waitSeconds: 30).succeeded()
            try await eventually("the guest sees the new size", within: 20) {
                try await console.shell("echo 1 > /sys/block/\(name)/device/rescan; cat /sys/block/\(name)/size")
                    == "\(96 << 11)"
            }
            let smaller = ResizeDiskRequest(path: path, sizeBytes: 32 << 20, shrink: true)
            #expect(try await refusal { try await client.resizeDisk(smaller, waitSeconds: 30) }?.code == .invalidState)
        }
        try await client.detachDisk(from: "uefi", location: drive.location)
        try await eventually("the guest has lost the disk", within: 20) {
            try await console.shell("cd /sys/block; echo sd*") == before
        }
        #expect(Files.exists(path))
        let unused = try #require(try await client.disks().first { $0.path == path })
        #expect(unused.attachedTo.isEmpty)
        try Files.remove(path)
    }

    @Test func discIsReadOnlyInTheGuest() async throws {
        let console = try await guests.running(.uefi)
        let path = "\(roostd.base)/disc.iso"
        try Files.write(Data("a disc".utf8) + Data(count: 4 << 20), path)
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
        let drive = try await client.attachDisk(to: "uefi", .init(path: path))
        #expect(drive.kind == "dvd")
        try await eventually("the guest has the disc", within: 20) {
            try await console.shell("cat /sys/block/sr*/size 2>/dev/null | sort -n | tail -1").hasPrefix("819")
        }
        try await client.detachDisk(from: "uefi", location: drive.location)
        #expect(Files.read(path)?.prefix(6) == Data("a disc".utf8))
    }

    @Test(.enabled(if: Laboratory.isRoot)) func diskThatQEMUsUserCannotReachIsRefusedWithTheRemedy() async throws {
        _ = try await guests.running(.uefi)
        let folder = "\(roostd.base)/private"
        try FileManager.default.createDirectory(
            atPath: folder,
            withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o700]
        )
        let path = "\(folder)/foreign.img"
        try Files.makeSparse(path, size: 1 << 20)
        let before = try await client.drives(of: "uefi").map(\.location)
        let refused = try await refusal { try await client.attachDisk(to: "uefi", .init(path: path)) }
        #expect(refused?.code == .permissionDenied)
        #expect(refused?.message.contains(path) == true)
        #expect(refused?.message.contains(Laboratory.qemuUser) == true)
        #expect(try await client.drives(of: "uefi").map(\.location) == before)
    }

    @Test(.enabled(if: Laboratory.isRoot)) func guestsOnAPrivateSwitchReachEachOther() async throws {
        let made = try await client.createSwitch(.init(name: "lab", type: .private))
        let bridge = try #require(made.bridge)
        #expect(Files.exists("/sys/class/net/\(bridge)/bridge"))
        #expect(
            try await refusal { try await client.createSwitch(.init(name: "lab", type: .private)) }?.code == .exists
        )
        for name in ["left", "right"] { try await roostd.createGuest(name, generation: 1) { $0.switchName = "lab" } }
        async let left = roostd.boot("left")
        async let right = roostd.boot("right")
        let consoles = try await [left, right]
        for (number, console) in consoles.enumerated() {
            try await console.shell("ip link set eth0 up; ip address add 10.9.8.\(number + 1)/24 dev eth0")
        }
        try await eventually("the guests reach each other", within: 30) {
            try await consoles[0].shell("ping -c 1 -W 2 10.9.8.2 >/dev/null && echo reached || echo lost") == "reached"
        }
        // A private switch ends at the host.
        #expect(try await tool("ip", "address", "show", "dev", bridge).contains("inet ") == false)
        let refused = try await refusal { try await client.removeSwitch("lab") }
        #expect(refused?.code == .busy)
        #expect(refused?.message.contains("left") == true)

        for name in ["left", "right"] {
            try await roostd.turnOff(name)
            try await client.removeVirtualMachine(name, .init(removeDisks: true), waitSeconds: 30).succeeded()
        }
        try await client.removeSwitch("lab")
        #expect(!Files.exists("/sys/class/net/\(bridge)"))
    }

    @Test func configurationIsReadByAnotherProgram() async throws {
        guard let python = Laboratory.python else { return }
        let path = try await client.virtualMachine("uefi").configurationFile
        let result = try await run(python, ["\(Laboratory.root)/scripts/vmcx_dissect.py", "--summary", path])
        #expect(result.text == "name: uefi\ngeneration: 2\nversion: 8.0\nmemory: 384 MB\n")
    }
}
