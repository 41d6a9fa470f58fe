import Foundation
import RoostAPI
import RoostClient
import RoostPrimitives
import Testing

/// What becomes of checkpoints and saved states when the host's disk is full.
extension Integration.CheckpointTests {
    @Test(.enabled(if: Laboratory.isRoot)) func fullDiskLeavesTheGuestRunningAndEveryDiskWhole() async throws {
        try await withSmallDisk("checkpoint-full", mebibytes: 700) { roostd, room in
            let client = roostd.client
            let id = try await roostd.createGuest("web", generation: 1)
            let console = try await roostd.boot("web")
            try await roostd.waitForAgent("web")
            _ = try await console.shell("echo one > /data/mark; sync")
            let first = try await take(roostd, "web", "one")
            _ = try await console.shell("echo two > /data/mark; sync")
            let files = roostd.stateFiles()

            // Wherever the making of a checkpoint meets the end of the disk, nothing is left of it.
            var refusals = 0
            for bytes in [0, 8, 32, 64, 128, 192, 256, 320, 384].map({ UInt64($0) << 10 }) {
                try await room.fill(leaving: bytes)
                let job = try await client.createCheckpoint(of: "web", waitSeconds: 60)
                try room.free()
                try await requireAtWork(roostd, console)
                guard job.state != .succeeded else { continue }
                refusals += 1
                #expect(job.error?.code == .insufficientResources, "\(bytes): \(job)")
                #expect(try await client.checkpoints(of: "web").map(\.id.uppercased) == [first], "\(bytes)")
                #expect(roostd.stateFiles() == files, "\(bytes)")
            }
            #expect(refusals > 2)
            for row in try await client.checkpoints(of: "web") where row.id.uppercased != first {
                try await client.removeCheckpoint(of: "web", row.id.uppercased, waitSeconds: 60).succeeded()
            }

            // Memory is not kept down to the last byte, which the guests' disks need.
            try await room.fill(leaving: 100 << 20)
            let standard = try await client.createCheckpoint(of: "web", .init(kind: .standard), waitSeconds: 60)
            #expect(standard.error?.code == .insufficientResources, "\(standard)")
            try await requireAtWork(roostd, console)
            let save = try await client.saveVirtualMachine("web", waitSeconds: 60)
            #expect(save.error?.code == .insufficientResources, "\(save)")
            try await requireAtWork(roostd, console)
            try room.free()
            #expect(try await client.checkpoints(of: "web").map(\.id.uppercased) == [first])
            #expect(!roostd.stateFiles().contains { $0.hasSuffix(".partial") || $0.hasSuffix(".saved.vmrs") })

            // Below a guest that runs, and of one that is off.
            _ = try await console.shell("dd if=/dev/urandom of=/data/noise bs=64k count=500 conv=fsync 2>/dev/null")
            try await room.fill(leaving: 4 << 20)
            let merge = try await client.removeCheckpoint(of: "web", first, waitSeconds: 120)
            #expect(merge.error?.code == .insufficientResources, "\(merge)")
            try room.free()
            try await requireAtWork(roostd, console)
            let noise = try await console.shell("md5sum /data/noise", within: 60)
            let second = try await take(roostd, "web", "two")
            _ = try await console.shell("dd if=/dev/urandom of=/data/more bs=64k count=200 conv=fsync 2>/dev/null")
            let more = try await console.shell("md5sum /data/more", within: 60)
            try await client.stopVirtualMachine("web", waitSeconds: 120).succeeded()
            try await room.fill(leaving: 4 << 20)
            let closed = try await client.removeCheckpoint(of: "web", second, waitSeconds: 120)
            #expect(closed.error?.code == .insufficientResources, "\(closed)")
            #expect(try await client.checkpoints(of: "web").isEmpty)
            for disk in try await client.disks() { try await tool("qemu-img", "check", "-q", disk.path) }
            try room.free()

            // The rest is merged with the next removal, and nothing was lost.
            let third = try await take(roostd, "web", "three")
            try await client.removeCheckpoint(of: "web", third, waitSeconds: 120).succeeded()
            #expect(try await client.disks().count == 1)
            for disk in try await client.disks() { try await tool("qemu-img", "check", "-q", disk.path) }
            let again = try await roostd.boot("web")
            #expect(try await again.shell("cat /data/mark").contains("two"))
            #expect(try await again.shell("md5sum /data/noise", within: 60) == noise)
            #expect(try await again.shell("md5sum /data/more", within: 60) == more)
            #expect(try roostd.qemu(id).processID > 0)
        }
    }

    /// Makes sure that the guest runs and writes; a write of its own that met the full disk waits for the user.
    private func requireAtWork(_ roostd: Roostd, _ console: GuestConsole) async throws {
        for job in try await roostd.client.jobs() where job.state == .running {
            _ = try await roostd.client.job(job.id, waitSeconds: 60)
        }
        let written = try await console.text().components(separatedBy: "written-42").count
        console.type("echo x > /data/after && sync && echo writ''ten-$((6*7))\n")
        try await eventually("the guest writes", within: 60) {
            let now = try await roostd.summary("web")
            if now.state == .paused {
                #expect(now.reason?.contains("full") == true, "\(now)")
                _ = try await roostd.client.resumeVirtualMachine("web", waitSeconds: 30)
            }
            return try await console.text().components(separatedBy: "written-42").count > written
        }
    }
}
