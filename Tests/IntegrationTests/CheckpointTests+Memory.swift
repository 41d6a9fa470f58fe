import Foundation
import RoostAPI
import RoostClient
import RoostPrimitives
import Testing

/// What keeps the memory of a checkpoint from being used beside other disks, and what becomes of it when it is in the way.
extension Integration.CheckpointTests {
    private func link(_ path: String, _ name: String) async throws { try await tool("ln", path, name) }

    @Test func memoryIsNeverUsedTwiceNorBesideOtherDisks() async throws {
        try await withRoostd("checkpoint-memory") { roostd in
            let client = roostd.client
            let id = try await roostd.createGuest("web", generation: 1)
            var console = try await roostd.boot("web")
            _ = try await console.shell("echo first > /data/mark; sync")
            let taken = try await client.createCheckpoint(
                of: "web",
                .init(name: "mem", kind: .standard),
                waitSeconds: 60
            )
            let checkpoint = try #require(try taken.succeeded().result)
            let saved = "\(roostd.virtualMachines)/\(id).saved.vmrs"
            let memory = "\(roostd.stateDirectory)/Snapshots/\(checkpoint).saved.vmrs"
            try await roostd.turnOff("web")

            // A start that failed has left the same file under the name of one that goes on.
            try await client.applyCheckpoint(to: "web", "mem", waitSeconds: 60).succeeded()
            try await link(memory, "\(saved).resumed")
            try await roostd.start("web")
            #expect(!Files.exists(saved))
            try await eventually("the other name is gone") { !Files.exists("\(saved).resumed") }
            console = try await roostd.console("web")
            _ = try await console.shell("echo newer > /data/mark; sync")
            let qemu = try roostd.qemu(id).processID
            await roostd.kill9()
            // Whoever has left this one lets nobody go back.
            try await link(memory, saved)
            try await roostd.start()
            #expect(try await roostd.state("web") == .running)
            #expect(try roostd.qemu(id).processID == qemu && !Files.exists(saved))
            console = try await roostd.console("web")
            #expect(try await console.shell("cat /data/mark").contains("newer"))

            // A disk that somebody else has changed does not fit it any more.
            try await client.saveVirtualMachine("web", waitSeconds: 60).succeeded()
            let path = try await disk(roostd, "web")
            try await tool("qemu-io", "-f", "qcow2", "-c", "write -P 9 0 512", path)
            let refused = try await client.startVirtualMachine("web", waitSeconds: 60)
            #expect(refused.error?.code == .unsupported && refused.error?.message.contains(path) == true, "\(refused)")
            #expect(try await roostd.state("web") == .saved && roostd.qemus.isEmpty)
            // So it does for one who knows of it from an earlier roostd.
            await roostd.kill9()
            try await roostd.start()
            #expect(try await client.startVirtualMachine("web", waitSeconds: 60).error?.code == .unsupported)

            // What Roost itself does to the files changes nothing of what they hold.
            try await client.applyCheckpoint(to: "web", "mem", waitSeconds: 60).succeeded()
            try await roostd.start("web")
            try await client.createCheckpoint(of: "web", .init(name: "above"), waitSeconds: 60).succeeded()
            console = try await roostd.console("web")
            _ = try await console.shell("echo above > /data/mark; sync")
            try await client.saveVirtualMachine("web", waitSeconds: 60).succeeded()
            try await client.removeCheckpoint(of: "web", "above", waitSeconds: 60).succeeded()
            try await roostd.start("web")
            console = try await roostd.console("web")
            #expect(try await console.shell("cat /data/mark").contains("above"))

            // One that is damaged is not applied, and the guest goes on.
            let verify = ["file", "verify", memory]
            #expect(try await run(Laboratory.roost, verify).status == 0)
            var bytes = try #require(Files.read(memory))
            for index in bytes.count - 100_000..<bytes.count - 99_000 { bytes[index] ^= 0x5A }
            try Files.write(bytes, memory)
            let found = try await run(Laboratory.roost, verify)
            #expect(found.status == APIError.Code.corrupt.exitCode && found.text.contains("memory"), "\(found)")
            let bad = try await client.applyCheckpoint(to: "web", "mem", .init(turnOff: true), waitSeconds: 60)
            #expect(bad.error?.code == .corrupt && bad.error?.message.contains("new-vm") == true, "\(bad)")
            #expect(try await roostd.state("web") == .running)

            // Nor is one that is gone.
            try Files.remove(memory)
            let gone = try await client.applyCheckpoint(to: "web", "mem", .init(turnOff: true), waitSeconds: 60)
            #expect(gone.error?.code == .notFound, "\(gone)")
            #expect(try await roostd.state("web") == .running)
            // A saved state that is gone is no reason to start without it unasked.
            try await client.saveVirtualMachine("web", waitSeconds: 60).succeeded()
            try Files.remove(saved)
            let cold = try await client.startVirtualMachine("web", waitSeconds: 60)
            #expect(cold.error?.code == .notFound && cold.error?.message.contains("--discard-saved-state") == true)
            try await client.startVirtualMachine("web", .init(discardSavedState: true), waitSeconds: 60).succeeded()
            try await roostd.turnOff("web")
        }
    }

