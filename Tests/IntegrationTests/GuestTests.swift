import Foundation
import RoostAPI
import RoostClient
import RoostPrimitives
import Testing

extension Integration {
    /// What needs guests that have booted; see ``BootedGuests``.
    @Suite(.serialized, .bootedGuests) struct GuestTests {
        let guests: BootedGuests
        var roostd: Roostd { guests.roostd }
        var client: RoostClient { guests.roostd.client }

        init() throws { guests = try #require(BootedGuests.current) }

        // MARK: - Both generations

        @Test func secureBootGuestSaysItselfThatSecureBootIsOn() async throws {
            let console = try await guests.running(.uefi)
            #expect(try await console.shell("roost-secureboot") == "1")
            #expect(await guests.bootText(.uefi).contains("firmware=uefi secureboot=1"))
            #expect(try await console.shell("nproc") == "2")

            try await roostd.waitForAgent("uefi")
            let detail = try await client.virtualMachine("uefi")
            #expect(detail.notes == "for tests")
            #expect(detail.firmware.secureBootTemplate == "MicrosoftUEFICertificateAuthority")
            #expect(detail.firmware.hasStarted)
            try await eventually("the adapter has its address") {
                try await client.virtualMachine("uefi").networkAdapters.first?.addresses.contains("10.0.2.15/24")
                    == true
            }
            #expect(
                Array(try await client.screenshot("uefi").prefix(8)) == [
                    0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A,
                ]
            )
        }

        @Test func guestOfGenerationOneBootsFromBIOS() async throws {
            let console = try await guests.running(.bios)
            #expect(try await console.shell("test -d /sys/firmware/efi && echo uefi || echo bios") == "bios")
            #expect(Array(try await client.screenshot("bios").prefix(4)) == [0x89, 0x50, 0x4E, 0x47])
        }

        @Test func guestReadsItsCloudInitSeed() async throws {
            let id = try await client.virtualMachine("uefi").summary.id.lowercased
            let console = try await guests.running(.uefi)
            #expect(try await console.shell("hostname") == "uefi")
            #expect(await guests.bootText(.uefi).contains("ROOST-GUEST seed=\(id) hostname=uefi"))
        }

        @Test func memoryOfTheGuestIsAsConfigured() async throws {
            let console = try await guests.running(.bios)
            let text = try await console.shell("awk '/MemTotal/ {print $2}' /proc/meminfo")
            let kibibytes = try #require(Int(text))
            #expect((180 * 1024...256 * 1024).contains(kibibytes))
        }

        // MARK: - Life cycle

        @Test func pausedGuestStandsStillAndGoesOnWhenResumed() async throws {
            let console = try await guests.running(.bios)
            try await client.pauseVirtualMachine("bios", waitSeconds: 30).succeeded()
            #expect(try await roostd.state("bios") == .paused)
            #expect(
                try await refusal { try await client.pauseVirtualMachine("bios", waitSeconds: 30) }?.code
                    == .invalidState
            )
            console.type("echo answ''ered\n")
            await #expect(throws: Failure.self) { try await console.wait(for: "answered", within: 1) }
            try await client.resumeVirtualMachine("bios", waitSeconds: 30).succeeded()
            try await console.wait(for: "answered", within: 30)
            #expect(try await roostd.state("bios") == .running)
        }

        @Test func rebootOfTheGuestLeavesItsQEMURunning() async throws {
            let console = try await guests.running(.bios)
            let id = try await client.virtualMachine("bios").summary.id.uppercased
            let before = try roostd.qemu(id)
            let boots = try await console.text().components(separatedBy: "ROOST-GUEST ready").count - 1
            console.type("reboot\n")
            try await console.waitUntilReady(count: boots + 1)
            #expect(try await roostd.state("bios") == .running)
            #expect(try roostd.qemu(id) == before)
        }

        @Test func gracefulStopGoesThroughTheAgent() async throws {
            _ = try await guests.running(.other)
            try await roostd.waitForAgent("other")
            let qemu = try roostd.qemu(try await client.virtualMachine("other").summary.id.uppercased)
            try await client.stopVirtualMachine("other", waitSeconds: 100).succeeded()
            #expect(try await roostd.state("other") == .off)
            #expect(!qemu.isAlive)
            let refused = try await refusal { try await client.stopVirtualMachine("other", waitSeconds: 10) }
            #expect(refused?.code == .invalidState)
        }

        @Test func gracefulStopPressesThePowerButtonWhenTheAgentIsGone() async throws {
            let console = try await guests.running(.other)
            try await roostd.waitForAgent("other")
            // Init would start it again.
            try await console.shell("mv /sbin/guest-agent /sbin/guest-agent.away; killall qemu-ga")
            try await eventually("the agent is seen to be gone") {
                try await client.virtualMachine("other").runtime?.guestAgentConnected == false
            }
            try await client.stopVirtualMachine("other", waitSeconds: 100).succeeded()
            #expect(try await roostd.state("other") == .off)
        }

        @Test func agentThatNeverAnswersHoldsNothingUp() async throws {
            let console = try await guests.running(.bios)
            try await roostd.waitForAgent("bios")
            try await console.shell("killall -STOP qemu-ga")
            let clock = ContinuousClock()
            let asking = try await clock.measure {
                let detail = try await client.virtualMachine("bios")
                #expect(detail.runtime?.guestAgentConnected == true)
                #expect(detail.networkAdapters.count == 1)
            }
            #expect(asking < .seconds(15))
            #expect(try await console.shell("echo still here") == "still here")
            // Only the power button is left; the agent is given three seconds before it is pressed.
            let stopping = try await clock.measure {
                try await client.stopVirtualMachine("bios", .init(timeoutSeconds: 60), waitSeconds: 70).succeeded()
            }
            #expect(stopping < .seconds(30))
            #expect(try await roostd.state("bios") == .off)
        }

        @Test func guestThatTurnsItselfOffIsOff() async throws {
            let console = try await guests.running(.other)
            let id = try await client.virtualMachine("other").summary.id.uppercased
            let qemu = try roostd.qemu(id)
            console.type("poweroff\n")
            let summary = try await roostd.wait(for: "other", .off, within: 60)
            #expect(summary.reason == nil)
            try await eventually("its QEMU has ended") { !qemu.isAlive }
        }

        @Test func restartGivesTheGuestANewQEMU() async throws {
            _ = try await guests.running(.other)
            try await roostd.waitForAgent("other")
            let id = try await client.virtualMachine("other").summary.id.uppercased
            let before = try roostd.qemu(id)
            try await client.restartVirtualMachine("other", waitSeconds: 100).succeeded()
            #expect(try await roostd.state("other") == .running)
            #expect(!before.isAlive)
            #expect(try roostd.qemu(id) != before)
        }

        @Test func guestThatIgnoresTheRequestGoesOnRunningAfterTheTimeOut() async throws {
            try await roostd.create("deaf")
            try await roostd.start("deaf")
            let refused = try await refusal {
                try await client.stopVirtualMachine("deaf", .init(timeoutSeconds: 1), waitSeconds: 30)
            }
            #expect(refused?.code == .timeout)
            #expect(try await roostd.state("deaf") == .running)
            try await roostd.turnOff("deaf")
            try await client.removeVirtualMachine("deaf", waitSeconds: 30).succeeded()
        }
    }
}
