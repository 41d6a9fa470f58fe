import Foundation
import HyperVStorage
import RoostAPI
import RoostClient
import RoostPrimitives
import Testing

/// Checkpoints that are removed while the guest runs, with real guests.
extension Integration.CheckpointTests {
    /// Lets the guest count on its disk for as long as there is no /tmp/enough.
    private func count(_ console: GuestConsole) async throws {
        _ = try await console.shell(
            "(n=0; while [ ! -e /tmp/enough ]; do n=$((n+1)); echo $n > /data/new && sync && mv /data/new /data/count; "
                + "done) & true"
        )
    }

    /// The sums of the files that the guest has been given, a line each.
    private func sums(_ console: GuestConsole, _ names: [String]) async throws -> String {
        let text = try await console.shell("cd /data && sha256sum \(names.joined(separator: " "))", within: 60)
        return text.split(whereSeparator: \.isNewline).filter { line in names.contains { line.hasSuffix("  \($0)") } }
            .joined(separator: "\n")
    }

    @Test func checkpointsGoWhileTheGuestWritesAndNobodySeesItPaused() async throws {
        try await withRoostd("checkpoint-live-removed") { roostd in
            let client = roostd.client
            try await roostd.createGuest("web", generation: 1)
            var console = try await roostd.boot("web")
            try await roostd.waitForAgent("web")
            let base = try await disk(roostd, "web")
            try await count(console)
            let names = ["one", "kept", "three", "four"]
            for name in names {
                let made = "dd if=/dev/urandom of=/data/\(name) bs=1M count=3 2>/dev/null; sync"
                _ = try await console.shell(made, within: 60)
                _ = try await take(roostd, "web", name)
            }
            let before = try await sums(console, names)
            #expect(before.split(separator: "\n").count == 4)
            let counted = try #require(Int(try await lastLine(console, "cat /data/count")))

            // The first one; the middle; what the guest branched off last.
            for name in ["one", "three", "four"] {
                try await client.removeCheckpoint(of: "web", name, waitSeconds: 120).succeeded()
                #expect(try await client.checkpoint(of: "web", "kept").disks.allSatisfy { $0.problem == nil })
            }
            #expect(try await client.disks().map(\.path).count == 2)
            #expect(try await client.checkpoint(of: "web", "kept").disks.map(\.path) == [base])
            #expect(try await sums(console, names) == before)
            #expect(try #require(Int(try await lastLine(console, "cat /data/count"))) > counted)
            // A disk can go on branching, and settings can change.
            _ = try await take(roostd, "web", "five")
            try await client.removeCheckpoint(of: "web", "five", waitSeconds: 120).succeeded()
            var ended = 0
            for try await event in client.events(since: 0) {
                #expect(event.state != .paused, "\(event)")
                if event.kind == "job.ended", event.message.hasPrefix("checkpoint.remove") { ended += 1 }
                if ended == 4 { break }
            }
            _ = try await console.shell("touch /tmp/enough; sync")
            try await roostd.turnOff("web")
            for disk in try await client.disks() { try await tool("qemu-img", "check", "-q", disk.path) }

            // What was kept is what it was.
            try await client.applyCheckpoint(to: "web", "kept", waitSeconds: 60).succeeded()
            console = try await roostd.boot("web")
            let kept = try await sums(console, ["one", "kept"])
            #expect(before.hasPrefix(kept) && kept.split(separator: "\n").count == 2, "\(kept)")
            #expect(try await console.shell("ls /data").contains("three") == false)
            try await client.removeCheckpoint(of: "web", "kept", waitSeconds: 120).succeeded()
            #expect(try await client.disks().map(\.path) == [base])
            #expect(try await disk(roostd, "web") == base)
            #expect(try await sums(console, ["one", "kept"]) == kept)
            try await roostd.turnOff("web")
            try await tool("qemu-img", "check", "-q", base)
        }
    }

    private func lastLine(_ console: GuestConsole, _ command: String) async throws -> String {
        let lines = try await console.shell(command).split(whereSeparator: \.isNewline).map(String.init)
        return try #require(lines.last { !$0.trimmingCharacters(in: .whitespaces).isEmpty })
            .trimmingCharacters(in: .whitespaces)
    }

