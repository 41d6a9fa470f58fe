import Foundation
import RoostAPI
import RoostClient
import RoostPrimitives
import Testing

extension Integration {
    /// The full Debian 12 guest, for `make soak` only: software emulation takes minutes to boot it.
    @Suite(.serialized) struct DebianGuestTests {
        /// What limits a freeze is none of the agent's service, which ends with all its processes when somebody stops it.
        private func takeCheckpoints(_ roostd: Roostd, _ console: GuestConsole) async throws {
            let client = roostd.client
            _ = try await console.shell(
                "(while [ ! -e /dev/shm/enough ]; do for p in $(pgrep -f roost-freeze-leas[e]); do "
                    + "cat /proc/$p/cgroup >>/dev/shm/groups; done; sleep 0.01; done) 2>/dev/null & true"
            )
            var groups = ""
            for number in 1...5 where !groups.contains("0::/\r\n") {
                let request = CreateCheckpointRequest(name: "c\(number)", kind: .production)
                try await client.createCheckpoint(of: "debian", request, waitSeconds: 120).succeeded()
                let receipt = try await client.checkpoint(of: "debian", "c\(number)").receipt
                #expect(receipt.consistency == .fileSystem && receipt.lease == "guestTimer", "\(receipt)")
                groups = try await console.shell("sort -u /dev/shm/groups; echo end") + "\r\n"
            }
            #expect(groups.contains("0::/\r\n"), "\(groups)")
            _ = try await console.shell("touch /dev/shm/enough")
            for row in try await client.checkpoints(of: "debian") {
                try await client.removeCheckpoint(of: "debian", row.id.uppercased, waitSeconds: 300).succeeded()
            }
        }

        @Test func debianIsSetUpByItsSeedRunsAndShutsDown() async throws {
            try await withRoostd("debian") { roostd in
                let client = roostd.client
                try await roostd.create("debian") { request in
                    request.generation = 2
                    request.memoryMiB = 1024
                    request.processors = 2
                    request.image = Laboratory.debianGuest
                    request.diskSizeBytes = 4 << 30
                    request.switchName = "Default Switch"
                    request.secureBoot = "MicrosoftUEFICertificateAuthority"
                    request.cloudInitUserData = """
                        #cloud-config
                        growpart: {mode: auto, devices: [/]}
                        runcmd:
                          - [sh, -c, "echo seed-$((6 * 7)) >/dev/ttyS0"]

                        """
                }
                try await roostd.start("debian")
                let console = try await roostd.console("debian")
                try await console.wait(for: "seed-42", within: 900)

                let status = try await console.shell("cloud-init status --wait", within: 300)
                #expect(status.contains("status: done"), "\(status)")
                let system = try await console.shell(
                    "systemctl is-system-running --wait; systemctl --failed",
                    within: 300
                )
                #expect(system.hasPrefix("running"), "\(system)")
                #expect(try await console.shell("hostname") == "debian")
                #expect(try await console.shell("mokutil --sb-state").contains("SecureBoot enabled"))
                #expect(try await console.shell("apt --version", within: 60).hasPrefix("apt 2."))
                // The image has 2 GiB, of which the root file system has less.
                let size = try await console.shell("df --output=size -k / | tail -n 1")
                #expect(try #require(Int(size)) > 3 << 20)

                try await roostd.waitForAgent("debian")
                try await eventually("the agent tells the address", within: 60) {
                    try await client.networkAdapters(of: "debian").first?.addresses.contains("10.0.2.15/24") == true
                }
                try await takeCheckpoints(roostd, console)
                try await client.stopVirtualMachine("debian", .init(timeoutSeconds: 300), waitSeconds: 330).succeeded()
                #expect(try await roostd.state("debian") == .off)
            }
        }
    }
}
