import Foundation
import RoostAPI
import RoostClient
import Testing

extension Integration {
    /// Creation that is cut off, removal, and a full disk.
    @Suite(.serialized) struct StorageTests {
        /// An image that takes a while to copy.
        private func slowImage(_ roostd: Roostd) async throws -> String {
            let path = "\(roostd.base)/slow.img"
            try await tool("dd", "if=/dev/urandom", "of=\(path)", "bs=1M", "count=600", "status=none")
            return path
        }

        private func beginSlowCreate(_ roostd: Roostd, _ image: String) async throws -> Job {
            var request = CreateVirtualMachineRequest(name: "slow")
            request.generation = 2
            request.image = image
            request.cloudInitUserData = "#cloud-config\n"
            let job = try await roostd.client.createVirtualMachine(request)
            try await eventually("the copy has begun") { roostd.stateFiles().contains { $0.hasSuffix(".partial") } }
            return job
        }

        @Test func diskKeepsTheFormatItWasUsedAsWhateverItsGuestWroteIntoIt() async throws {
            try await withRoostd("disk-format") { roostd in
                let client = roostd.client
                try await roostd.create("vm")
                try await roostd.create("other")
                let made = try await client.createDisk(.init(path: "data.img", sizeBytes: 1 << 20), waitSeconds: 30)
                let disk = try #require(try made.succeeded().result)
                let drive = try await client.attachDisk(to: "vm", .init(path: disk))
                try await client.detachDisk(from: "vm", location: drive.location)
                // As a guest would: an image that names a file of the host.
                try await tool(
                    "qemu-img",
                    "create",
                    "-q",
                    "-f",
                    "qcow2",
                    "-b",
                    "/etc/hostname",
                    "-F",
                    "raw",
                    disk,
                    "1M"
                )

                for vm in ["vm", "other"] {
                    // Whichever machine asks: one of this host has used it.
                    let refused = try await refusal { try await client.attachDisk(to: vm, .init(path: disk)) }
                    #expect(refused?.code == .invalidArgument && refused?.message.contains("--format raw") == true)
                }
                _ = try await client.attachDisk(to: "other", .init(path: disk, format: "raw"))
                #expect(try await client.drives(of: "other").first?.disk?.format == "raw")
                #expect(try await client.disks().first { $0.path == disk }?.backingFile == nil)
            }
        }

        @Test func creationThatIsCutOffLeavesNothing() async throws {
            try await withRoostd("cut-off-creation") { roostd in
                let client = roostd.client
                try await roostd.create("bystander")
                let files = roostd.stateFiles()
                let image = try await slowImage(roostd)

                let cancelled = try await beginSlowCreate(roostd, image)
                _ = try await client.cancelJob(cancelled.id)
                let ended = try await client.job(cancelled.id, waitSeconds: 30)
                #expect(ended.state == .cancelled)
                #expect(roostd.stateFiles() == files)

                _ = try await beginSlowCreate(roostd, image)
                await roostd.kill9()
                try await roostd.start()
                #expect(roostd.stateFiles() == files)
                #expect(try await client.virtualMachines().map(\.name) == ["bystander"])
                // The name is free, and what was cut off twice works the third time.
                let job = try await beginSlowCreate(roostd, image)
                try await client.job(job.id, waitSeconds: 60).succeeded()
                #expect(try await roostd.state("slow") == .off)
            }
        }

        @Test func roostdKilledWhileItMakesADiskLeavesNothingHalfMade() async throws {
            try await withRoostd("killed-during-disk-create") { roostd in
                let client = roostd.client
                let files = roostd.stateFiles()
                // The tables of a disk of this size take a while to write.
                let request = CreateDiskRequest(path: "new.qcow2", sizeBytes: 2 << 50)
                for round in 0..<4 {
                    _ = try await client.createDisk(request)
                    try await eventually("the disk is being made") {
                        roostd.stateFiles().contains { $0.hasSuffix(".partial") }
                    }
                    await roostd.kill9()
                    try await roostd.start()
                    try await eventually("no tool works on the disk") {
                        try await tool("ps", "-eo", "args").contains("\(roostd.disks)/new.qcow2") == false
                    }
                    #expect(roostd.stateFiles() == files, "round \(round)")
                    #expect(try await client.disks().isEmpty)
                }
                let path = try #require(try await client.createDisk(request, waitSeconds: 30).succeeded().result)
                #expect(try await client.disks().map(\.path) == [path])
                #expect(roostd.stateFiles().count == files.count + 1)
            }
        }

