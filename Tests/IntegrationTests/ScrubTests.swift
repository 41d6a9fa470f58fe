import Foundation
import RoostAPI
import RoostClient
import Testing

extension Integration {
    /// The look at every byte of all files, on request and by itself.
    @Suite(.serialized) struct ScrubTests {
        /// Changes the bytes of one 4 KiB block.
        private func garble(_ path: String, block: Int) throws {
            var bytes = try #require(Files.read(path))
            for index in block * 4096..<min(bytes.count, (block + 1) * 4096) { bytes[index] ^= 0xA5 }
            try Files.write(bytes, path)
        }

        private func copy(_ roostd: Roostd, _ id: String) -> String {
            "\(roostd.stateDirectory)/Configuration Copies/\(id).vmcx.copy"
        }

        @Test func damageIsMendedAndWhatStaysDamagedIsNamed() async throws {
            try await withRoostd("scrub") { roostd in
                let client = roostd.client
                let one = try await roostd.create("one")
                let two = try await roostd.create("two")
                let clean = try await client.scrub(waitSeconds: 60).succeeded()
                #expect(clean.warnings.isEmpty && clean.result?.contains("2 virtual machines") == true)

                try garble(roostd.configuration(one), block: 3)
                try garble(copy(roostd, two), block: 0)
                let mended = try await client.scrub(waitSeconds: 60).succeeded()
                #expect(mended.warnings.count == 2)
                #expect(mended.warnings.contains { $0.contains(one) && $0.contains("whole again") })
                #expect(mended.warnings.contains { $0.contains(two) && $0.contains("second copy") })
                #expect(try await client.scrub(waitSeconds: 60).succeeded().warnings.isEmpty)

                // Neither of the two can help the other.
                for block in 0..<4 { try garble(roostd.configuration(two), block: block) }
                for block in 0..<4 { try garble(copy(roostd, two), block: block) }
                let job = try await client.scrub(waitSeconds: 60)
                #expect(job.state == .failed && job.error?.code == .corrupt)
                #expect(job.error?.cause?.contains("two") == true)
                let shown = try await run(Laboratory.roost, ["--run-dir", roostd.runDirectory, "host", "scrub"])
                #expect(shown.status == APIError.Code.corrupt.exitCode, "\(shown)")
                #expect(shown.errors.contains("two"), "\(shown)")
                #expect(try await client.virtualMachine("one").summary.name == "one")
                // It is broken at once, as it would be after a start of roostd, and can be removed as that.
                let list = try await client.virtualMachines()
                #expect(list.map(\.state) == [.off, .broken], "\(list)")
                #expect(list.last?.reason?.contains("roost file repair") == true)
                try await client.removeVirtualMachine("two", waitSeconds: 30).succeeded()
                #expect(try await client.virtualMachines().map(\.name) == ["one"])
            }
        }

        @Test func damagedVariablesComeBackBeforeTheNextStart() async throws {
            try await withRoostd("kept-variables") { roostd in
                let id = try await roostd.create("vm") { $0.generation = 2 }
                let variables = "\(roostd.virtualMachines)/\(id).vmgs"
                try await roostd.start("vm")
                try await roostd.turnOff("vm")
                let copy = "\(roostd.stateDirectory)/Configuration Copies/\(id).vmgs.copy"
                // What QEMU has written is in the copy again.
                try await eventually("the variables are at rest") { Files.read(copy)?[16] == 0 }
                let good = try #require(Files.read(variables))
                let stamp = "\(roostd.base)/stamp"
                try await tool("cp", "-p", variables, stamp)
                try garble(variables, block: 0)
                // A bad block leaves the time of the last change as it was.
                try await tool("touch", "-r", stamp, variables)
                try await roostd.start("vm")
                #expect(Files.exists("\(variables).damaged-1"))
                try await roostd.turnOff("vm")
                #expect(Files.read(variables)?.prefix(4096) == good.prefix(4096))

                // Neither of the two can help the other.
                try await eventually("the variables are at rest again") { Files.read(copy)?[16] == 0 }
                try await tool("cp", "-p", variables, stamp)
                try garble(variables, block: 0)
                try await tool("touch", "-r", stamp, variables)
                var bytes = try #require(Files.read(copy))
                bytes[bytes.count - 1] ^= 1
                try Files.write(bytes, copy)
                let refused = try await roostd.client.startVirtualMachine("vm", waitSeconds: 30)
                #expect(refused.error?.code == .corrupt, "\(refused)")
                #expect(refused.error?.message.contains(copy) == true || refused.error?.cause?.contains(copy) == true)
                #expect(try await roostd.state("vm") == .off)
            }
        }

        @Test func damagedMemoryIsNamedWithWhatCanBeDone() async throws {
            try await withRoostd("scrub-memory") { roostd in
                let client = roostd.client
                let id = try await roostd.create("vm") { $0.diskSizeBytes = 64 << 20 }
                try await roostd.start("vm")
                let request = CreateCheckpointRequest(name: "kept", kind: .standard)
                let taken = try await client.createCheckpoint(of: "vm", request, waitSeconds: 60).succeeded()
                try await client.saveVirtualMachine("vm", waitSeconds: 60).succeeded()
                let clean = try await client.scrub(waitSeconds: 60).succeeded()
                #expect(clean.warnings.isEmpty, "\(clean)")

                let checkpoint = try #require(taken.result)
                let files = [
                    "\(roostd.virtualMachines)/\(id).saved.vmrs",
                    "\(roostd.stateDirectory)/Snapshots/\(checkpoint).saved.vmrs",
                ]
                for file in files {
                    // Where its first piece begins.
                    let bytes = try #require(Files.read(file), "\(file)")
                    let piece = try #require(Data(bytes).firstRange(of: Data("RSCk".utf8))?.lowerBound)
                    try garble(file, block: piece / 4096)
                }
                let damaged = try await client.scrub(waitSeconds: 60)
                let cause = damaged.error?.cause ?? ""
                #expect(damaged.error?.code == .corrupt, "\(damaged)")
                for file in files { #expect(cause.contains("\(file) is damaged at 0x"), "\(cause)") }
                #expect(
                    cause.contains("--discard-saved-state") && cause.contains("roost checkpoint new-vm"),
                    "\(cause)"
                )
                // Nothing was given up: whether it is worth a cold start is the user's to say.
                #expect(try await roostd.state("vm") == .saved)
                try await client.discardSavedState(of: "vm", waitSeconds: 30).succeeded()
                try await client.removeCheckpoint(of: "vm", "kept", waitSeconds: 60).succeeded()
                #expect(try await client.scrub(waitSeconds: 60).succeeded().warnings.isEmpty)
            }
        }

        @Test func roostdLooksByItself() async throws {
            try await withRoostd("scrub-daily", arguments: ["--scrub-interval", "0.0003"]) { roostd in
                let id = try await roostd.create("vm")
                try garble(roostd.configuration(id), block: 3)
                try await eventually("the damage is mended", within: 60) {
                    try await roostd.client.jobs().contains { job in
                        job.kind == "host.scrub" && job.state == .succeeded && job.warnings.contains { $0.contains(id) }
                    }
                }
                #expect(Files.exists("\(roostd.configuration(id)).damaged-1"))
            }
        }
    }
}
