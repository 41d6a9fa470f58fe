import Foundation
import RoostAPI
import RoostClient
import Testing

extension Integration {
    /// Guests whose memory is written to the disk, and that go on from there.
    @Suite(.serialized) struct SaveTests {
        private func saved(_ roostd: Roostd, _ id: String) -> String { "\(roostd.virtualMachines)/\(id).saved.vmrs" }

        /// Puts something into the guest's memory that no start brings back.
        private func mark(_ console: GuestConsole, _ text: String) async throws {
            _ = try await console.shell("mkdir -p /tmp/m && mount -t tmpfs none /tmp/m; echo \(text) > /tmp/m/mark")
        }

        private func mark(_ console: GuestConsole) async throws -> String {
            try await console.shell("cat /tmp/m/mark")
        }

        @Test func fileThatIsGoneIsMissedUntilItIsBackOrGivenUp() async throws {
            try await withRoostd("save-gone") { roostd in
                let client = roostd.client
                let id = try await roostd.create("web") { $0.diskSizeBytes = 64 << 20 }
                let (path, away) = (saved(roostd, id), "\(roostd.stateDirectory)/away")
                func refused() async throws {
                    let start = try await client.startVirtualMachine("web", waitSeconds: 60)
                    #expect(start.error?.code == .notFound, "\(start)")
                    #expect(start.error?.message.contains("--discard-saved-state") == true, "\(start)")
                    #expect(try await roostd.state("web") == .saved)
                }
                for isBack in [true, false] {
                    try await roostd.start("web")
                    try await client.saveVirtualMachine("web", waitSeconds: 60).succeeded()
                    let whole = try #require(try await client.virtualMachine("web").savedState)
                    #expect(whole.path == path && whole.sizeBytes ?? 0 > 4096 && whole.problem == nil, "\(whole)")
                    #expect(whole.created != nil && whole.qemuVersion?.contains(".") == true, "\(whole)")
                    try Files.move(path, away)
                    let gone = try #require(try await client.virtualMachine("web").savedState)
                    #expect(gone.problem?.contains("gone") == true && gone.sizeBytes == nil, "\(gone)")
                    for _ in 1...2 { try await refused() }
                    await roostd.kill9()
                    try await roostd.start()
                    #expect(try await roostd.state("web") == .saved)
                    try await refused()
                    if isBack {
                        try Files.move(away, path)
                        try await roostd.start("web")
                        #expect(try roostd.qemu(id).arguments.contains("-incoming"))
                        try await roostd.turnOff("web")
                    } else {
                        try await client.discardSavedState(of: "web", waitSeconds: 60).succeeded()
                    }
                    // Given up, or used, it is not missed.
                    await roostd.kill9()
                    try await roostd.start()
                    #expect(try await roostd.state("web") == .off)
                }
                try await roostd.start("web")
                #expect(try !roostd.qemu(id).arguments.contains("-incoming"))
                #expect(try await client.virtualMachine("web").savedState == nil)
                try await roostd.turnOff("web")
            }
        }

        @Test(arguments: [(1, "5.0"), (2, "8.0")]) func guestGoesOnWhereItWas(
            generation: Int,
            version: String
        ) async throws {
            try await withRoostd("save-\(generation)") { roostd in
                let client = roostd.client
                let id = try await roostd.createGuest(
                    "web",
                    generation: generation,
                    secureBoot: generation == 2 ? "off" : nil
                ) { $0.version = version }
                var console = try await roostd.boot("web")
                try await roostd.waitForAgent("web")
                try await mark(console, "in-memory")
                _ = try await console.shell("(n=0; while sleep 1; do n=$((n+1)); echo $n > /tmp/m/count; done) & true")
                let uptime = try await console.uptime()

                let result = try await run(Laboratory.roost, ["--run-dir", roostd.runDirectory, "vm", "save", "web"])
                #expect(result.status == 0, "\(result)")
                #expect(try await roostd.state("web") == .saved)
                #expect(roostd.qemus.isEmpty && Files.exists(saved(roostd, id)))
                try await otherReaderReads([saved(roostd, id)])
                // What it would not fit any more is refused.
                var memory = UpdateVirtualMachineRequest()
                memory.memoryMiB = 512
                let changed = try await refusal { try await client.updateVirtualMachine("web", memory) }
                #expect(changed?.code == .invalidState && changed?.message.contains("discard-saved-state") == true)
                let taken = try await client.createCheckpoint(of: "web", waitSeconds: 30)
                #expect(taken.error?.code == .invalidState)
                #expect(try await refusal { try await client.updateVersion(of: "web", .init()) } != nil)
                let stop = try await client.stopVirtualMachine("web", waitSeconds: 30)
                #expect(stop.error?.code == .invalidState)
                let disk = try #require(try await client.drives(of: "web").first { $0.kind == "disk" }?.path)
                let resized = try await client.resizeDisk(.init(path: disk, sizeBytes: 8 << 30), waitSeconds: 30)
                #expect(resized.error?.code == .busy, "\(resized)")
                try await roostd.create("other")
                let attached = try await refusal {
                    try await client.attachDisk(to: "other", .init(path: disk, format: "qcow2"))
                }
                #expect(attached?.code == .busy && attached?.message.contains("saved state") == true)

                // A roostd that has not saved it knows it too.
                await roostd.kill9()
                try await roostd.start()
                #expect(try await roostd.state("web") == .saved)
                try await roostd.start("web")
                #expect(try await roostd.state("web") == .running)
                console = try await roostd.console("web")
                #expect(try await mark(console).contains("in-memory"))
                #expect(try await console.uptime() >= uptime)
                #expect(!Files.exists(saved(roostd, id)))
                try await eventually("its memory is deleted") { !Files.exists("\(saved(roostd, id)).resumed") }
                // The clock has stood still meanwhile, and is put right by the agent.
                try await roostd.waitForAgent("web")
                let behind = { try await abs(self.clock(console) - Int(Date().timeIntervalSince1970)) }
                try await eventually("the guest's clock is right") { try await behind() <= 2 }
                _ = try await console.shell("echo written > /data/after; sync")

                // Off and on again it knows nothing of it.
                try await roostd.turnOff("web")
                console = try await roostd.boot("web")
                #expect(try await mark(console).contains("in-memory") == false)
                #expect(try await console.shell("cat /data/after").contains("written"))
                try await roostd.turnOff("web")
            }
        }