        @Test func diskThatAForeignProcessHoldsIsRefusedByNameUntilItIsLetGo() async throws {
            try await withRoostd("foreign-holder") { roostd in
                let client = roostd.client
                let made = try await client.createDisk(.init(path: "held.qcow2", sizeBytes: 1 << 20), waitSeconds: 30)
                let path = try #require(try made.succeeded().result)
                let id = try await roostd.create("vm") { $0.disk = path }
                let files = roostd.stateFiles()
                let socket = "\(roostd.base)/nbd.sock"
                let holder = try Child(
                    "/usr/bin/qemu-nbd",
                    ["--persistent", "--socket=\(socket)", "--format=qcow2", path],
                    output: .nullDevice
                )
                defer { holder.signal(SIGKILL) }
                // It listens once it holds the image.
                try await eventually("qemu-nbd holds the disk") { Files.exists(socket) }

                let refused = try await refusal { try await client.startVirtualMachine("vm", waitSeconds: 30) }
                #expect(refused?.code == .busy, "\(refused?.description ?? "accepted")")
                #expect(refused?.description.contains(path) == true, "\(refused?.description ?? "accepted")")
                #expect(try await roostd.state("vm") == .off)
                #expect(roostd.qemus.isEmpty)
                #expect(!Files.exists("\(roostd.runDirectory)/vm/\(id)/qmp.sock"))
                // The run record is there from the first start on, whatever comes of it.
                #expect(roostd.stateFiles().filter { !$0.contains(".vmrs") } == files)

                // Not SIGTERM, which a child of the tests may have blocked.
                holder.signal(SIGKILL)
                _ = await holder.exit()
                try await roostd.start("vm")
            }
        }

        @Test func removalKeepsOrDeletesTheMachinesOwnDisksAsAsked() async throws {
            try await withRoostd("removal") { roostd in
                let client = roostd.client
                let empty = roostd.stateFiles()
                let foreign = "\(roostd.base)/foreign.img"
                try Files.makeSparse(foreign, size: 1 << 20)
                try await tool("chown", Laboratory.qemuUser, foreign)
                for removes in [true, false] {
                    try await roostd.create("vm") { $0.diskSizeBytes = 1 << 20 }
                    _ = try await client.attachDisk(to: "vm", .init(path: foreign))
                    let own = try #require(try await client.virtualMachine("vm").drives.first?.path)
                    let job = try await client.removeVirtualMachine("vm", .init(removeDisks: removes), waitSeconds: 30)
                        .succeeded()
                    #expect(Files.exists(own) == !removes)
                    #expect(job.warnings.contains { $0.contains(own) } == !removes)
                    #expect(Files.exists(foreign))
                    if removes { #expect(roostd.stateFiles() == empty) }
                }
                #expect(try await client.virtualMachines().isEmpty)
            }
        }

        @Test func removalNeverDeletesADiskThatAnotherMachineUses() async throws {
            try await withRoostd("shared-disk") { roostd in
                let client = roostd.client
                try await roostd.create("owner") { $0.diskSizeBytes = 1 << 20 }
                let disk = try #require(try await client.virtualMachine("owner").drives.first?.path)
                try await roostd.create("guest")
                _ = try await client.attachDisk(to: "guest", .init(path: disk))
                let job = try await client.removeVirtualMachine("guest", .init(removeDisks: true), waitSeconds: 30)
                    .succeeded()
                #expect(Files.exists(disk))
                #expect(job.warnings.contains { $0.contains(disk) })
                try await client.removeVirtualMachine("owner", .init(removeDisks: true), waitSeconds: 30).succeeded()
                #expect(!Files.exists(disk))
            }
        }

        @Test(.enabled(if: Laboratory.isRoot)) func fullDiskFailsChangesCleanlyAndPausesTheGuestThatWrites()
            async throws
        {
            try await withSmallDisk("full-disk", mebibytes: 80) { try await fillAndFree($0, $1) }
        }

        private func fillAndFree(_ roostd: Roostd, _ disk: SmallDisk) async throws {
            let client = roostd.client
            let id = try await roostd.createGuest("guest", generation: 1)
            let console = try await roostd.boot("guest")
            let files = roostd.stateFiles()
            let before = Files.read(roostd.configuration(id))
            try await disk.fill()

            var request = CreateVirtualMachineRequest(name: "second")
            request.generation = 1
            request.image = Laboratory.guest
            let refused = try await refusal { try await client.createVirtualMachine(request, waitSeconds: 60) }
            #expect(refused?.code == .insufficientResources, "\(refused?.description ?? "accepted")")
            #expect(roostd.stateFiles() == files)
            var change = UpdateVirtualMachineRequest()
            change.notes = String(repeating: "long notes ", count: 4000)
            let unchanged = try await refusal { try await client.updateVirtualMachine("guest", change) }
            #expect(unchanged?.code == .insufficientResources, "\(unchanged?.description ?? "accepted")")
            #expect(Files.read(roostd.configuration(id)) == before)

            console.type("dd if=/dev/urandom of=/data/big bs=64k count=400; sync; echo writ''ten\n")
            let paused = try await roostd.wait(for: "guest", .paused, within: 60)
            #expect(paused.reason?.contains("full") == true)
            try disk.free()
            try await client.resumeVirtualMachine("guest", waitSeconds: 30).succeeded()
            try await console.wait(for: "written", within: 60)
            #expect(try await roostd.state("guest") == .running)
            #expect(try await client.updateVirtualMachine("guest", change).notes == change.notes)
        }
    }
}