    @Test func guestGoesOnWhileItsMemoryIsWrittenWhereTheHostAllowsIt() async throws {
        // Set for this test alone, and only on machines that are there for tests; elsewhere the paused copy is looked at.
        let setting = "/proc/sys/vm/unprivileged_userfaultfd"
        let before = Files.read(setting)
        let allows = Laboratory.isRoot && Laboratory.mayChangeHost && before != nil
        if allows { try Data("1".utf8).write(to: URL(fileURLWithPath: setting)) }
        defer { if allows, let before { try? before.write(to: URL(fileURLWithPath: setting)) } }
        try await Laboratory.withNewestQEMU { qemu in
            try await withRoostd("checkpoint-background", arguments: ["--qemu", qemu]) { roostd in
                try await keepMemoryInBackground(roostd, isAllowed: allows)
            }
        }
    }

    private func keepMemoryInBackground(_ roostd: Roostd, isAllowed: Bool) async throws {
        let client = roostd.client
        try await roostd.createGuest("web", generation: 2, secureBoot: "off") { $0.memoryMiB = 768 }
        var console = try await roostd.boot("web")
        // What a paused copy would have to write takes long.
        _ = try await console.shell(
            "mkdir -p /tmp/m && mount -t tmpfs -o size=400m none /tmp/m; dd if=/dev/urandom of=/tmp/m/fill bs=1M count=256 "
                + "2>/dev/null; echo memory > /tmp/m/mark; echo disk > /data/mark; sync",
            within: 120
        )
        let begun = ContinuousClock.now
        try await client.createCheckpoint(of: "web", .init(name: "mem", kind: .standard), waitSeconds: 120).succeeded()
        let whole = ContinuousClock.now - begun
        let receipt = try await client.checkpoint(of: "web", "mem").receipt
        let pause = Duration.microseconds(try #require(receipt.pauseMicroseconds))
        #expect(receipt.memoryBytes ?? 0 > 200 << 20)
        // Older ones cannot be cancelled without harm, and stand still.
        let major = try await client.host().qemuVersion.split(separator: ".").first.flatMap { Int($0) } ?? 0
        let goesOn = isAllowed && major > 8
        #expect(!goesOn || pause < whole / 4, "\(pause) of \(whole)")
        #expect(goesOn == (receipt.reason?.contains("stood still") != true), "\(receipt)")
        _ = try await console.shell("echo later > /tmp/m/mark; echo later > /data/mark; sync")

        // Cancelled in the middle: the guest goes on, and nothing is kept.
        let job = try await client.createCheckpoint(of: "web", .init(name: "cancelled", kind: .standard))
        try await eventually("memory is being written", within: 60) {
            let now = try await client.job(job.id)
            return now.progress ?? 0 > 0.02 || now.state != .running
        }
        _ = try? await client.cancelJob(job.id)
        let ended = try await client.job(job.id, waitSeconds: 60)
        #expect(ended.state == .cancelled, "\(ended)")
        #expect(try await client.checkpoints(of: "web").map(\.name) == ["mem"])
        for other in try await client.jobs() where other.state == .running {
            _ = try await client.job(other.id, waitSeconds: 60)
        }
        #expect(try await roostd.state("web") == .running)
        _ = try await console.shell("echo x > /data/after && sync", within: 20)

        // QEMU ends in the middle: what it had written is there as after a power cut, with its UEFI variables.
        let id = try await roostd.summary("web").id.uppercased
        let cut = try await client.createCheckpoint(of: "web", .init(name: "cut", kind: .standard))
        try await eventually("memory is being written", within: 60) {
            let now = try await client.job(cut.id)
            return now.progress ?? 0 > 0.02 || now.state != .running
        }
        kill(try roostd.qemu(id).processID, SIGKILL)
        #expect(try await client.job(cut.id, waitSeconds: 60).error != nil)
        try await roostd.wait(for: "web", .crashed)
        #expect(try await client.checkpoints(of: "web").map(\.name) == ["mem"])
        let leftovers = try FileManager.default.contentsOfDirectory(atPath: "\(roostd.stateDirectory)/Snapshots")
        #expect(!leftovers.contains { $0.hasSuffix(".partial") }, "\(leftovers)")

        try await client.applyCheckpoint(to: "web", "mem", .init(start: true), waitSeconds: 120).succeeded()
        console = try await roostd.console("web")
        #expect(try await console.shell("cat /tmp/m/mark /data/mark | tr '\\n' ','").contains("memory,disk"))
        try await roostd.turnOff("web")
        for disk in try await client.disks() { try await tool("qemu-img", "check", "-q", disk.path) }
    }

    @Test func memoryOfAMachineWithVHDXIsRefusedBeforeAnythingIsDone() async throws {
        try await withRoostd("checkpoint-vhdx-memory") { roostd in
            let client = roostd.client
            try await roostd.create("web") { $0.diskSizeBytes = 64 << 20 }
            let path = "\(roostd.disks)/data.vhdx"
            let request = CreateDiskRequest(path: path, sizeBytes: 64 << 20, format: "vhdx")
            try await client.createDisk(request, waitSeconds: 30).succeeded()
            _ = try await client.attachDisk(to: "web", .init(path: path))
            try await roostd.start("web")
            let before = try await client.disks().count
            for _ in 1...2 {
                let job = try await client.createCheckpoint(of: "web", .init(kind: .standard), waitSeconds: 60)
                #expect(job.error?.code == .unsupported, "\(job)")
            }
            let saved = try await client.saveVirtualMachine("web", waitSeconds: 60)
            #expect(saved.error?.code == .unsupported, "\(saved)")
            #expect(try await client.disks().count == before)
            #expect(try await roostd.state("web") == .running)
        }
    }
}
