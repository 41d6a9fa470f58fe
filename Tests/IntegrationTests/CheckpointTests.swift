import Foundation
import RoostAPI
import RoostClient
import RoostPrimitives
import Testing

extension Integration {
    /// Checkpoints of machines that are off, by the command line and the API, with the real qemu-img.
    @Suite(.serialized) struct CheckpointTests {
        /// A machine without firmware variables whose one disk holds a byte all over its first MiB.
        func machine(_ roostd: Roostd, _ name: String = "web", holding byte: Int = 1) async throws -> String {
            let id = try await roostd.create(name) { $0.diskSizeBytes = 64 << 20 }
            try await write(roostd, name, byte)
            return id
        }

        /// The file that a machine writes.
        func disk(_ roostd: Roostd, _ vm: String) async throws -> String {
            try #require(try await roostd.client.drives(of: vm).first { $0.kind == "disk" }?.path)
        }

        func write(_ roostd: Roostd, _ vm: String, _ byte: Int) async throws {
            try await tool("qemu-io", "-f", "qcow2", "-c", "write -P \(byte) 0 1M", try await disk(roostd, vm))
        }

        func holds(_ path: String, _ byte: Int) async throws -> Bool {
            let result = try await run("/usr/bin/qemu-io", ["-r", "-f", "qcow2", "-c", "read -P \(byte) 0 1M", path])
            if result.text.contains("verification failed") { return false }
            try #require(result.status == 0, "\(result)")
            return true
        }

        /// The disk of 64 MiB in the guest, which may come before the one that it boots from.
        private let dataDisk = "/dev/$(grep -lx 131072 /sys/block/sd*/size | cut -d/ -f4)"

        func roost(_ roostd: Roostd, _ arguments: String...) async throws -> CommandResult {
            try await run(Laboratory.roost, ["--run-dir", roostd.runDirectory, "checkpoint"] + arguments)
        }

        func take(_ roostd: Roostd, _ vm: String, _ name: String) async throws -> String {
            let job = try await roostd.client.createCheckpoint(of: vm, .init(name: name), waitSeconds: 60)
            return try #require(try job.succeeded().result)
        }

        @Test func commandsTakeListRenameApplyAndRemove() async throws {
            try await withRoostd("checkpoint-commands") { roostd in
                _ = try await machine(roostd)
                let first = try await roost(roostd, "create", "web", "--name", "one")
                #expect(first.status == 0, "\(first)")
                try await write(roostd, "web", 2)
                #expect(try await roost(roostd, "create", "web").status == 0)
                try await write(roostd, "web", 3)

                let list = try await roost(roostd, "list", "web")
                let rows = list.text.split(separator: "\n")
                #expect(rows.count == 3 && rows[1].contains("one") && rows[2].contains("*"), "\(list)")
                #expect(list.text.contains("Production") && list.text.contains("Application"))
                let shown = try await roost(roostd, "show", "web", "one")
                #expect(shown.status == 0 && shown.text.contains("web.qcow2"), "\(shown)")
                // Names are text, whatever is in them.
                let strange = "a/b ..%2F \u{1F409} \"'"
                #expect(try await roost(roostd, "rename", "web", "one", strange).status == 0)
                #expect(try await roost(roostd, "show", "web", strange).text.contains(strange))

                let asked = try await roost(roostd, "apply", "web", strange)
                #expect(asked.status == APIError.Code.invalidArgument.exitCode && asked.errors.contains("--yes"))
                let applied = try await roost(roostd, "apply", "web", strange, "--checkpoint-first", "--yes")
                #expect(applied.status == 0, "\(applied)")
                #expect(try await holds(disk(roostd, "web"), 1))
                let checkpoints = try await roostd.client.checkpoints(of: "web")
                #expect(checkpoints.map(\.depth) == [0, 1, 2])
                #expect(checkpoints.map(\.isCurrent) == [true, false, false])

                let removed = try await roost(roostd, "remove", "web", strange, "--subtree", "--yes")
                #expect(removed.status == 0, "\(removed)")
                #expect(try await roostd.client.checkpoints(of: "web").isEmpty)
                #expect(try await disk(roostd, "web").hasSuffix("/web.qcow2"))
                #expect(try await holds(disk(roostd, "web"), 1))
                #expect(try await roostd.client.disks().count == 1)
            }
        }

