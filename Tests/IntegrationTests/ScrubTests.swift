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
