import Foundation
import RoostAPI
import RoostClient
import RoostPrimitives
import Testing

extension Integration {
    /// Checkpoints that machines take by themselves.
    @Suite(.serialized) struct ScheduleTests {
        private func set(_ roostd: Roostd, _ arguments: String...) async throws -> CommandResult {
            try await run(Laboratory.roost, ["--run-dir", roostd.runDirectory, "vm", "set", "web"] + arguments)
        }

        /// Lets a moment in a file lie further back, while no roostd runs.
        private func moveBack(_ key: String, hours: Int, in path: String, copy: String) async throws {
            let text = Laboratory.unusedPath("/var/tmp/roost-text-")
            defer { try? Files.remove(text) }
            #expect(try await run(Laboratory.roost, ["file", "export", path, text]).status == 0)
            var lines = String(decoding: try #require(Files.read(text)), as: UTF8.self).split(separator: "\n")
                .map(String.init)
            let index = try #require(lines.firstIndex { $0.contains(" \(key) int ") }, "\(path) has no \(key)")
            let words = lines[index].split(separator: " ")
            let moment = try #require(words.last.flatMap { Int($0) })
            lines[index] = "\(lines[index].prefix { $0 == " " })\(key) int \(moment - hours * 3600)"
            try Files.write(lines.joined(separator: "\n") + "\n", text)
            let result = try await run(Laboratory.roost, ["file", "import", text, path, "--force"])
            #expect(result.status == 0, "\(result)")
            // The second copy follows the file.
            try? Files.remove(copy)
        }

        private func write(_ roostd: Roostd, _ byte: Int) async throws {
            let disk = try #require(try await roostd.client.drives(of: "web").first { $0.kind == "disk" }?.path)
            try await tool("qemu-io", "-f", "qcow2", "-c", "write -P \(byte) 0 1M", disk)
        }

        /// Lets hours pass: roostd ends, every mark of time goes back, and roostd starts again.
        private func pass(hours: Int, _ roostd: Roostd, _ id: String) async throws {
            _ = try await roostd.terminate()
            let copies = "\(roostd.stateDirectory)/Configuration Copies"
            try await moveBack("since", hours: hours, in: roostd.configuration(id), copy: "\(copies)/\(id).vmcx.copy")
            let snapshots = "\(roostd.stateDirectory)/Snapshots"
            for name in try FileManager.default.contentsOfDirectory(atPath: snapshots) where name.hasSuffix(".vmcx") {
                let copy = "\(copies)/Snapshots/\(name).copy"
                try await moveBack("created", hours: hours, in: "\(snapshots)/\(name)", copy: copy)
            }
            try await roostd.start()
        }

        /// Waits for the end of an automatic checkpoint.
        private func job(_ roostd: Roostd) async throws -> Job {
            let client = roostd.client
            return try await within(60, "an automatic checkpoint") {
                for try await event in client.events(since: 0) {
                    guard event.kind == "job.ended", event.message.hasPrefix("checkpoint.automatic"),
                        let number = event.job
                    else { continue }
                    return try await client.job(number)
                }
                throw Failure("the event stream ended")
            }
        }

        @Test func machineTakesCheckpointsByItselfKeepsSomeAndReportsWhatItMissed() async throws {
            try await withRoostd("schedule") { roostd in
                let client = roostd.client
                let id = try await roostd.create("web") { $0.diskSizeBytes = 64 << 20 }
                #expect(
                    try await set(roostd, "--checkpoint-keep", "2").status == APIError.Code.invalidArgument.exitCode
                )
                for wrong in ["5", "0h", "367d", "1w", "-1h"] {
                    #expect(try await set(roostd, "--checkpoint-every", wrong).status != 0, "\(wrong)")
                }
                let result = try await set(roostd, "--checkpoint-every", "1h", "--checkpoint-keep", "2")
                #expect(result.status == 0, "\(result)")
                let shown = try await run(Laboratory.roost, ["--run-dir", roostd.runDirectory, "vm", "show", "web"])
                #expect(shown.text.contains("every 1h, 2 kept"), "\(shown)")
                // A machine that takes none has no schedule.
                let off = try await set(roostd, "--checkpoint-type", "Disabled")
                #expect(off.status == APIError.Code.invalidState.exitCode, "\(off)")

                // Five hours pass without roostd: one is taken, and the others were missed.
                try await write(roostd, 1)
                try await pass(hours: 5, roostd, id)
                let first = try await job(roostd)
                #expect(first.state == .succeeded && first.warnings.contains { $0.contains("4 automatic") }, "\(first)")
                var rows = try await client.checkpoints(of: "web")
                #expect(rows.count == 1 && rows[0].isAutomatic && rows[0].name.hasPrefix("Automatic - "))
                var schedule = try #require(try await client.virtualMachine("web").checkpointSchedule)
                #expect(schedule.missed == 4 && schedule.reason?.contains("roostd") == true, "\(schedule)")
                #expect(schedule.last == rows[0].created && schedule.next ?? "" > rows[0].created)
                #expect(roostd.logText.contains("automatic checkpoints were missed"))

                // Nothing is written: nothing is taken, and nothing is missed.
                try await pass(hours: 3, roostd, id)
                try await eventually("the machine was looked at") {
                    try await client.virtualMachine("web").checkpointSchedule?.next ?? "" > rows[0].created
                }
                #expect(try await client.checkpoints(of: "web").count == 1)
                #expect(try await client.virtualMachine("web").checkpointSchedule?.missed == 0)

                // Two are kept, and one that somebody has named.
                let named = UpdateCheckpointRequest(name: "mine")
                _ = try await client.updateCheckpoint(of: "web", rows[0].id.uppercased, named)
                for byte in 2...4 {
                    try await write(roostd, byte)
                    try await pass(hours: 1, roostd, id)
                    #expect(try await job(roostd).state == .succeeded, "\(byte)")
                }
                rows = try await client.checkpoints(of: "web")
                #expect(rows.count == 3 && rows.count(where: \.isAutomatic) == 2, "\(rows)")
                #expect(rows.first { !$0.isAutomatic }?.name == "mine")
                let disk = try #require(try await client.drives(of: "web").first?.path)
                #expect(try await tool("qemu-io", "-r", "-f", "qcow2", "-c", "read -P 4 0 1M", disk).contains("1 MiB"))

                // What cannot be taken is reported once, and tried again.
                try await roostd.create("other")
                _ = try await client.attachDisk(to: "other", .init(path: disk, format: "qcow2"))
                try await write(roostd, 5)
                try await pass(hours: 1, roostd, id)
                let failed = try await job(roostd)
                #expect(failed.error?.code == .busy, "\(failed)")
                schedule = try #require(try await client.virtualMachine("web").checkpointSchedule)
                #expect(schedule.missed == 1 && schedule.reason?.contains("another machine") == true, "\(schedule)")
                let off2 = try await set(roostd, "--checkpoint-every", "off")
                #expect(off2.status == 0, "\(off2)")
                #expect(try await client.virtualMachine("web").checkpointSchedule == nil)
            }
        }

