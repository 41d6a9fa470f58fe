import Foundation
import RoostAPI
import RoostClient
import RoostPrimitives
import Testing

extension Integration {
    /// Requests that meet: whichever comes first, names, configuration and QEMU agree afterwards.
    @Suite(.serialized) struct RaceTests {
        /// Begins a start and returns once it is under way.
        private func beginStart(_ roostd: Roostd) async throws -> Job {
            let job = try await roostd.client.startVirtualMachine("vm")
            try await roostd.wait(for: "vm") { $0.state != .off }
            return job
        }

        @Test func ofTwoRenamesToTheSameNameOneWins() async throws {
            try await withRoostd("renames") { roostd in
                let client = roostd.client
                let ids = [try await roostd.create("first"), try await roostd.create("second")]
                var request = UpdateVirtualMachineRequest()
                for round in 0..<10 {
                    request.name = "wanted-\(round)"
                    let rename = request
                    async let first = refusal { try await client.updateVirtualMachine(ids[0], rename) }
                    async let second = refusal { try await client.updateVirtualMachine(ids[1], rename) }
                    let refusals = try await [first, second]
                    #expect(refusals.compactMap { $0?.code } == [.exists], "round \(round)")
                    let winner = try #require(refusals.firstIndex { $0 == nil })
                    #expect(try await client.virtualMachine("wanted-\(round)").summary.id.uppercased == ids[winner])
                    #expect(try await client.virtualMachines().filter { $0.name == request.name }.count == 1)
                }
                let names = try await client.virtualMachines().map(\.name)
                await roostd.kill9()
                try await roostd.start()
                #expect(try await client.virtualMachines().map(\.name) == names)
                // The names that were given up are free.
                try await roostd.create("first")
                let free = try #require((0..<10).map { "wanted-\($0)" }.first { !names.contains($0) })
                try await roostd.create(free)
            }
        }

        @Test func machineTurnedOffWhileItStartsIsOff() async throws {
            try await withRoostd("off-during-start") { roostd in
                let client = roostd.client
                try await roostd.create("vm")
                var numbers = SeededNumbers(seed: 0x5EED_0004)
                for _ in 0..<12 {
                    let delay = Int.random(in: 0...200, using: &numbers)
                    let start = try await beginStart(roostd)
                    try await Task.sleep(for: .milliseconds(delay))
                    try await client.stopVirtualMachine("vm", .init(turnOff: true), waitSeconds: 30).succeeded()
                    let ended = try await client.job(start.id, waitSeconds: 30)
                    #expect(ended.state != .running, "turned off \(delay) ms after the start")
                    let summary = try await roostd.summary("vm")
                    #expect(summary.state == .off, "turned off \(delay) ms after the start")
                    #expect(summary.reason == nil)
                    #expect(roostd.qemus.isEmpty)
                }
                await roostd.kill9()
                try await roostd.start()
                #expect(try await roostd.state("vm") == .off)
                try await roostd.start("vm")
            }
        }

        @Test func diskAttachedWhileTheMachineStartsIsInTheConfigurationAndInQEMU() async throws {
            try await withRoostd("attach-during-start") { roostd in
                let client = roostd.client
                let id = try await roostd.create("vm")
                let made = try await client.createDisk(.init(path: "late.qcow2", sizeBytes: 1 << 20), waitSeconds: 30)
                let path = try #require(try made.succeeded().result)
                var numbers = SeededNumbers(seed: 0x5EED_0005)
                for _ in 0..<8 {
                    let delay = Int.random(in: 0...150, using: &numbers)
                    let start = try await beginStart(roostd)
                    try await Task.sleep(for: .milliseconds(delay))
                    let drive = try await client.attachDisk(to: "vm", .init(path: path))
                    try await client.job(start.id, waitSeconds: 30).succeeded()
                    let drives = try await client.drives(of: "vm")
                    #expect(drives.compactMap(\.path) == [path], "\(delay) ms after the start")

                    // QEMU's monitor has one client at a time.
                    await roostd.kill9()
                    let blocks = try await Self.blockDevices("\(roostd.runDirectory)/vm/\(id)/qmp.sock")
                    #expect(blocks.contains("\"\(path)\""), "\(delay) ms after the start: \(blocks)")
                    try await roostd.start()
                    try await roostd.turnOff("vm")
                    try await client.detachDisk(from: "vm", location: drive.location)
                }
            }
        }

        /// What a QEMU says that it has of drives.
        private static func blockDevices(_ socket: String) async throws -> String {
            let monitor = try RawSocket(socket)
            monitor.send("{\"execute\": \"qmp_capabilities\"}\n")
            try await monitor.read(until: "\"return\"")
            monitor.send("{\"execute\": \"query-block\", \"id\": \"blocks\"}\n")
            return try await monitor.read(until: "\"id\": \"blocks\"")
        }
    }
}
