import Foundation
import RoostAPI
import RoostClient
import Testing

extension Integration {
    /// The full Debian 12 guest, for `make soak` only: software emulation takes minutes to boot it.
    @Suite(.serialized) struct DebianGuestTests {
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
                try await client.stopVirtualMachine("debian", .init(timeoutSeconds: 300), waitSeconds: 330).succeeded()
                #expect(try await roostd.state("debian") == .off)
            }
        }
    }
}
