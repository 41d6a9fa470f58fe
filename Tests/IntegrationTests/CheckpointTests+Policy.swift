import Foundation
import RoostAPI
import RoostClient
import RoostPrimitives
import Testing

/// What is taken of a guest that cannot be frozen, and who ends a freeze, with real guests.
extension Integration.CheckpointTests {
    /// Lets the guest's agent refuse a command from now on.
    private func forbid(_ command: String, _ roostd: Roostd, _ console: GuestConsole) async throws {
        let change = "sed -i 's|^exec /sbin/qemu-ga|& -b \(command)|' /sbin/guest-agent; killall qemu-ga"
        _ = try await console.shell(change)
        try await eventually("the agent runs without \(command)", within: 30) {
            try await console.shell("cat /proc/$(pidof qemu-ga)/cmdline | tr '\\0' ' '").contains("-b \(command)")
        }
        try await roostd.waitForAgent("web")
    }

    @Test func guestThatCannotFreezeIsKeptWithItsMemoryOrRefusedAsThePolicySays() async throws {
        try await withRoostd("checkpoint-policy") { roostd in
            let client = roostd.client
            try await roostd.createGuest("web", generation: 1)
            let console = try await roostd.boot("web")
            try await roostd.waitForAgent("web")
            // The machine's own type, when nothing is asked for.
            var type = UpdateVirtualMachineRequest()
            type.checkpointType = .standard
            _ = try await client.updateVirtualMachine("web", type)
            let wanted = try await client.checkpoint(of: "web", try await take(roostd, "web", "by type"))
            #expect(wanted.summary.kind == .standard && wanted.receipt.consistency == .memory, "\(wanted)")
            type.checkpointType = .production
            _ = try await client.updateVirtualMachine("web", type)
            for checkpoint in try await client.checkpoints(of: "web") {
                try await client.removeCheckpoint(of: "web", checkpoint.id.uppercased, waitSeconds: 60).succeeded()
            }

            // The service counts as it is set, not as it was when the guest started.
            var services = UpdateVirtualMachineRequest()
            services.integrationServices = ["VSS": false]
            _ = try await client.updateVirtualMachine("web", services)
            let without = try await client.createCheckpoint(of: "web", .init(kind: .production), waitSeconds: 60)
            #expect(without.error?.message.contains("backup service is off") == true, "\(without)")
            services.integrationServices = ["VSS": true]
            _ = try await client.updateVirtualMachine("web", services)

            try await forbid("guest-fsfreeze-freeze", roostd, console)
            let insisted = try await client.createCheckpoint(of: "web", .init(kind: .production), waitSeconds: 60)
            #expect(insisted.error?.code == .invalidState, "\(insisted)")
            #expect(insisted.error?.message.contains("--production") == true, "\(insisted)")
            let fallback = try await client.createCheckpoint(of: "web", .init(name: "fallback"), waitSeconds: 90)
            try fallback.succeeded()
            #expect(fallback.warnings.contains { $0.contains("guest-fsfreeze-freeze") }, "\(fallback)")
            let standard = try #require(fallback.result)
            let shown = try await client.checkpoint(of: "web", standard)
            #expect(shown.summary.kind == .standard && shown.receipt.consistency == .memory, "\(shown)")
            #expect(shown.receipt.reason?.contains("guest-fsfreeze-freeze") == true, "\(shown.receipt)")
            #expect(shown.receipt.memoryBytes ?? 0 > 1 << 20)

            var only = UpdateVirtualMachineRequest()
            only.checkpointType = .productionOnly
            _ = try await client.updateVirtualMachine("web", only)
            let refused = try await client.createCheckpoint(of: "web", waitSeconds: 60)
            #expect(refused.error?.code == .invalidState, "\(refused)")
            #expect(refused.error?.message.contains("guest-fsfreeze-freeze") == true, "\(refused)")
            #expect(try await client.checkpoints(of: "web").count == 1)

            only.checkpointType = .production
            _ = try await client.updateVirtualMachine("web", only)
            // QEMU does not send the state of a machine with such a disk.
            let path = "\(roostd.disks)/data.vhdx"
            let made = CreateDiskRequest(path: path, sizeBytes: 64 << 20, format: "vhdx")
            try await client.createDisk(made, waitSeconds: 30).succeeded()
            let attach = try await refusal { try await client.attachDisk(to: "web", .init(path: path)) }
            if attach != nil {
                try await roostd.turnOff("web")
                _ = try await client.attachDisk(to: "web", .init(path: path))
                let again = try await roostd.boot("web")
                try await roostd.waitForAgent("web")
                // Its disks can branch all the same.
                let frozen = try await client.checkpoint(of: "web", try await take(roostd, "web", "with VHDX")).receipt
                #expect(frozen.consistency == .fileSystem && frozen.lease == "guestTimer", "\(frozen)")
                // What the guest has written since goes into the VHDX file below it.
                _ = try await again.shell("dd if=/dev/urandom of=/dev/sdb bs=1M count=8 conv=fsync", within: 60)
                let sum = try await again.shell("md5sum </dev/sdb", within: 60)
                try await client.removeCheckpoint(of: "web", "with VHDX", waitSeconds: 120).succeeded()
                #expect(try await client.drives(of: "web").contains { $0.path == path })
                _ = try await again.shell("echo 3 >/proc/sys/vm/drop_caches")
                #expect(try await again.shell("md5sum </dev/sdb", within: 60) == sum)
                try await tool("qemu-img", "check", "-q", "-U", path)
                try await forbid("guest-fsfreeze-freeze", roostd, again)
            }
            let crash = try await client.checkpoint(of: "web", try await take(roostd, "web", "crash"))
            #expect(crash.summary.kind == .production && crash.receipt.consistency == .crash, "\(crash.receipt)")
            #expect(crash.receipt.reason?.lowercased().contains("vhdx") == true, "\(crash.receipt)")
            try await client.pauseVirtualMachine("web", waitSeconds: 30).succeeded()
            let paused = try await client.checkpoint(of: "web", try await take(roostd, "web", "paused"))
            #expect(paused.receipt.consistency == .crash && paused.receipt.reason?.contains("paused") == true)
            #expect(try await roostd.state("web") == .paused)
            try await client.resumeVirtualMachine("web", waitSeconds: 30).succeeded()
            let serial = try await roostd.console("web")
            _ = try await serial.shell("echo x > /data/after && sync", within: 20)

            // The host goes down: a guest that cannot be saved is shut down, and that is told.
            let stopped = try await client.stopGuests(waitSeconds: 200)
            #expect(stopped.state == .succeeded, "\(stopped)")
            #expect(stopped.warnings.count == 1 && stopped.warnings[0].hasPrefix("web was not saved: "), "\(stopped)")
            #expect(stopped.warnings.first?.lowercased().contains("vhdx") == true, "\(stopped)")
            #expect(try await roostd.state("web") == .off)
        }
    }