        @Test func whatCannotBeIsRefusedAndChangesNothing() async throws {
            try await withRoostd("checkpoint-refusals") { roostd in
                let client = roostd.client
                _ = try await machine(roostd)
                try await roostd.create("bare")
                func code(_ job: Job) -> APIError.Code? { job.error?.code }
                let without = try await client.createCheckpoint(of: "bare", waitSeconds: 30)
                #expect(code(without) == .invalidState && without.error?.message.contains("no disk") == true)
                for name in ["", String(repeating: "x", count: 101), "a\nb", GUID.random().uppercased] {
                    let job = try await client.createCheckpoint(of: "web", .init(name: name), waitSeconds: 30)
                    #expect(code(job) == .invalidArgument, "\(name): \(job)")
                }
                #expect(try await refusal { try await client.checkpoint(of: "web", "x") }?.code == .notFound)

                let first = try await take(roostd, "web", "same")
                _ = try await take(roostd, "web", "same")
                let twice = try await refusal { try await client.checkpoint(of: "web", "same") }
                #expect(twice?.code == .invalidArgument && twice?.message.contains(first) == true)
                let base = try #require(try await client.checkpoint(of: "web", first).disks.first?.path)
                let attach = try await refusal { try await client.attachDisk(to: "bare", .init(path: base)) }
                #expect(attach?.code == .busy && attach?.message.contains("same") == true)
                var other = CreateVirtualMachineRequest(name: "other")
                other.disk = base
                let create = try await client.createVirtualMachine(other, waitSeconds: 30).error
                #expect(
                    create?.code == .busy && create?.message.contains("same") == true,
                    "\(String(describing: create))"
                )
                let resize = try await client.resizeDisk(.init(path: base, sizeBytes: 128 << 20), waitSeconds: 30)
                #expect(code(resize) == .busy)

                // Another program writes into a file that a checkpoint relies on.
                try await tool("qemu-io", "-f", "qcow2", "-c", "write -P 9 8M 1M", base)
                #expect(try await client.checkpoint(of: "web", first).disks.first?.problem != nil)
                let apply = try await client.applyCheckpoint(to: "web", first, waitSeconds: 30)
                #expect(code(apply) == .corrupt && apply.error?.message.contains(base) == true)
                #expect(try await client.checkpoints(of: "web").count == 2)

                var off = UpdateVirtualMachineRequest()
                off.checkpointType = .disabled
                _ = try await client.updateVirtualMachine("web", off)
                #expect(code(try await client.createCheckpoint(of: "web", waitSeconds: 30)) == .invalidState)

                try await client.removeVirtualMachine("web", .init(removeDisks: true), waitSeconds: 30).succeeded()
                #expect(try await client.disks().isEmpty)
                #expect(roostd.stateFiles().allSatisfy { $0.hasSuffix("Snapshots/") || !$0.contains("Snapshots/") })
            }
        }

        @Test func whatOthersStandOnIsNeitherMergedNorWrittenNorDeleted() async throws {
            try await withRoostd("checkpoint-shared") { roostd in
                let client = roostd.client
                _ = try await machine(roostd, "golden", holding: 5)
                try await roostd.create("clone")
                let golden = try await disk(roostd, "golden")
                let first = try await take(roostd, "golden", "template")
                // A linked clone of what the checkpoint keeps.
                let clone = "\(roostd.base)/clone.qcow2"
                try await tool("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", golden, clone)
                try await tool("chmod", "-R", "a+rwX", roostd.base)
                _ = try await client.attachDisk(to: "clone", .init(path: clone, format: "qcow2"))
                try await write(roostd, "golden", 6)
                try await client.removeCheckpoint(of: "golden", first, waitSeconds: 60).succeeded()
                #expect(try await holds(clone, 5))
                #expect(try await holds(disk(roostd, "golden"), 6))
                #expect(try await disk(roostd, "golden") != golden)
                for attempt in [
                    { _ = try await client.attachDisk(to: "clone", .init(path: golden)) },
                    {
                        try await client.resizeDisk(
                            .init(path: golden, sizeBytes: 32 << 20, shrink: true),
                            waitSeconds: 30
                        )
                        .succeeded()
                    },
                ] as [@Sendable () async throws -> Void] {
                    await #expect(throws: (any Error).self) { try await attempt() }
                }
                try await client.removeVirtualMachine("golden", .init(removeDisks: true), waitSeconds: 30).succeeded()
                #expect(try await holds(clone, 5))

                // Two machines with one disk, which run in turn.
                _ = try await machine(roostd, "one", holding: 1)
                try await roostd.create("two")
                _ = try await client.attachDisk(to: "two", .init(path: try await disk(roostd, "one")))
                let refused = try await client.createCheckpoint(of: "one", waitSeconds: 30)
                #expect(refused.error?.code == .busy && refused.error?.message.contains("another machine") == true)

                // A disk that is taken out keeps what it stands on.
                _ = try await machine(roostd, "web", holding: 7)
                _ = try await take(roostd, "web", "c")
                let detached = try #require(try await client.drives(of: "web").first { $0.kind == "disk" })
                try await client.detachDisk(from: "web", location: detached.location)
                try await client.removeVirtualMachine("web", .init(removeDisks: true), waitSeconds: 30).succeeded()
                let left = try #require(detached.path)
                #expect(try await holds(left, 7))
            }
        }