    /// What the run record says of a moment in which the guest stands still.
    private func standstill(_ roostd: Roostd, _ id: String) -> String? {
        guard let bytes = Files.read("\(roostd.virtualMachines)/\(id).vmrs"),
            let tree = try? StorageFile(parsing: Array(bytes)).tree,
            case .string(let text)? = tree.descendant("configuration/roost/run/standstill")?.value
        else { return nil }
        return text
    }

    @Test func roostdKilledWhileFilesAreMergedBelowAGuestLeavesItRunningOnTheRightOnes() async throws {
        try await withRoostd("checkpoint-live-merge-killed") { roostd in
            let client = roostd.client
            try await roostd.createGuest("web", generation: 1)
            var console = try await roostd.boot("web")
            let id = try await roostd.summary("web").id.uppercased
            try await roostd.waitForAgent("web")
            try await count(console)
            var numbers = SeededNumbers(seed: 0x5EED_0011)
            // In the middle of the data, and in the moment in which the guest stands still.
            var (still, round) = (0, 0)
            while round < 4 || still < 2, round < 24 {
                round += 1
                _ = try await console.shell("echo mark-\(100 + round) > /data/mark; sync", within: 60)
                _ = try await take(roostd, "web", "c")
                _ = try await console.shell(
                    "dd if=/dev/urandom of=/data/fill bs=1M count=4 2>/dev/null; sync",
                    within: 60
                )
                let job = try await client.removeCheckpoint(of: "web", "c")
                if round % 2 == 0 {
                    try await Task.sleep(for: .milliseconds(Int.random(in: 0...120, using: &numbers)))
                } else {
                    let deadline = ContinuousClock.now + .seconds(20)
                    while standstill(roostd, id) != "running", ContinuousClock.now < deadline {
                        if round % 3 == 0, try await client.job(job.id).state != .running { break }
                    }
                }
                await roostd.kill9()
                if standstill(roostd, id) == "running" { still += 1 }
                try await roostd.start()
                for job in try await client.jobs() where job.state == .running {
                    try await client.job(job.id, waitSeconds: 60).succeeded()
                }
                #expect(try await roostd.state("web") == .running, "round \(round)")
                console = try await roostd.console("web")
                _ = try await console.shell("echo x > /data/after && sync", within: 30)
                #expect(try await lastLine(console, "cat /data/mark") == "mark-\(100 + round)")
                try await roostd.waitForAgent("web")
                for row in try await client.checkpoints(of: "web") {
                    try await client.removeCheckpoint(of: "web", row.id.uppercased, waitSeconds: 60).succeeded()
                }
                let disks = try await client.disks()
                #expect(disks.count == 1, "round \(round): \(disks.map(\.path))")
                #expect(standstill(roostd, id) == "")
            }
            #expect(still >= 2, "of \(round) kills")
            _ = try await console.shell("touch /tmp/enough; sync")
            try await roostd.turnOff("web")
            let path = try await disk(roostd, "web")
            try await tool("qemu-img", "check", "-q", path)
            console = try await roostd.boot("web")
            #expect(try await lastLine(console, "cat /data/mark") == "mark-\(100 + round)")
            try await roostd.turnOff("web")
        }
    }

