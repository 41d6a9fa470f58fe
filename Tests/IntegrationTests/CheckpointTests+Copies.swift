import Foundation
import RoostAPI
import RoostClient
import RoostPrimitives
import Testing

/// Copies of what checkpoints keep, and what else goes on meanwhile.
extension Integration.CheckpointTests {
    @Test func checkpointBecomesAFolderAndAMachineOfItsOwn() async throws {
        try await withRoostd("checkpoint-copies") { roostd in
            let client = roostd.client
            let id = try await machine(roostd)
            let first = try await take(roostd, "web", "one")
            try await write(roostd, "web", 2)
            let second = try await take(roostd, "web", "two")
            try await write(roostd, "web", 3)
            #expect(try await client.orphanedDisks().isEmpty)

            let made = try await roost(roostd, "new-vm", "web", "two", "copy")
            #expect(made.status == 0, "\(made)")
            let (own, copied) = (try await disk(roostd, "web"), try await disk(roostd, "copy"))
            #expect(copied.hasSuffix("/copy/web.qcow2") && copied != own)
            #expect(try await holds(copied, 2))
            #expect(try await client.drives(of: "copy").allSatisfy { $0.disk?.backingFile == nil })
            #expect(try await identifier(roostd, "copy") != identifier(roostd, "web"))
            let taken = try await client.createVirtualMachine(
                fromCheckpoint: second,
                of: "web",
                .init(name: "copy"),
                waitSeconds: 30
            )
            #expect(taken.error?.code == .exists)

            let folder = "\(roostd.base)/exports"
            try await tool("mkdir", folder)
            let base = try #require(try await client.checkpoint(of: "web", first).disks.first?.path)
            let exported = try await roost(roostd, "export", "web", "one", folder, "--vhdx")
            #expect(exported.status == 0, "\(exported)")
            let image = "\(folder)/web/Virtual Hard Disks/web.vhdx"
            try await tool("qemu-img", "compare", "-q", "-f", "vhdx", "-F", "qcow2", image, base)
            var request = ImportVirtualMachineRequest(path: "\(folder)/web")
            (request.mode, request.name) = (.copy, "again")
            let found = try await client.importPlan(request)
            #expect(found.problems.isEmpty && found.id != GUID(id), "\(found)")

            // Neither needs the other.
            try await client.removeVirtualMachine("web", .init(removeDisks: true), waitSeconds: 30).succeeded()
            #expect(try await holds(copied, 2))
            try await roostd.start("copy")
            try await roostd.turnOff("copy")
            // What is taken out of a machine is needed by nobody.
            try await client.detachDisk(
                from: "copy",
                location: try #require(try await client.drives(of: "copy").first { $0.kind == "disk" }).location
            )
            let orphans = try await run(
                Laboratory.roost,
                ["--run-dir", roostd.runDirectory, "disk", "list", "--orphans"]
            )
            #expect(orphans.status == 0 && orphans.text.contains(copied), "\(orphans)")
        }
    }

    @Test func cancelledOrCutOffCopyLeavesNothing() async throws {
        try await withRoostd("checkpoint-copy-cut") { roostd in
            let client = roostd.client
            _ = try await roostd.create("web") { $0.diskSizeBytes = 1 << 30 }
            try await tool("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 600M", try await disk(roostd, "web"))
            let first = try await take(roostd, "web", "c")
            let before = roostd.stateFiles()
            for kills in [false, true] {
                let job = try await client.createVirtualMachine(
                    fromCheckpoint: first,
                    of: "web",
                    .init(name: "copy")
                )
                try await eventually("the copy has begun") {
                    roostd.stateFiles().contains { $0.contains("Virtual Hard Disks/copy/") }
                }
                if kills {
                    await roostd.kill9()
                    try await roostd.start()
                } else {
                    _ = try await client.cancelJob(job.id)
                    #expect(try await client.job(job.id, waitSeconds: 60).state == .cancelled)
                }
                #expect(try await client.virtualMachines().map(\.name) == ["web"])
                #expect(roostd.stateFiles() == before)
            }
        }
    }