        private func clock(_ console: GuestConsole) async throws -> Int {
            let lines = try await console.shell("date +at-%s").split(whereSeparator: \.isNewline)
            let text = try #require(lines.last { $0.hasPrefix("at-") })
            return try #require(Int(text.dropFirst(3).trimmingCharacters(in: .whitespaces)))
        }

        @Test func damagedSavedStateIsNotUsedAndDoesNotKeepTheGuestFromStarting() async throws {
            try await withRoostd("save-damaged") { roostd in
                let client = roostd.client
                let id = try await roostd.createGuest("web", generation: 1)
                var console = try await roostd.boot("web")
                try await mark(console, "lost")
                _ = try await console.shell("echo kept > /data/file; sync")
                try await client.pauseVirtualMachine("web", waitSeconds: 30).succeeded()
                try await client.saveVirtualMachine("web", waitSeconds: 120).succeeded()
                let path = saved(roostd, id)
                let good = try #require(Files.read(path))
                for offset in [good.count - 200_000, 0x3010] {
                    var bad = good
                    for index in offset..<offset + 16 { bad[index] ^= 0x5A }
                    try Files.write(bad, path)
                    let job = try await client.startVirtualMachine("web", waitSeconds: 120)
                    #expect(job.error?.code == .corrupt, "\(job)")
                    #expect(job.error?.message.contains("--discard-saved-state") == true, "\(job)")
                    #expect(try await roostd.state("web") == .saved)
                    #expect(roostd.qemus.isEmpty)
                }
                try Files.write(good, path)
                // As it was saved: paused.
                #expect(try await roostd.state("web") == .saved)
                try await roostd.start("web")
                #expect(try await roostd.state("web") == .paused)
                try await client.resumeVirtualMachine("web", waitSeconds: 30).succeeded()
                console = try await roostd.console("web")
                #expect(try await mark(console).contains("lost"))
                try await client.saveVirtualMachine("web", waitSeconds: 120).succeeded()
                // Somebody else has the disk for a while: nothing is lost by that.
                let disk = try #require(try await client.drives(of: "web").first { $0.kind == "disk" }?.path)
                let log = "\(roostd.base)/lock.log"
                try Files.write("", log)
                let holder = try Child(
                    "/usr/bin/stdbuf",
                    ["-oL", "/usr/bin/qemu-io", "-f", "qcow2", "-c", "read 0 4k", "-c", "sleep 600000", disk],
                    output: try #require(FileHandle(forWritingAtPath: log))
                )
                try await eventually("the disk is locked") {
                    Files.read(log).map { String(decoding: $0, as: UTF8.self) }?.contains("read 4096/4096") == true
                }
                let locked = try await client.startVirtualMachine("web", waitSeconds: 60)
                #expect(locked.error?.code == .busy, "\(locked)")
                #expect(try await roostd.state("web") == .saved && Files.exists(path))
                holder.signal(SIGKILL)
                _ = await holder.exit()
                try await roostd.start("web")
                console = try await roostd.console("web")
                #expect(try await mark(console).contains("lost"))
                try await client.saveVirtualMachine("web", waitSeconds: 120).succeeded()
                let start = try await run(
                    Laboratory.roost,
                    ["--run-dir", roostd.runDirectory, "vm", "start", "web", "--discard-saved-state"]
                )
                #expect(start.status == 0, "\(start)")
                console = try await roostd.console("web")
                try await console.waitUntilReady()
                #expect(try await mark(console).contains("lost") == false)
                #expect(try await console.shell("cat /data/file").contains("kept"))
                #expect(!Files.exists(path))
                try await client.saveVirtualMachine("web", waitSeconds: 120).succeeded()
                try await client.discardSavedState(of: "web", waitSeconds: 30).succeeded()
                #expect(try await roostd.state("web") == .off)
                try await client.removeVirtualMachine("web", .init(removeDisks: true), waitSeconds: 30).succeeded()
                #expect(try FileManager.default.contentsOfDirectory(atPath: roostd.virtualMachines).isEmpty)
            }
        }

