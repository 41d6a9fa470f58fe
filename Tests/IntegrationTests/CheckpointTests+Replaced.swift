import Foundation
import RoostAPI
import RoostClient
import Testing

/// Files that checkpoints rely on, changed or replaced behind Roost's back.
extension Integration.CheckpointTests {
    @Test func fileReplacedBelowADiskIsNoticedBeforeAnythingReadsIt() async throws {
        try await withRoostd("checkpoint-replaced") { roostd in
            let client = roostd.client
            _ = try await machine(roostd)
            let base = try await disk(roostd, "web")
            let first = try await take(roostd, "web", "one")
            try await write(roostd, "web", 2)
            let second = try await take(roostd, "web", "two")
            try await write(roostd, "web", 3)
            let own = "\(roostd.base)/own.qcow2"
            try await tool("cp", "-p", base, own)
            let before = try await disk(roostd, "web")

            // Another disk of the same size, in its place.
            let other = "\(roostd.base)/other.qcow2"
            try await tool("qemu-img", "create", "-q", "-f", "qcow2", other, "64M")
            try await tool("qemu-io", "-f", "qcow2", "-c", "write -P 9 0 1M", other)
            try await tool("cp", "--no-preserve=all", other, base)
            let start = try await client.startVirtualMachine("web", waitSeconds: 30)
            #expect(start.error?.code == .corrupt, "\(start)")
            #expect(start.error?.message.contains(base) == true, "\(start)")
            #expect(start.error?.message.contains("--accept-changed-disks") == true, "\(start)")
            #expect(try await roostd.state("web") == .off)
            // The second stands on it, too.
            for checkpoint in [first, second] {
                let apply = try await client.applyCheckpoint(to: "web", checkpoint, waitSeconds: 30)
                #expect(apply.error?.code == .corrupt && apply.error?.message.contains(base) == true, "\(apply)")
                let copy = NewVirtualMachineFromCheckpointRequest(name: "copy")
                let made = try await client.createVirtualMachine(
                    fromCheckpoint: checkpoint,
                    of: "web",
                    copy,
                    waitSeconds: 30
                )
                #expect(made.error?.code == .corrupt && made.error?.message.contains(base) == true, "\(made)")
                let verified = try await client.verifyCheckpoint(of: "web", checkpoint, waitSeconds: 30)
                #expect(
                    verified.error?.code == .corrupt && verified.error?.message.contains(base) == true,
                    "\(verified)"
                )
            }
            #expect(try await disk(roostd, "web") == before)
            let shown = try await client.checkpoint(of: "web", second).disks
            #expect(shown.allSatisfy { $0.problem?.contains(base) == true }, "\(shown)")

            // The right one, with its times: all is well.
            try await tool("cp", "-p", own, base)
            try await roostd.start("web")
            try await roostd.turnOff("web")
            // Without its times it is up to the user.
            try await tool("cp", "--no-preserve=all", own, base)
            let again = try await client.startVirtualMachine("web", waitSeconds: 30)
            #expect(again.error?.code == .corrupt, "\(again)")
            let accepted = try await run(
                Laboratory.roost,
                ["--run-dir", roostd.runDirectory, "vm", "start", "web", "--accept-changed-disks"]
            )
            #expect(accepted.status == 0 && accepted.errors.contains(base), "\(accepted)")
            try await roostd.turnOff("web")
            try await roostd.start("web")
            try await roostd.turnOff("web")
            for checkpoint in [first, second] {
                try await client.applyCheckpoint(to: "web", checkpoint, waitSeconds: 60).succeeded()
            }
            #expect(try await holds(disk(roostd, "web"), 2))
            // What another branch relies on is merged as little, and taken as it is with the rest.
            try await write(roostd, "web", 4)
            let third = try await take(roostd, "web", "three")
            let side = try #require(try await client.checkpoint(of: "web", third).disks.first?.path)
            try await client.applyCheckpoint(to: "web", first, waitSeconds: 60).succeeded()
            try await tool("touch", side)
            let unmerged = try await client.removeCheckpoint(of: "web", second, waitSeconds: 30)
            #expect(unmerged.error?.code == .corrupt && unmerged.error?.message.contains(side) == true, "\(unmerged)")
            #expect(try await client.checkpoints(of: "web").count == 3)
            try await client.startVirtualMachine("web", .init(acceptChangedDisks: true), waitSeconds: 60).succeeded()
            try await roostd.turnOff("web")
            try await client.removeCheckpoint(of: "web", second, waitSeconds: 60).succeeded()
            try await client.applyCheckpoint(to: "web", third, waitSeconds: 60).succeeded()
            #expect(try await holds(disk(roostd, "web"), 4))

            try Files.remove(base)
            let gone = try await client.startVirtualMachine("web", waitSeconds: 30)
            #expect(gone.error?.code == .notFound && gone.error?.message.contains(base) == true, "\(gone)")
        }
    }

    @Test func fileReplacedBelowARunningGuestIsNoticedAtTheNextUse() async throws {
        try await withRoostd("checkpoint-replaced-live") { roostd in
            let client = roostd.client
            try await roostd.createGuest("web", generation: 1)
            var console = try await roostd.boot("web")
            try await roostd.waitForAgent("web")
            let base = try await disk(roostd, "web")
            let first = try await take(roostd, "web", "one")
            _ = try await console.shell("echo behind > /data/mark; sync")
            let own = "\(roostd.base)/own.qcow2"
            try await tool("mv", base, own)
            try await tool("cp", "--no-preserve=all", own, base)
            // QEMU has the right one open, and nothing new may stand on the other one.
            for kind in [CheckpointKind.production, .standard] {
                let taken = try await client.createCheckpoint(of: "web", .init(kind: kind), waitSeconds: 60)
                #expect(taken.error?.code == .corrupt && taken.error?.message.contains(base) == true, "\(taken)")
            }
            let removed = try await client.removeCheckpoint(of: "web", first, waitSeconds: 60)
            #expect(removed.error?.code == .corrupt && removed.error?.message.contains(base) == true, "\(removed)")
            #expect(try await client.checkpoints(of: "web").count == 1)
            _ = try await console.shell("echo more > /data/after && sync", within: 30)
            #expect(try await roostd.state("web") == .running)

            try await tool("mv", own, base)
            _ = try await take(roostd, "web", "two")
            try await client.removeCheckpoint(of: "web", first, waitSeconds: 120).succeeded()
            try await roostd.turnOff("web")
            console = try await roostd.boot("web")
            #expect(try await console.shell("cat /data/mark /data/after | tr '\\n' ,").contains("behind,more"))
            try await roostd.turnOff("web")
            for disk in try await client.disks() { try await tool("qemu-img", "check", "-q", disk.path) }
        }
    }
}
