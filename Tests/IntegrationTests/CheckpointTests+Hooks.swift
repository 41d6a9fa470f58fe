import Foundation
import RoostAPI
import RoostClient
import RoostPrimitives
import Testing

/// Programs that the guest's agent runs around a freeze, and what becomes of a freeze whose agent is killed, with a real guest.
extension Integration.CheckpointTests {
    @Test func hooksOfTheAgentRunAndAnAgentKilledWhileFrozenLeavesTheGuestThawed() async throws {
        try await withRoostd("checkpoint-hooks", arguments: ["--freeze-lease", "6"]) { roostd in
            let client = roostd.client
            try await roostd.createGuest("web", generation: 1)
            let console = try await roostd.boot("web")
            try await roostd.waitForAgent("web")
            try await putHook(
                "echo $1 $(cat /sys/kernel/rcu_expedited) >>/run/hooks; [ $1 = thaw ] || [ ! -e /run/refuse ]",
                console
            )
            _ = try await console.shell(
                "sed -i 's|^exec /sbin/qemu-ga|& -F/run/hook|' /sbin/guest-agent; killall qemu-ga"
            )
            try await eventually("the agent runs with its hook", within: 30) {
                try await console.shell("cat /proc/$(pidof qemu-ga)/cmdline | tr '\\0' ' '").contains("-F/run/hook")
            }
            try await roostd.waitForAgent("web")
            let receipt = try await client.checkpoint(of: "web", try await take(roostd, "web", "hooks")).receipt
            #expect(receipt.consistency == .fileSystem, "\(receipt)")
            // While it is frozen, the kernel does not take its time; then it does again.
            #expect(try await console.shell("tr '\\n' ',' </run/hooks").contains("freeze 1,thaw 1,"))
            #expect(try await isAsBefore(console))
            // One that refuses, since its application cannot be brought to rest.
            _ = try await console.shell("touch /run/refuse")
            let insisted = try await client.createCheckpoint(of: "web", .init(kind: .production), waitSeconds: 60)
            #expect(insisted.error?.code == .invalidState, "\(insisted)")
            _ = try await console.shell("rm /run/refuse; echo x > /data/after && sync", within: 20)
            try await cancelWhileFrozen(roostd, console)
            try await killWhileFrozen(roostd, console)
            try await roostd.turnOff("web")
            for disk in try await client.disks() { try await tool("qemu-img", "check", "-q", disk.path) }
            for row in try await client.checkpoints(of: "web") {
                try await client.applyCheckpoint(to: "web", row.id.uppercased, waitSeconds: 60).succeeded()
            }
        }
    }

    private func putHook(_ body: String, _ console: GuestConsole) async throws {
        _ = try await console.shell("printf '%s\\n' '#!/bin/sh' '\(body)' >/run/hook; chmod 755 /run/hook")
    }

    /// Whether the guest's kernel is told nothing, and nothing is noted that would have to be undone.
    private func isAsBefore(_ console: GuestConsole) async throws -> Bool {
        try await console.shell("echo is-$(cat /sys/kernel/rcu_expedited)-$(ls /run | grep -c undo)").contains("is-0-0")
    }

    /// Cancels while the guest is being frozen: from then on to the thaw the checkpoint is taken to its end.
    private func cancelWhileFrozen(_ roostd: Roostd, _ console: GuestConsole) async throws {
        let client = roostd.client
        try await putHook("[ $1 = thaw ] || { touch /run/freezing; sleep 2; }", console)
        let job = try await client.createCheckpoint(of: "web", .init(name: "cancelled late"))
        let wait =
            "n=0; until [ -e /run/freezing ] || [ $n -gt 500 ]; do n=$((n+1)); usleep 20000; done; ls /run/freezing"
        _ = try await console.shell(wait, within: 30)
        _ = try await client.cancelJob(job.id)
        _ = try await console.shell("echo x > /data/after && sync", within: 20)
        let ended = try await client.job(job.id, waitSeconds: 60)
        let made = try await client.checkpoint(of: "web", try #require(try ended.succeeded().result))
        #expect(made.summary.name == "cancelled late" && made.receipt.consistency == .fileSystem, "\(made)")
        #expect(try await isAsBefore(console))
    }

    /// Takes checkpoints until the agent was killed while a write waited for the thaw; after each the guest writes.
    private func killWhileFrozen(_ roostd: Roostd, _ console: GuestConsole) async throws {
        let client = roostd.client
        let killer = [
            "#!/bin/sh", "n=0; while [ $n -lt 300 ]; do n=$((n+1)); touch /data/probe & p=$!; usleep 1000",
            "read -r place </proc/$p/wchan",
            "case $place in *rwsem*) echo killed >/run/killed; killall -9 qemu-ga; exit ;; esac; done",
        ]
        let lines = killer.map { "\"\($0.replacing("$", with: "\\$"))\"" }.joined(separator: " ")
        _ = try await console.shell("printf '%s\\n' \(lines) >/run/killer; chmod 755 /run/killer")
        try await putHook("[ $1 = thaw ] || /run/killer </dev/null >/dev/null 2>&1 &", console)
        var isKilled = false
        for number in 1...40 where !isKilled {
            let job = try await client.createCheckpoint(of: "web", .init(name: "killed \(number)"), waitSeconds: 120)
            _ = try await console.shell("echo x > /data/after && sync", within: 30)
            isKilled = try await console.shell("[ ! -e /run/killed ] || echo kill-$((40+2))").contains("kill-42")
            #expect(job.state == .succeeded || job.error != nil, "\(job)")
            #expect(try await roostd.state("web") == .running)
            try await roostd.waitForAgent("web")
            try await eventually("what was set for the freeze is undone", within: 30) { try await isAsBefore(console) }
        }
        #expect(isKilled)
        // The next one is as ever: nobody believes in a freeze that is over.
        try await putHook("true", console)
        let after = try await client.checkpoint(of: "web", try await take(roostd, "web", "after")).receipt
        #expect(after.consistency == .fileSystem, "\(after)")
    }
}
