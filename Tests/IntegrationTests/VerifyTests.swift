import Foundation
import RoostAPI
import RoostClient
import RoostPrimitives
import Testing

extension Integration {
    /// Checkpoints that are tried by a throw-away copy, with real guests.
    @Suite(.serialized) struct VerifyTests {
        private func roost(_ roostd: Roostd, _ arguments: String...) async throws -> CommandResult {
            try await run(
                Laboratory.roost,
                ["--run-dir", roostd.runDirectory, "checkpoint", "verify"] + arguments,
                seconds: 200
            )
        }

        /// What trials leave while they run.
        private func traces(_ roostd: Roostd) -> [String] {
            let files = FileManager.default
            let cache = (try? files.contentsOfDirectory(atPath: "\(roostd.stateDirectory)/cache")) ?? []
            let sockets = (try? files.contentsOfDirectory(atPath: "\(roostd.runDirectory)/vm")) ?? []
            return cache.filter { $0.hasPrefix("trial-") } + sockets
        }

        private func take(_ roostd: Roostd, _ name: String, _ kind: CheckpointKind = .production) async throws {
            try await roostd.client.createCheckpoint(of: "web", .init(name: name, kind: kind), waitSeconds: 90)
                .succeeded()
        }

        private func verification(_ roostd: Roostd, _ name: String) async throws
            -> CheckpointReceiptInfo.Verification?
        { try await roostd.client.checkpoint(of: "web", name).receipt.verification }

        @Test func goodOnesPassAndDamagedOnesDoNot() async throws {
            try await withRoostd("verify") { roostd in
                let client = roostd.client
                let id = try await roostd.createGuest(
                    "web",
                    generation: 2,
                    secureBoot: "MicrosoftUEFICertificateAuthority"
                ) { $0.switchName = "Default Switch" }
                let console = try await roostd.boot("web")
                try await roostd.waitForAgent("web")
                _ = try await console.shell("echo kept > /data/mark; sync")
                try await take(roostd, "good")
                _ = try await console.shell(
                    "mkdir -p /tmp/m && mount -t tmpfs none /tmp/m; echo memory > /tmp/m/mark; echo later > /data/mark; sync"
                )
                try await take(roostd, "memory", .standard)
                let before = traces(roostd)

                // The machine runs, and goes on.
                let passed = try await roost(roostd, "web", "good")
                #expect(passed.status == 0 && passed.text.contains("/data (ext4)"), "\(passed)")
                let found = try #require(try await verification(roostd, "good"))
                #expect(found.passed && found.bootMilliseconds ?? 0 > 0 && found.detail.contains("sound"), "\(found)")
                let shown = try await run(
                    Laboratory.roost,
                    ["--run-dir", roostd.runDirectory, "checkpoint", "show", "web", "good"]
                )
                #expect(shown.text.contains("passed, up in"), "\(shown)")
                // It is a copy of that moment, without a network, whose writes nobody keeps.
                let look = "grep -qx kept /data/mark && sleep 3 && ! ip address | grep -q 'inet 10\\.'"
                let own = try await roost(
                    roostd,
                    "web",
                    "good",
                    "--command",
                    "\(look) && echo own > /data/mark && sync"
                )
                #expect(own.status == 0, "\(own)")
                #expect(try await roost(roostd, "web", "good", "--command", "cat /data/mark").text.contains("kept"))
                // One with memory goes on from there.
                let memory = try await roost(roostd, "web", "memory", "--command", "cat /tmp/m/mark /data/mark")
                #expect(memory.status == 0 && memory.text.contains("memory; later"), "\(memory)")

                let failed = try await roost(roostd, "web", "good", "--command", "echo not well >&2; exit 3")
                #expect(failed.status == APIError.Code.corrupt.exitCode, "\(failed)")
                #expect(failed.errors.contains("exit code 3") && failed.errors.contains("not well"), "\(failed)")
                #expect(try await verification(roostd, "good")?.passed == false)
                let late = try await roost(roostd, "web", "good", "--timeout", "1")
                #expect(late.status == APIError.Code.corrupt.exitCode && late.errors.contains("in time"), "\(late)")
                for limit in [0, 86_401] {
                    let job = try await client.verifyCheckpoint(
                        of: "web",
                        "good",
                        .init(timeoutSeconds: limit),
                        waitSeconds: 30
                    )
                    #expect(job.error?.code == .invalidArgument, "\(job)")
                }
                #expect(traces(roostd) == before && before == [id], "\(traces(roostd))")
                #expect(try await roostd.state("web") == .running)
                #expect(try await console.shell("cat /data/mark").contains("later"))

                // The file system is damaged: a folder's block is not one any more.
                _ = try await console.shell("umount /data && sync")
                try await roostd.turnOff("web")
                let disk = try #require(try await client.drives(of: "web").first { $0.kind == "disk" }?.path)
                try await damageFolders(of: disk)
                try await take(roostd, "bad")
                let bad = try await roost(roostd, "web", "bad")
                #expect(bad.status == APIError.Code.corrupt.exitCode && bad.errors.contains("/data"), "\(bad)")
                #expect(traces(roostd).isEmpty && roostd.qemus.isEmpty)

                // Damaged memory is a finding, too.
                let memoryID = try await client.checkpoint(of: "web", "memory").summary.id.uppercased
                let path = "\(roostd.stateDirectory)/Snapshots/\(memoryID).saved.vmrs"
                var bytes = try #require(Files.read(path))
                for index in bytes.count - 100_000..<bytes.count - 99_000 { bytes[index] ^= 0x5A }
                try Files.write(bytes, path)
                let broken = try await client.verifyCheckpoint(of: "web", "memory", waitSeconds: 90)
                #expect(broken.error?.code == .corrupt, "\(broken)")
                #expect(try await verification(roostd, "memory")?.detail.contains("memory") == true)
            }
        }