    @Test func guestThatWritesAtFullSpeedIsHeldBackAndFreeAgainBehindTheFreeze() async throws {
        try await withRoostd("checkpoint-busy") { roostd in
            let client = roostd.client
            // The less memory a guest has, the less may wait to be written.
            try await roostd.createGuest("web", generation: 1) { $0.memoryMiB = 512 }
            let console = try await roostd.boot("web")
            try await roostd.waitForAgent("web")
            let limits = "cat /proc/sys/vm/dirty_*bytes /proc/sys/vm/dirty_*ratio | tr '\\n' ','"
            let before = try await console.shell(limits)
            _ = try await console.shell(
                "(while [ ! -e /tmp/enough ]; do dd if=/dev/zero of=/data/load bs=1M count=44 conv=notrunc; done) "
                    + "2>/dev/null & (while [ ! -e /tmp/enough ]; do cat /proc/sys/vm/dirty_*bytes | tr '\\n' ' ' >>/tmp/seen; echo >>/tmp/seen; "
                    + "usleep 20000; done) & true"
            )
            var seen = ""
            for number in 1...5 where !seen.contains("33554432") {
                let taken = try await take(roostd, "web", "busy \(number)")
                let receipt = try await client.checkpoint(of: "web", taken).receipt
                #expect(receipt.consistency == .fileSystem && receipt.lease == "guestTimer", "\(receipt)")
                let now = try await console.shell(limits)
                #expect(now == before, "\(receipt)")
                seen = try await console.shell("sort -u /tmp/seen | tr '\\n' ','")
            }
            #expect(seen.contains("33554432"), "\(seen)")
            // Given up while the guest writes what a freeze would wait for: nothing is frozen, and nothing kept.
            var isGivenUp = false
            for number in 1...10 where !isGivenUp {
                let job = try await client.createCheckpoint(of: "web", .init(name: "given up \(number)"))
                _ = try await console.shell(
                    "n=0; until [ -e /run/roost-freeze-lease.undo.* ] || [ $n -gt 100 ]; do n=$((n+1)); usleep 20000; done",
                    within: 30
                )
                _ = try? await client.cancelJob(job.id)
                let ended = try await client.job(job.id, waitSeconds: 60)
                isGivenUp = ended.state == .cancelled
                #expect(isGivenUp || ended.state == .succeeded, "\(ended)")
                let rows = try await client.checkpoints(of: "web")
                #expect(rows.contains { $0.name == "given up \(number)" } != isGivenUp)
                #expect(try await console.shell(limits) == before, "\(ended)")
                let timers = "grep -ls roost-freeze-leas[e] /proc/[0-9]*/cmdline || echo none-$((40+2))"
                #expect(try await console.shell(timers).contains("none-42"), "\(ended)")
            }
            #expect(isGivenUp)
            _ = try await console.shell("touch /tmp/enough; echo x > /data/after && sync", within: 60)
        }
    }

