import Foundation
import RoostAPI
import RoostClient
import RoostPrimitives
import Testing

/// Checkpoints that keep the guest's memory, with real guests.
extension Integration.CheckpointTests {
    private func mark(_ console: GuestConsole, _ text: String) async throws {
        let mounted = "[ -d /tmp/m ] || { mkdir -p /tmp/m && mount -t tmpfs none /tmp/m; }"
        _ = try await console.shell("\(mounted); echo \(text) > /tmp/m/mark; echo \(text) > /data/mark; sync")
    }

    /// What the guest has in memory and on its disk.
    private func marks(_ console: GuestConsole) async throws -> String {
        let text = try await console.shell("echo $(cat /tmp/m/mark),$(cat /data/mark)")
        return try #require(text.split(whereSeparator: \.isNewline).map(String.init).last { $0.contains(",") })
            .trimmingCharacters(in: .whitespaces)
    }

    private func memory(_ roostd: Roostd, _ checkpoint: String) -> String {
        "\(roostd.stateDirectory)/Snapshots/\(checkpoint).saved.vmrs"
    }

    @Test func standardCheckpointBringsTheMemoryBackWithTheDisks() async throws {
        try await withRoostd("checkpoint-standard") { roostd in
            let client = roostd.client
            try await roostd.createGuest("web", generation: 2, secureBoot: "off")
            var console = try await roostd.boot("web")
            try await mark(console, "first")
            let created = try await roost(roostd, "create", "web", "--standard", "--name", "mem")
            #expect(created.status == 0, "\(created)")
            let shown = try await client.checkpoint(of: "web", "mem")
            let id = shown.summary.id.uppercased
            #expect(shown.summary.kind == .standard && shown.receipt.consistency == .memory, "\(shown.receipt)")
            #expect(shown.receipt.memoryBytes ?? 0 > 1 << 20 && shown.receipt.pauseMicroseconds ?? 0 > 0)
            #expect(shown.receipt.hasVariables && shown.disks.allSatisfy { $0.problem == nil })
            #expect(try await roostd.state("web") == .running)
            try await mark(console, "second")
            let uptime = try await console.uptime()
            for try await event in client.events(since: 0) {
                #expect(event.state != .paused, "\(event)")
                if event.kind == "job.ended", event.message.hasPrefix("checkpoint.create") { break }
            }

            let running = try await client.applyCheckpoint(to: "web", "mem", waitSeconds: 60)
            #expect(running.error?.code == .invalidState && running.error?.message.contains("--turn-off") == true)
            let request = ApplyCheckpointRequest(turnOff: true, start: true)
            try await client.applyCheckpoint(to: "web", "mem", request, waitSeconds: 120).succeeded()
            #expect(try await roostd.state("web") == .running)
            console = try await roostd.console("web")
            #expect(try await marks(console) == "first,first")
            #expect(try await console.uptime() < uptime + 60)
            // Once more, from another future, by way of a machine that is saved.
            try await mark(console, "third")
            try await roostd.turnOff("web")
            try await client.applyCheckpoint(to: "web", "mem", waitSeconds: 60).succeeded()
            #expect(try await roostd.state("web") == .saved)
            try await roostd.start("web")
            console = try await roostd.console("web")
            #expect(try await marks(console) == "first,first")
            // A saved state goes when a checkpoint without memory is applied.
            try await roostd.turnOff("web")
            _ = try await take(roostd, "web", "off")
            try await client.applyCheckpoint(to: "web", "mem", waitSeconds: 60).succeeded()
            try await client.applyCheckpoint(to: "web", "off", waitSeconds: 60).succeeded()
            #expect(try await roostd.state("web") == .off)

            // A damaged memory is not used, and the disks can be had without it.
            var bytes = try #require(Files.read(memory(roostd, id)))
            for index in bytes.count - 100_000..<bytes.count - 99_000 { bytes[index] ^= 0x5A }
            try Files.write(bytes, memory(roostd, id))
            try await client.applyCheckpoint(to: "web", "mem", waitSeconds: 60).succeeded()
            let refused = try await client.startVirtualMachine("web", waitSeconds: 60)
            #expect(refused.error?.code == .corrupt, "\(refused)")
            try await client.startVirtualMachine("web", .init(discardSavedState: true), waitSeconds: 60).succeeded()
            console = try await roostd.console("web")
            try await console.waitUntilReady()
            #expect(try await marks(console) == ",first")
            try await client.removeCheckpoint(of: "web", "mem", waitSeconds: 60).succeeded()
            #expect(!Files.exists(memory(roostd, id)))
            try await roostd.turnOff("web")
            for disk in try await client.disks() { try await tool("qemu-img", "check", "-q", disk.path) }
        }
    }

    @Test func standardCheckpointThatIsCutOffLeavesTheGuestRunning() async throws {
        try await withRoostd("checkpoint-standard-cut") { roostd in
            let client = roostd.client
            try await roostd.createGuest("web", generation: 1)
            var console = try await roostd.boot("web")
            var numbers = SeededNumbers(seed: 0x5EED_0013)
            var kept: [String: String] = [:]
            // Cancelled: the guest goes on, and nothing is kept.
            let job = try await client.createCheckpoint(of: "web", .init(kind: .standard))
            _ = try? await client.cancelJob(job.id)
            let ended = try await client.job(job.id, waitSeconds: 60)
            let left = try await client.checkpoints(of: "web")
            #expect(left.count == (ended.state == .succeeded ? 1 : 0))
            for row in left {
                try await client.removeCheckpoint(of: "web", row.id.uppercased, waitSeconds: 60).succeeded()
            }
            for round in 1...6 {
                try await mark(console, "round-\(round)")
                let work = Task {
                    try await client.createCheckpoint(of: "web", .init(kind: .standard), waitSeconds: 60)
                }
                try await Task.sleep(for: .milliseconds(Int.random(in: 50...1500, using: &numbers)))
                await roostd.kill9()
                _ = try? await work.value
                try await roostd.start()
                #expect(try await roostd.state("web") == .running, "round \(round)")
                console = try await roostd.console("web")
                _ = try await console.shell("echo x > /data/thawed && sync", within: 20)
                for row in try await client.checkpoints(of: "web") {
                    let shown = try await client.checkpoint(of: "web", row.id.uppercased)
                    #expect(shown.disks.allSatisfy { $0.problem == nil }, "round \(round): \(shown.disks)")
                    if kept[row.id.uppercased] == nil { kept[row.id.uppercased] = "round-\(round)" }
                    let isKept = Files.exists(memory(roostd, row.id.uppercased))
                    #expect(isKept == (shown.receipt.consistency == .memory), "round \(round): \(shown.receipt)")
                }
            }
            let taken = try await client.createCheckpoint(of: "web", .init(kind: .standard), waitSeconds: 60)
                .succeeded()
            kept[try #require(taken.result)] = "round-6"
            for (id, text) in kept {
                let shown = try await client.checkpoint(of: "web", id)
                let request = ApplyCheckpointRequest(turnOff: true, start: true)
                try await client.applyCheckpoint(to: "web", id, request, waitSeconds: 120).succeeded()
                console = try await roostd.console("web")
                if shown.receipt.consistency != .memory { try await console.waitUntilReady() }
                let found = try await marks(console)
                #expect(found == (shown.receipt.consistency == .memory ? "\(text),\(text)" : ",\(text)"), "\(shown)")
            }
            try await roostd.turnOff("web")
            for disk in try await client.disks() { try await tool("qemu-img", "check", "-q", disk.path) }
        }
    }
}