        @Test func guestThatRunsIsFrozenForEachAndTheOldestIsMergedBelowIt() async throws {
            try await withRoostd("schedule-guest") { roostd in
                let client = roostd.client
                let id = try await roostd.createGuest("web", generation: 1)
                var console = try await roostd.boot("web")
                #expect(try await set(roostd, "--checkpoint-every", "1h", "--checkpoint-keep", "1").status == 0)
                var last = ""
                for number in 1...2 {
                    _ = try await console.shell("echo by-itself-\(number) >/data/mark && sync", within: 20)
                    try await roostd.waitForAgent("web")
                    try await pass(hours: 1, roostd, id)
                    #expect(try await roostd.state("web") == .running)
                    #expect(try await job(roostd).state == .succeeded, "\(number)")
                    let rows = try await client.checkpoints(of: "web")
                    #expect(rows.count == 1 && rows[0].isAutomatic && rows[0].id.uppercased != last, "\(rows)")
                    last = rows[0].id.uppercased
                    let receipt = try await client.checkpoint(of: "web", last).receipt
                    #expect(receipt.consistency == .fileSystem && receipt.freezeMicroseconds != nil, "\(receipt)")
                    console = try await roostd.console("web")
                }
                _ = try await console.shell("echo too-late >/data/mark && sync", within: 20)
                let request = ApplyCheckpointRequest(turnOff: true)
                try await client.applyCheckpoint(to: "web", last, request, waitSeconds: 60).succeeded()
                console = try await roostd.boot("web")
                #expect(try await console.shell("cat /data/mark").contains("by-itself-2"))
            }
        }
    }
}