    @Test func freezeOfAGuestThatForbidsTheTimerIsEndedFromTheHost() async throws {
        try await withRoostd("checkpoint-watchdog") { roostd in
            let client = roostd.client
            let id = try await roostd.createGuest("web", generation: 1)
            var console = try await roostd.boot("web")
            try await roostd.waitForAgent("web")
            try await forbid("guest-exec", roostd, console)
            let whole = try await client.checkpoint(of: "web", try await take(roostd, "web", "whole"))
            #expect(whole.receipt.lease == "watchdog" && whole.receipt.consistency == .fileSystem, "\(whole.receipt)")
            #expect(whole.receipt.freezeMicroseconds ?? .max < 10_000_000)
            #expect(try await watchdogs(roostd).isEmpty)

            var (frozen, round) = (0, 0)
            while frozen < 2, round < 20 {
                round += 1
                await roostd.kill9()
                try await roostd.start()
                try await roostd.waitForAgent("web")
                try await killWhileFrozen(roostd)
                if try await isFrozen(roostd, id, waits: frozen == 0) { frozen += 1 }
                // The next roostd ends the process, and the guest goes on at once.
                try await roostd.start()
                #expect(try await watchdogs(roostd).isEmpty)
                #expect(try await roostd.state("web") == .running)
                console = try await roostd.console("web")
                _ = try await console.shell("echo x > /data/thawed && sync", within: 40)
                try await roostd.waitForAgent("web")
            }
            #expect(frozen == 2)
            let after = try await client.checkpoint(of: "web", try await take(roostd, "web", "after"))
            #expect(after.receipt.consistency == .fileSystem, "\(after.receipt)")
        }
    }

    /// Whether a write in the guest waits, while no roostd runs.
    ///
    /// - Parameter waits: whether to wait until it is over, which only the process on the host can bring about.
    private func isFrozen(_ roostd: Roostd, _ id: String, waits: Bool) async throws -> Bool {
        let serial = try RawSocket("\(roostd.runDirectory)/vm/\(id)/serial.sock")
        serial.send("echo x > /data/lease && sync && echo lease-$((40+2))\n")
        guard (try? await serial.read(until: "lease-42", within: 2)) == nil else { return false }
        if waits {
            #expect(try await watchdogs(roostd).count == 1)
            // The write itself takes as long as the host's disk wants.
            try await serial.read(until: "lease-42", within: 90)
        }
        return true
    }

    /// The processes of a roostd, which may have ended, that wait to end a freeze.
    private func watchdogs(_ roostd: Roostd) async throws -> [String] {
        try await run("/usr/bin/env", ["pgrep", "-f", "sh -c .*roost-freeze-watchdog"]).text
            .split(separator: "\n").map(String.init)
    }
}