    @Test func mergeBelowAGuestThatEndsGoesOnAndACancelledOneLaterAndOthersWait() async throws {
        try await withRoostd("checkpoint-live-merge-ended") { roostd in
            let client = roostd.client
            try await roostd.createGuest("web", generation: 1)
            let data = try await client.createDisk(.init(path: "data.img", sizeBytes: 512 << 20), waitSeconds: 30)
            _ = try await client.attachDisk(to: "web", .init(path: try #require(data.result), format: "raw"))
            var console = try await roostd.boot("web")
            try await roostd.waitForAgent("web")
            let device = "/dev/$(grep -lx 1048576 /sys/block/sd*/size | cut -d/ -f4)"
            func fill(_ text: String) async throws {
                let command =
                    "dd if=/dev/zero of=\(device) bs=1M count=320 2>/dev/null; "
                    + "echo \(text) | dd of=\(device) bs=1M seek=300 conv=fsync 2>/dev/null"
                _ = try await console.shell(command, within: 120)
            }
            func holds(_ text: String) async throws -> Bool {
                let command = "dd if=\(device) bs=1M count=1 skip=300 2>/dev/null | head -n 1 | tr -d '\\0'"
                return try await console.shell(command, within: 60).contains(text)
            }
            /// Begins a removal, and returns once its files are being merged.
            func removing(_ name: String) async throws -> Job {
                let job = try await client.removeCheckpoint(of: "web", name)
                for try await event in client.events(since: 0)
                where event.kind == "checkpoint.removed" && event.message.contains("\"\(name)\"") { break }
                return job
            }

            // Cancelled: all reads as before, and the next removal does the rest.
            _ = try await take(roostd, "web", "cancelled")
            try await fill("first")
            var job = try await removing("cancelled")
            var refused: [APIError.Code] = []
            while try await client.job(job.id).state == .running, refused.isEmpty {
                let taken = try await client.createCheckpoint(of: "web", waitSeconds: 30)
                if let code = taken.error?.code { refused.append(code) }
                let detached = try await refusal { try await client.detachDisk(from: "web", location: "scsi:0:1") }
                if let code = detached?.code { refused.append(code) }
            }
            #expect(refused.allSatisfy { $0 == .busy } && !refused.isEmpty, "\(refused)")
            // What has nothing to do with disks goes on.
            var notes = UpdateVirtualMachineRequest()
            notes.notes = "changed beside a merge"
            _ = try await client.updateVirtualMachine("web", notes)
            _ = try? await client.cancelJob(job.id)
            job = try await client.job(job.id, waitSeconds: 60)
            #expect(try await holds("first"))
            #expect(try await roostd.state("web") == .running)

            // QEMU ends in the middle.
            _ = try await take(roostd, "web", "killed")
            try await fill("second")
            job = try await removing("killed")
            kill(try roostd.qemu(try await roostd.summary("web").id.uppercased).processID, SIGKILL)
            _ = try await client.job(job.id, waitSeconds: 120).succeeded()
            #expect(try await roostd.state("web") == .crashed)
            #expect(try await client.disks().filter { $0.backingFile != nil }.isEmpty)
            for disk in try await client.disks() where disk.format == "qcow2" {
                try await tool("qemu-img", "check", "-q", disk.path)
            }
            console = try await roostd.boot("web")
            #expect(try await holds("second"))

            // The guest starts anew in the middle.
            try await roostd.waitForAgent("web")
            _ = try await take(roostd, "web", "restarted")
            try await fill("third")
            job = try await removing("restarted")
            try await client.restartVirtualMachine("web", .init(turnOff: true), waitSeconds: 120).succeeded()
            // It goes on below the guest that has started meanwhile.
            try await client.job(job.id, waitSeconds: 120).succeeded()
            #expect(try await client.disks().filter { $0.backingFile != nil }.isEmpty)
            console = try await roostd.console("web")
            try await console.waitUntilReady()
            #expect(try await holds("third"))
            try await roostd.waitForAgent("web")
            _ = try await take(roostd, "web", "last")
            try await client.removeCheckpoint(of: "web", "last", waitSeconds: 120).succeeded()
            #expect(try await client.disks().filter { $0.backingFile != nil }.isEmpty)
            #expect(try await holds("third"))

            // A machine that is off starts in the middle.
            try await roostd.waitForAgent("web")
            _ = try await take(roostd, "web", "off")
            try await fill("fourth")
            try await roostd.turnOff("web")
            job = try await removing("off")
            try await client.startVirtualMachine("web", waitSeconds: 120).succeeded()
            job = try await client.job(job.id, waitSeconds: 120)
            try job.succeeded()
            // The guest has not waited for the merge, which has gone on below it.
            var order: [String] = []
            for try await event in client.events(since: 0) {
                if event.job == job.id { order.append(event.kind) }
                if event.kind == "vm.state", event.message.hasSuffix("running"), order == ["job.started"] {
                    order.append("running")
                }
                if order.last == "job.ended" { break }
            }
            #expect(order == ["job.started", "running", "job.ended"])
            #expect(try await client.disks().filter { $0.backingFile != nil }.isEmpty)
            console = try await roostd.console("web")
            try await console.waitUntilReady()
            #expect(try await holds("fourth"))
            try await roostd.turnOff("web")
        }
    }
}