        /// Overwrites the blocks of an ext4 file system's folders, in the guest's disk at rest.
        private func damageFolders(of disk: String) async throws {
            // The root folder's first block begins with the entry "." for inode 2.
            let raw = Laboratory.unusedPath("/var/tmp/roost-raw-")
            defer { try? Files.remove(raw) }
            try await tool("qemu-img", "convert", "-f", "qcow2", "-O", "raw", disk, raw)
            let bytes = try #require(Files.read(raw))
            let entry: [UInt8] = [2, 0, 0, 0, 12, 0, 1, 2, 0x2E, 0]
            var count = 0
            for offset in stride(from: 50 << 20, to: bytes.count - 1024, by: 1024)
            where Array(bytes[offset..<offset + entry.count]) == entry {
                count += 1
                try await tool(
                    "qemu-io",
                    "-f",
                    "qcow2",
                    "-c",
                    "write -P 0x5A \(offset + 24) 512",
                    disk
                )
            }
            try #require(count > 0, "the root folder was not found")
        }

        @Test func trialThatIsCancelledOrKilledLeavesNoTrace() async throws {
            try await withRoostd("verify-killed") { roostd in
                let client = roostd.client
                try await roostd.createGuest("web", generation: 1)
                try await take(roostd, "one")
                try await take(roostd, "two")
                // While it is tried nothing changes what it reads, and the machine does as it likes.
                let job = try await client.verifyCheckpoint(of: "web", "one")
                try await eventually("the copy runs") { !roostd.qemus.isEmpty }
                let removed = try await client.removeCheckpoint(of: "web", "one", waitSeconds: 30)
                #expect(removed.error?.code == .busy, "\(removed)")
                let applied = try await client.applyCheckpoint(to: "web", "two", waitSeconds: 30)
                #expect(applied.error?.code == .busy, "\(applied)")
                #expect(
                    try await refusal { try await client.removeVirtualMachine("web", waitSeconds: 30) }?.code == .busy
                )
                var notes = UpdateVirtualMachineRequest()
                notes.notes = "changed meanwhile"
                _ = try await client.updateVirtualMachine("web", notes)
                _ = try await client.cancelJob(job.id)
                #expect(try await client.job(job.id, waitSeconds: 30).state == .cancelled)
                #expect(traces(roostd).isEmpty && roostd.qemus.isEmpty)
                #expect(try await verification(roostd, "one") == nil)
                // Nobody will use what it says when the host goes down.
                let late = try await client.verifyCheckpoint(of: "web", "one")
                try await eventually("the copy runs") { !roostd.qemus.isEmpty }
                try await client.stopGuests(waitSeconds: 60).succeeded()
                #expect(try await client.job(late.id, waitSeconds: 30).state == .cancelled)
                #expect(traces(roostd).isEmpty && roostd.qemus.isEmpty)

                for _ in 1...3 {
                    _ = try await client.verifyCheckpoint(of: "web", "one")
                    try await eventually("the copy runs") { !roostd.qemus.isEmpty }
                    await roostd.kill9()
                    #expect(!traces(roostd).isEmpty && roostd.qemus.count == 1)
                    try await roostd.start()
                    #expect(traces(roostd).isEmpty && roostd.qemus.isEmpty, "\(traces(roostd))")
                }
                try await client.removeCheckpoint(of: "web", "one", waitSeconds: 60).succeeded()
                try await client.verifyCheckpoint(of: "web", "two", waitSeconds: 120).succeeded()
            }
        }
    }
}