        @Test func guestFindsWhatWasAndIsToldOfIt() async throws {
            try await withRoostd("checkpoint-guest") { roostd in
                let client = roostd.client
                try await roostd.createGuest("web", generation: 2, secureBoot: "MicrosoftUEFICertificateAuthority")
                let data = try await client.createDisk(.init(path: "data.qcow2", sizeBytes: 64 << 20), waitSeconds: 30)
                _ = try await client.attachDisk(to: "web", .init(path: try #require(data.result)))
                let write = { (word: String) in "printf '%-8s' \(word) | dd of=\(dataDisk) conv=fsync 2>/dev/null" }
                let read = "dd if=\(dataDisk) bs=8 count=1 2>/dev/null; echo"

                var console = try await roostd.boot("web")
                _ = try await console.shell(write("before"))
                try await client.stopVirtualMachine("web", waitSeconds: 120).succeeded()
                let checkpoint = try await take(roostd, "web", "good")
                #expect(try await client.checkpoint(of: "web", checkpoint).receipt.consistency == .application)
                let identifiers = try await identifier(roostd, "web")
                console = try await roostd.boot("web")
                #expect(try await console.shell(read).contains("before"))
                _ = try await console.shell(write("after"))
                // It runs: nothing is taken from under it.
                let busy = try await client.applyCheckpoint(to: "web", checkpoint, waitSeconds: 30)
                #expect(busy.error?.code == .invalidState)
                try await roostd.turnOff("web")

                try await client.applyCheckpoint(to: "web", checkpoint, .init(checkpointFirst: true), waitSeconds: 60)
                    .succeeded()
                #expect(try await identifier(roostd, "web") != identifiers)
                console = try await roostd.boot("web")
                #expect(try await console.shell(read).contains("before"))
                try await roostd.turnOff("web")

                // Turned off, its guest had no time to come to rest.
                let later = try #require(try await client.checkpoints(of: "web").first { $0.name == "before good" })
                #expect(try await client.checkpoint(of: "web", later.id.uppercased).receipt.consistency == .crash)
                try await client.applyCheckpoint(to: "web", later.id.uppercased, waitSeconds: 60).succeeded()
                for row in try await client.checkpoints(of: "web") {
                    try await client.removeCheckpoint(of: "web", row.id.uppercased, waitSeconds: 60).succeeded()
                }
                console = try await roostd.boot("web")
                #expect(try await console.shell(read).contains("after"))
                #expect(try await client.drives(of: "web").allSatisfy { $0.disk?.backingFile == nil })
            }
        }

        @Test func runningGuestIsFrozenForAnInstantAndGoesOn() async throws {
            try await withRoostd("checkpoint-live") { roostd in
                let client = roostd.client
                try await roostd.createGuest("web", generation: 2, secureBoot: "MicrosoftUEFICertificateAuthority")
                let small = try await client.createDisk(
                    .init(path: "small.qcow2", sizeBytes: 16 << 20),
                    waitSeconds: 30
                )
                _ = try await client.attachDisk(to: "web", .init(path: try #require(small.result)))
                let data = try await client.createDisk(.init(path: "data.img", sizeBytes: 64 << 20), waitSeconds: 30)
                _ = try await client.attachDisk(to: "web", .init(path: try #require(data.result), format: "raw"))
                var console = try await roostd.boot("web")
                try await roostd.waitForAgent("web")
                _ = try await console.shell("echo before > /data/one; printf before > \(dataDisk); sync")
                // What cannot be frozen, and what need not be.
                let mounted = try await console.shell(
                    "modprobe -a vfat nls_cp437 nls_ascii; mkdir -p /esp /ro; mount -t vfat /dev/$(grep -lx 98304 /sys/class/block/sd*/size | cut -d/ -f5) /esp && "
                        + "disk=/dev/$(grep -lx 32768 /sys/block/sd*/size | cut -d/ -f4) && mke2fs $disk >/dev/null && "
                        + "mount -o ro $disk /ro && echo mounted"
                )
                #expect(mounted.hasSuffix("mounted"), "\(mounted)")
                let created = try await roost(roostd, "create", "web", "--name", "live")
                #expect(created.status == 0, "\(created)")
                let shown = try await client.checkpoint(of: "web", "live")
                #expect(shown.receipt.consistency == .fileSystem, "\(shown.receipt)")
                #expect(shown.receipt.lease == "guestTimer" && shown.receipt.hasVariables)
                #expect(shown.receipt.fileSystems.contains { $0.mountPoint == "/data" && $0.skipped == nil })
                let skipped = shown.receipt.fileSystems.filter { $0.skipped != nil }.map {
                    "\($0.mountPoint): \($0.skipped ?? "")"
                }
                #expect(skipped.sorted() == ["/esp: vfat cannot be frozen", "/ro: mounted read-only"], "\(skipped)")
                #expect(shown.receipt.stalledMicroseconds == shown.receipt.freezeMicroseconds)
                #expect(shown.receipt.freezeMicroseconds ?? 0 > 0 && shown.receipt.agentVersion != nil)
                #expect(shown.disks.count == 3 && shown.disks.allSatisfy { $0.problem == nil }, "\(shown.disks)")

                // It goes on, in new files; a disk can go and grow as ever.
                _ = try await console.shell("echo after > /data/two; printf after! > \(dataDisk); sync")
                #expect(try await client.drives(of: "web").allSatisfy { $0.disk?.backingFile != nil })
                #expect(try await take(roostd, "web", "second") != shown.summary.id.uppercased)
                // What a checkpoint keeps is copied while the guest goes on.
                let copying = NewVirtualMachineFromCheckpointRequest(name: "copy")
                try await client.createVirtualMachine(fromCheckpoint: "live", of: "web", copying, waitSeconds: 120)
                    .succeeded()
                #expect(
                    try await client.drives(of: "copy").allSatisfy { $0.disk?.backingFile == nil && $0.problem == nil }
                )
                #expect(try await roostd.state("web") == .running)
                let second = try #require(try await client.drives(of: "web").last)
                try await client.resizeDisk(
                    .init(path: try #require(second.path), sizeBytes: 96 << 20),
                    waitSeconds: 30
                ).succeeded()
                #expect(try await console.shell("cat /sys/block/sd*/size").contains("196608"))
                try await client.detachDisk(from: "web", location: second.location)
                try await eventually("the disk is gone") {
                    try await console.shell("cat /sys/block/sd*/size").contains("196608") == false
                }
                try await roostd.turnOff("web")

                try await client.applyCheckpoint(to: "web", "live", waitSeconds: 60).succeeded()
                console = try await roostd.boot("web")
                #expect(try await console.shell("cat /data/one; ls /data").contains("before"))
                #expect(try await console.shell("ls /data").contains("two") == false)
                #expect(try await console.shell("dd if=\(dataDisk) bs=6 count=1 2>/dev/null; echo").contains("before"))
                try await roostd.turnOff("web")
                for disk in try await client.disks() where disk.format == "qcow2" {
                    try await tool("qemu-img", "check", "-q", disk.path)
                }
            }
        }

        @Test func roostdKilledWhileAGuestIsFrozenLeavesItThawedAndTheTreeWhole() async throws {
            try await withRoostd("checkpoint-live-killed") { roostd in
                let client = roostd.client
                try await roostd.createGuest("web", generation: 1)
                var console = try await roostd.boot("web")
                let id = try await roostd.summary("web").id.uppercased
                try await roostd.waitForAgent("web")
                var kept: [String: String] = [:]
                // Kills at the instant, which lasts some tens of milliseconds, until enough have hit it.
                var (frozen, round) = (0, 0)
                while frozen < 2, round < 20 {
                    round += 1
                    let mark = "mark-\(100 + round)"
                    _ = try await console.shell("echo \(mark) > /data/mark; sync")
                    try await killWhileFrozen(roostd)
                    if try await isFrozen(roostd, id) {
                        frozen += 1
                        // Nobody but the timer in the guest can end the freeze, by its time or when it is told to end.
                        let deed = frozen == 1 ? "killall -9 qemu-ga" : "kill $(cut -d' ' -f1 /run/roost-freeze-lease)"
                        try await waitForThaw(roostd, id, behind: deed)
                    }
                    try await roostd.start()
                    #expect(try await roostd.state("web") == .running)
                    console = try await roostd.console("web")
                    _ = try await console.shell("echo x > /data/thawed && sync", within: 20)
                    let found = try await client.checkpoints(of: "web")
                    #expect(found.count <= kept.count + 1)
                    for row in found where kept[row.id.uppercased] == nil { kept[row.id.uppercased] = mark }
                    #expect(found.count == kept.count, "round \(round): a checkpoint is gone")
                    for row in found {
                        let disks = try await client.checkpoint(of: "web", row.id.uppercased).disks
                        #expect(disks.allSatisfy { $0.problem == nil }, "round \(round): \(disks)")
                    }
                    try await roostd.waitForAgent("web")
                }
                #expect(frozen == 2, "of \(round) kills")
                // The agent knows that it is thawed.
                _ = try await console.shell("echo mark-999 > /data/mark; sync")
                let after = try await take(roostd, "web", "after")
                #expect(try await client.checkpoint(of: "web", after).receipt.consistency == .fileSystem)
                kept[after] = "mark-999"
                try await thawedTooEarly(roostd, console)
                let last = try #require(kept.max { $0.value < $1.value })
                try await roostd.turnOff("web")
                try await client.applyCheckpoint(to: "web", last.key, waitSeconds: 60).succeeded()
                console = try await roostd.boot("web")
                #expect(try await console.shell("cat /data/mark").contains(last.value))
                try await roostd.turnOff("web")
                for disk in try await client.disks() { try await tool("qemu-img", "check", "-q", disk.path) }
            }
        }

        /// Takes checkpoints while somebody in the guest ends freezes, until one has come before the disks had branched.
        private func thawedTooEarly(_ roostd: Roostd, _ console: GuestConsole) async throws {
            let client = roostd.client
            _ = try await console.shell(
                "(while [ ! -e /tmp/enough ]; do fsfreeze --unfreeze /data; done) 2>/dev/null & true"
            )
            var early: CheckpointReceiptInfo?
            for number in 1...10 where early == nil {
                let taken = try await take(roostd, "web", "early \(number)")
                let receipt = try await client.checkpoint(of: "web", taken).receipt
                if receipt.consistency == .crash { early = receipt }
            }
            #expect(early?.reason?.contains("too early") == true, "\(early as Any)")

            var only = UpdateVirtualMachineRequest()
            only.checkpointType = .productionOnly
            _ = try await client.updateVirtualMachine("web", only)
            var count = try await client.checkpoints(of: "web").count
            var refused: APIError?
            for _ in 1...10 where refused == nil {
                refused = try await client.createCheckpoint(of: "web", waitSeconds: 60).error
                if refused == nil { count += 1 }
            }
            #expect(
                refused?.code == .invalidState && refused?.cause?.contains("too early") == true,
                "\(refused as Any)"
            )
            #expect(try await client.checkpoints(of: "web").count == count)
            _ = try await console.shell("touch /tmp/enough; echo x > /data/after && sync", within: 20)
        }

        /// Kills a roostd that was just started in the moment in which it has a guest frozen for a checkpoint.
        func killWhileFrozen(_ roostd: Roostd) async throws {
            let client = roostd.client
            let events = client.events(since: 0)
            // A freeze that fails says nothing.
            let seen = Task {
                for try await event in events {
                    if event.kind == "guest.frozen" { return }
                    if event.kind == "job.ended", event.message.hasPrefix("checkpoint.create") { return }
                }
            }
            let work = Task { try await client.createCheckpoint(of: "web", waitSeconds: 60) }
            try await seen.value
            await roostd.kill9()
            _ = try? await work.value
        }

        /// Does something in the guest, and waits, without any roostd, until a write in it succeeds.
        func waitForThaw(_ roostd: Roostd, _ id: String, behind deed: String) async throws {
            let serial = try RawSocket("\(roostd.runDirectory)/vm/\(id)/serial.sock")
            serial.send("\(deed) && echo do''ne; echo x > /data/lease && sync && echo lease-$((40+2))\n")
            let text = try await serial.read(until: "lease-42", within: 40)
            #expect(text.contains("done"), "\(text)")
        }

        /// What the guest's agent says of itself, while no roostd listens to it.
        func isFrozen(_ roostd: Roostd, _ id: String) async throws -> Bool {
            let socket = try RawSocket(
                "\(roostd.runDirectory)/vm/\(id)/agent.sock"
            )
            socket.send("{\"execute\": \"guest-fsfreeze-status\", \"id\": \"after\"}\n")
            let text = try await socket.read(until: "\"after\"")
            return text.contains("\"frozen\"")
        }

        /// The VM-Generation ID that QEMU was or will be given.
        func identifier(_ roostd: Roostd, _ vm: String) async throws -> String {
            let id = try await roostd.summary(vm).id.uppercased
            let path = roostd.configuration(id)
            let shown = try await run(
                Laboratory.roost,
                ["file", "show", path, "--key", "configuration/global_settings/devices/generation_id"]
            )
            try #require(shown.status == 0, "\(shown)")
            return shown.text
        }

        @Test func roostdKilledAtAnyMomentLeavesTheTreeAsBeforeOrAsBehind() async throws {
            try await withRoostd("checkpoint-killed") { roostd in
                let client = roostd.client
                _ = try await machine(roostd)
                var numbers = SeededNumbers(seed: 0x5EED_0009)
                var machine = 1
                var kept: [String: Int] = [:]
                var cut = 0
                // How long the work takes is not the same on all machines: a kill is to come before the end.
                let whole = try await ContinuousClock().measure {
                    let made = try await take(roostd, "web", "measured")
                    try await client.removeCheckpoint(of: "web", made, waitSeconds: 60).succeeded()
                }
                var round = 0
                while round < 16 || cut < 3 && round < 40 {
                    round += 1
                    machine = round % 250 + 1
                    try await write(roostd, "web", machine)
                    let before = (machine, kept)
                    var behind = before
                    let work: Task<Job, any Error>
                    switch round % 4 {
                    case 0 where !kept.isEmpty:
                        let id = try #require(kept.keys.sorted().randomElement(using: &numbers))
                        behind.1[id] = nil
                        work = Task { try await client.removeCheckpoint(of: "web", id, waitSeconds: 60) }
                    case 3 where !kept.isEmpty:
                        let id = try #require(kept.keys.sorted().randomElement(using: &numbers))
                        behind.0 = try #require(kept[id])
                        work = Task { try await client.applyCheckpoint(to: "web", id, waitSeconds: 60) }
                    default: work = Task { try await client.createCheckpoint(of: "web", waitSeconds: 60) }
                    }
                    try await Task.sleep(for: whole * Double.random(in: 0...0.5, using: &numbers))
                    await roostd.kill9()
                    if (try? await work.value) == nil { cut += 1 }
                    try await roostd.start()
                    // What a removal has left this roostd merges by itself.
                    for job in try await client.jobs() where job.state == .running {
                        try await client.job(job.id, waitSeconds: 60).succeeded()
                    }

                    let found = Set(try await client.checkpoints(of: "web").map(\.id.uppercased))
                    let made = found.subtracting(kept.keys)
                    #expect(made.count <= 1)
                    for id in made { behind.1[id] = before.0 }
                    let isBehind = try await holds(disk(roostd, "web"), behind.0)
                    let isBefore = try await holds(disk(roostd, "web"), before.0)
                    let states = [before, behind].filter { Set($0.1.keys) == found }
                    let fitting = states.first { $0.0 == behind.0 && isBehind || $0.0 == before.0 && isBefore }
                    (machine, kept) = try #require(fitting, "round \(round): \(found), \(before), \(behind)")
                    for (id, byte) in kept {
                        let disk = try #require(try await client.checkpoint(of: "web", id).disks.first)
                        #expect(disk.problem == nil, "round \(round): \(disk)")
                        #expect(try await holds(disk.path, byte), "round \(round): \(disk.path)")
                    }
                    for disk in try await client.disks() {
                        #expect(disk.problem == nil, "round \(round): \(disk)")
                        try await tool("qemu-img", "check", "-q", disk.path)
                    }
                }
                // Otherwise every moment was too late.
                #expect(cut > 2, "of \(round) kills")
                for id in kept.keys.sorted() {
                    try await client.removeCheckpoint(of: "web", id, waitSeconds: 60).succeeded()
                }
                #expect(try await holds(disk(roostd, "web"), machine))
                let disks = try await client.disks()
                #expect(disks.count == 1, "\(disks)")
            }
        }
    }
}