        @Test func saveThatFailsOrIsCutOffLeavesTheGuestRunningOrSaved() async throws {
            try await withRoostd("save-cut") { roostd in
                let client = roostd.client
                let id = try await roostd.createGuest("web", generation: 1)
                var console = try await roostd.boot("web")
                try await mark(console, "there")
                // QEMU does not pass on a machine with a VHDX.
                let disk = try await client.createDisk(.init(path: "x.vhdx", sizeBytes: 64 << 20), waitSeconds: 60)
                let attached = try await client.attachDisk(to: "web", .init(path: try #require(disk.result)))
                let refused = try await client.saveVirtualMachine("web", waitSeconds: 60)
                #expect(refused.error != nil)
                #expect(try await roostd.state("web") == .running)
                #expect(try await mark(console).contains("there"))
                try await client.detachDisk(
                    from: "web",
                    location: "\(attached.controllerType):\(attached.controllerNumber):\(attached.slot)"
                )
                // Cancelled: it goes on at once.
                let job = try await client.saveVirtualMachine("web")
                _ = try? await client.cancelJob(job.id)
                let ended = try await client.job(job.id, waitSeconds: 60)
                let state = try await roostd.state("web")
                #expect(ended.state == .succeeded ? state == .saved : state == .running, "\(ended)")
                if state == .saved { try await roostd.start("web") }

                // Turned off in the middle: it is off, and nothing is taken for its state; or it was saved before.
                var numbers = SeededNumbers(seed: 0x5EED_0012)
                for round in 1...4 {
                    let save = try await client.saveVirtualMachine("web")
                    try await Task.sleep(for: .milliseconds(Int.random(in: 0...900, using: &numbers)))
                    _ = try await client.stopVirtualMachine("web", .init(turnOff: true), waitSeconds: 60)
                    _ = try await client.job(save.id, waitSeconds: 60)
                    let state = try await roostd.state("web")
                    #expect(state == .off || state == .saved, "round \(round): \(state)")
                    #expect(Files.exists(saved(roostd, id)) == (state == .saved), "round \(round): \(state)")
                    if state == .saved {
                        try await roostd.start("web")
                    } else {
                        console = try await roostd.boot("web")
                        try await mark(console, "there")
                    }
                }
                // The host goes down meanwhile: the save is waited for.
                _ = try await client.saveVirtualMachine("web")
                try await client.stopGuests(waitSeconds: 120).succeeded()
                #expect(try await roostd.state("web") == .saved)
                try await roostd.start("web")
                console = try await roostd.console("web")

                // How long they take is not the same on all machines: a kill is to come before the end.
                let clock = ContinuousClock()
                let saving = try await clock.measure {
                    try await client.saveVirtualMachine("web", waitSeconds: 60).succeeded()
                }
                let starting = try await clock.measure { try await roostd.start("web") }
                var (cut, round) = (0, 0)
                while round < 8 || round % 2 == 1 || cut < 3 && round < 30 {
                    round += 1
                    let isSave = round % 2 == 1
                    let work = Task {
                        isSave
                            ? try await client.saveVirtualMachine("web", waitSeconds: 60)
                            : try await client.startVirtualMachine("web", waitSeconds: 60)
                    }
                    try await Task.sleep(
                        for: (isSave ? saving : starting) * Double.random(in: 0...0.95, using: &numbers)
                    )
                    await roostd.kill9()
                    if (try? await work.value) == nil { cut += 1 }
                    try await roostd.start()
                    let state = try await roostd.state("web")
                    #expect(state == .saved || state == .running, "round \(round): \(state)")
                    #expect(roostd.qemus.count == (state == .running ? 1 : 0), "round \(round)")
                    #expect(Files.exists(saved(roostd, id)) == (state == .saved), "round \(round)")
                    #expect(!Files.exists("\(saved(roostd, id)).partial"), "round \(round)")
                    // What comes next begins with what it needs.
                    if round % 2 == 1, state == .running {
                        try await client.saveVirtualMachine("web", waitSeconds: 60).succeeded()
                    }
                    if round % 2 == 0, state == .saved { try await roostd.start("web") }
                    if round % 2 == 0 {
                        console = try await roostd.console("web")
                        #expect(try await mark(console).contains("there"), "round \(round)")
                        _ = try await console.shell("echo \(round) > /data/round && sync")
                    }
                }
                #expect(cut > 2, "of \(round) kills")
                // QEMU ends in the middle: the machine has crashed, and nothing is taken for its state.
                let save = try await client.saveVirtualMachine("web")
                kill(try roostd.qemu(id).processID, SIGKILL)
                let failed = try await client.job(save.id, waitSeconds: 60)
                #expect(failed.error != nil)
                #expect(try await roostd.state("web") == .crashed)
                #expect(!Files.exists(saved(roostd, id)))
                console = try await roostd.boot("web")
                #expect(try await console.shell("cat /data/round").contains("\(round)"))
                try await roostd.turnOff("web")
            }
        }
    }
}
