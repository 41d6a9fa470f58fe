import Foundation
import RoostAPI
import RoostClient
import RoostPrimitives
import Testing

extension Integration.GuestTests {
    @Test func killedRoostdLeavesThreeGuestsRunningAndTheNextFindsThem() async throws {
        var before: [(name: String, id: String, qemu: QEMUProcess, uptime: Double)] = []
        for guest in BootedGuests.Guest.allCases {
            let console = try await guests.running(guest)
            let id = try await client.virtualMachine(guest.rawValue).summary.id.uppercased
            before.append((guest.rawValue, id, try roostd.qemu(id), try await console.uptime()))
        }
        let clock = ContinuousClock.now
        await roostd.kill9()
        for guest in before { #expect(guest.qemu.isAlive) }
        try await roostd.start()

        let list = try await client.virtualMachines()
        #expect(list.map(\.name) == before.map(\.name).sorted())
        for guest in before {
            let detail = try await client.virtualMachine(guest.name)
            #expect(detail.summary.state == .running)
            #expect(detail.runtime.map { Int32($0.processID) } == guest.qemu.processID)
            #expect(try roostd.qemu(guest.id) == guest.qemu)
            let console = try await roostd.console(guest.name)
            let passed = (ContinuousClock.now - clock) / .seconds(1)
            let uptime = try await console.uptime()
            // The guest's clock went on: it neither restarted nor stood still.
            #expect(uptime >= guest.uptime + passed * 0.5)
        }
        #expect(roostd.qemus.count == 3)
        // The agent and the graceful stop still work through the new connections.
        try await roostd.waitForAgent("other")
        try await client.stopVirtualMachine("other", waitSeconds: 100).succeeded()
    }

    @Test func whatHappensToGuestsWhileNoRoostdRunsIsSeenByTheNext() async throws {
        for guest in BootedGuests.Guest.allCases { _ = try await guests.running(guest) }
        try await client.pauseVirtualMachine("uefi", waitSeconds: 30).succeeded()
        let bios = try await client.virtualMachine("bios").summary.id.uppercased
        let other = try await client.virtualMachine("other").summary.id.uppercased
        let (killed, turnedOff) = (try roostd.qemu(bios), try roostd.qemu(other))
        await roostd.kill9()

        kill(killed.processID, SIGKILL)
        try await turnOffFromInside(other)
        try await eventually("the killed QEMU is gone") { !killed.isAlive }
        try await roostd.start()

        let paused = try await roostd.summary("uefi")
        #expect(paused.state == .paused)
        let crashed = try await roostd.summary("bios")
        #expect(crashed.state == .crashed)
        #expect(crashed.reason?.contains("while roostd was not running") == true)
        let off = try await roostd.wait(for: "other", .off)
        #expect(off.reason == nil)
        #expect(!turnedOff.isAlive)
        #expect(roostd.qemus.count == 1)

        // A second look changes nothing.
        await roostd.kill9()
        try await roostd.start()
        #expect(try await roostd.state("uefi") == .paused)
        #expect(try await roostd.summary("bios") == crashed)
        #expect(try await roostd.state("other") == .off)
        try await client.resumeVirtualMachine("uefi", waitSeconds: 30).succeeded()
        _ = try await guests.running(.uefi)
    }

    /// Types `poweroff` at a guest's serial port while no roostd runs, and waits until QEMU says that it is down.
    private func turnOffFromInside(_ id: String) async throws {
        let folder = "\(roostd.runDirectory)/vm/\(id)"
        let monitor = try RawSocket("\(folder)/qmp.sock")
        monitor.send("{\"execute\": \"qmp_capabilities\"}\n")
        try await monitor.read(until: "\"return\"")
        let serial = try RawSocket("\(folder)/serial.sock")
        serial.send("poweroff\n")
        try await monitor.read(until: "\"SHUTDOWN\"", within: 60)
    }
}