    @Test func machineGoesOnWhileACheckpointOfItIsCopied() async throws {
        try await withRoostd("checkpoint-copy-beside") { roostd in
            let client = roostd.client
            _ = try await roostd.create("web") { $0.diskSizeBytes = 1 << 30 }
            let base = try await disk(roostd, "web")
            try await tool("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 600M", base)
            let first = try await take(roostd, "web", "one")
            try await write(roostd, "web", 2)
            _ = try await take(roostd, "web", "two")
            let job = try await client.createVirtualMachine(fromCheckpoint: "two", of: "web", .init(name: "copy"))
            // It is held up until everything else has been tried.
            let copying = "qemu-img convert .*\(roostd.stateDirectory)/Virtual Hard Disks/copy/"
            try await eventually("the copy is held up") {
                try await run("/usr/bin/env", ["pkill", "-STOP", "-f", copying]).status == 0
            }
            for refused in [
                try await client.removeCheckpoint(of: "web", first, waitSeconds: 30),
                try await client.applyCheckpoint(to: "web", first, waitSeconds: 30),
                try await client.removeVirtualMachine("web", waitSeconds: 30),
            ] {
                #expect(
                    refused.error?.code == .busy && refused.error?.message.contains("copied") == true,
                    "\(refused)"
                )
            }
            try await roostd.start("web")
            _ = try await take(roostd, "web", "three")
            var notes = UpdateVirtualMachineRequest()
            notes.notes = "changed"
            _ = try await client.updateVirtualMachine("web", notes)
            try await roostd.turnOff("web")
            #expect(try await client.job(job.id).state == .running)
            try await tool("pkill", "-CONT", "-f", copying)
            try await client.job(job.id, waitSeconds: 120).succeeded()
            #expect(try await holds(disk(roostd, "copy"), 2))
            try await client.removeCheckpoint(of: "web", first, waitSeconds: 60).succeeded()
        }
    }

    @Test func requestsAtOnceComeOneAfterTheOther() async throws {
        try await withRoostd("checkpoint-at-once") { roostd in
            let client = roostd.client
            _ = try await machine(roostd)
            let jobs = try await withThrowingTaskGroup(of: Job.self) { group in
                for number in 1...4 {
                    group.addTask {
                        try await client.createCheckpoint(of: "web", .init(name: "c\(number)"), waitSeconds: 60)
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(jobs.allSatisfy { $0.state == .succeeded }, "\(jobs)")
            // Each came from the one before it.
            let rows = try await client.checkpoints(of: "web")
            #expect(rows.map(\.depth) == [0, 1, 2, 3] && rows.last?.isCurrent == true, "\(rows)")
            async let applied = client.applyCheckpoint(to: "web", rows[1].id.uppercased, waitSeconds: 60)
            async let removed = client.removeCheckpoint(of: "web", rows[0].id.uppercased, waitSeconds: 60)
            async let taken = client.createCheckpoint(of: "web", .init(name: "beside"), waitSeconds: 60)
            for job in try await [applied, removed, taken] {
                // One that meets the merge of another is told so.
                #expect(job.state == .succeeded || job.error?.code == .busy, "\(job)")
            }
            for disk in try await client.disks() { try await tool("qemu-img", "check", "-q", disk.path) }
            for row in try await client.checkpoints(of: "web") {
                try await client.applyCheckpoint(to: "web", row.id.uppercased, waitSeconds: 60).succeeded()
                #expect(try await holds(disk(roostd, "web"), 1))
            }
            try await roostd.start("web")
            try await roostd.turnOff("web")
        }
    }

    @Test func fileThatBranchesStandOnIsListedWithItsMachine() async throws {
        try await withRoostd("checkpoint-parted") { roostd in
            let client = roostd.client
            _ = try await machine(roostd)
            let root = try await take(roostd, "web", "root")
            let base = try #require(try await client.checkpoint(of: "web", root).disks.first?.path)
            try await write(roostd, "web", 2)
            _ = try await take(roostd, "web", "one")
            try await client.applyCheckpoint(to: "web", root, waitSeconds: 60).succeeded()
            try await write(roostd, "web", 3)
            _ = try await take(roostd, "web", "other")
            try await client.removeCheckpoint(of: "web", root, waitSeconds: 60).succeeded()
            let disk = try #require(try await client.disks().first { $0.path == base })
            #expect(disk.attachedTo == ["web (to be merged)"], "\(disk)")
            #expect(try await client.orphanedDisks().isEmpty)
        }
    }

    @Test func machineStartsIntoAMergeAndBehindOneThatWasCancelled() async throws {
        try await withRoostd("checkpoint-merging") { roostd in
            let client = roostd.client
            _ = try await roostd.create("web") { $0.diskSizeBytes = 1 << 30 }
            /// Begins a removal of a checkpoint with 900 MiB behind it, and returns once its files are being merged.
            func removing(_ name: String, _ byte: Int) async throws -> Job {
                let id = try await take(roostd, "web", name)
                try await tool("qemu-io", "-f", "qcow2", "-c", "write -P \(byte) 0 900M", try await disk(roostd, "web"))
                let job = try await client.removeCheckpoint(of: "web", id)
                for try await event in client.events(since: 0)
                where event.kind == "checkpoint.removed" && event.message.contains("\"\(name)\"") { break }
                return job
            }
            /// Whether the files of the chain are whole, and the machine reads what was written last.
            func isWhole(_ byte: Int) async throws -> Bool {
                for disk in try await client.disks() { try await tool("qemu-img", "check", "-q", disk.path) }
                return try await holds(disk(roostd, "web"), byte)
            }
            try await write(roostd, "web", 1)

            let before = try await take(roostd, "web", "before")
            let first = try await removing("started", 2)
            // Another one waits behind it, and is not in the way.
            let other = try await client.removeCheckpoint(of: "web", before)
            try await client.startVirtualMachine("web", waitSeconds: 60).succeeded()
            #expect(try await roostd.state("web") == .running)
            // Below the guest it goes on, or ends when it is asked to.
            _ = try? await client.cancelJob(first.id)
            let ended = try await client.job(first.id, waitSeconds: 60)
            #expect(ended.state == .succeeded || ended.state == .cancelled, "\(ended)")
            // It may have met the merge that goes on below the guest.
            let waited = try await client.job(other.id, waitSeconds: 60)
            #expect(waited.state == .succeeded || waited.error?.code == .busy, "\(waited)")
            try await roostd.turnOff("web")
            #expect(try await isWhole(2))
            if waited.state != .succeeded {
                try await client.removeCheckpoint(of: "web", before, waitSeconds: 60).succeeded()
            }

            let second = try await removing("cancelled", 3)
            _ = try? await client.cancelJob(second.id)
            let cancelled = try await client.job(second.id, waitSeconds: 60)
            #expect(cancelled.state == .succeeded || cancelled.state == .cancelled, "\(cancelled)")
            #expect(try await client.checkpoints(of: "web").isEmpty)
            try await roostd.start("web")
            try await roostd.turnOff("web")
            #expect(try await isWhole(3))

            // What cancelled merges have left goes with the next one.
            let last = try await removing("last", 4)
            try await client.job(last.id, waitSeconds: 60).succeeded()
            #expect(try await client.disks().filter { $0.backingFile != nil }.isEmpty)
            #expect(try await isWhole(4))
        }
    }

    @Test func checkpointsOfABrokenMachineGoWithItAndTheirBytesStay() async throws {
        try await withRoostd("checkpoint-broken") { roostd in
            let client = roostd.client
            let id = try await machine(roostd)
            let base = try await disk(roostd, "web")
            let first = try await take(roostd, "web", "c")
            await roostd.kill9()
            for file in [roostd.configuration(id), "\(roostd.stateDirectory)/Configuration Copies/\(id).vmcx.copy"] {
                try Files.write(Data(repeating: 0x5A, count: 70_000), file)
            }
            try await roostd.start()
            let removal = try await client.removeVirtualMachine(id, waitSeconds: 30).succeeded()
            let copy = "Configuration Copies/Snapshots/\(first).vmcx.removed-"
            for name in ["Snapshots/\(first).vmcx.removed-", copy] {
                #expect(removal.warnings.contains { $0.contains(name) }, "\(removal.warnings)")
                #expect(roostd.stateFiles().contains { $0.hasPrefix(name) })
            }
            #expect(try await holds(base, 1))
            // Nobody holds the disk any more, not after a restart either.
            await roostd.kill9()
            try await roostd.start()
            #expect(try await client.host().warnings.allSatisfy { !$0.contains("checkpoint") })
            _ = try await roostd.create("next")
            _ = try await client.attachDisk(to: "next", .init(path: base))
        }
    }

    @Test func brokenMachineThatWasRemovedComesBackWithItsCheckpointsWhenItsFilesGetTheirNamesBack() async throws {
        try await withRoostd("checkpoint-broken-back") { roostd in
            let client = roostd.client
            let id = try await machine(roostd)
            let first = try await take(roostd, "web", "c")
            await roostd.kill9()
            let backup = try #require(Files.read(roostd.configuration(id)))
            for file in [roostd.configuration(id), "\(roostd.stateDirectory)/Configuration Copies/\(id).vmcx.copy"] {
                try Files.write(Data(repeating: 0x5A, count: 70_000), file)
            }
            try await roostd.start()
            try await client.removeVirtualMachine(id, waitSeconds: 30).succeeded()
            #expect(try await client.virtualMachines().isEmpty)
            await roostd.kill9()

            let set = roostd.stateFiles().filter { $0.contains(".removed-") && !$0.hasSuffix(".kept") }
            for file in set {
                let name = file.split(separator: ".removed-", maxSplits: 1)[0]
                try FileManager.default.moveItem(
                    atPath: "\(roostd.stateDirectory)/\(file)",
                    toPath: "\(roostd.stateDirectory)/\(name)"
                )
            }
            try FileManager.default.removeItem(atPath: roostd.configuration(id))
            try Files.write(backup, roostd.configuration(id))
            try await roostd.start()
            #expect(try await client.checkpoints(of: "web").map(\.id.uppercased) == [first])
            try await client.applyCheckpoint(to: "web", "c", waitSeconds: 30).succeeded()
            try await roostd.start("web")
            try await roostd.turnOff("web")
            try await client.removeCheckpoint(of: "web", "c", waitSeconds: 30).succeeded()
            // It has its second copy again.
            #expect(roostd.stateFiles().contains("Configuration Copies/\(id).vmcx.copy"))
        }
    }
}
