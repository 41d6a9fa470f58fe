import Foundation
import RoostAPI
import RoostClient
import Testing

extension Integration {
    @Suite(.serialized) struct VersionTests {
        private func xml(_ roostd: Roostd, _ id: String) -> String { "\(roostd.virtualMachines)/\(id).xml" }

        private func version(_ roostd: Roostd, _ vm: String) async throws -> String? {
            try await roostd.summary(vm).version
        }

        @Test func machineOfVersion5RunsChangesAndIsFoundAgain() async throws {
            try await withRoostd("version-5") { roostd in
                let client = roostd.client
                let id = try await roostd.create("old") { $0.version = "5.0" }
                #expect(Array(try #require(Files.read(xml(roostd, id))).prefix(2)) == [0xFF, 0xFE])
                #expect(Files.read(roostd.configuration(id)) == nil)
                try await roostd.start("old")
                #expect(try await client.virtualMachine("old").runtime?.machineType == "pc-i440fx-5.2")
                var change = UpdateVirtualMachineRequest()
                change.notes = "seen by 2012 R2"
                _ = try await client.updateVirtualMachine("old", change)
                await roostd.kill9()
                try await roostd.start()
                #expect(try await roostd.state("old") == .running)
                #expect(try await client.virtualMachine("old").notes == "seen by 2012 R2")
                change.notes = "what XML cannot carry: \u{1}"
                #expect(try await refusal { try await client.updateVirtualMachine("old", change) } != nil)
                #expect(try await client.virtualMachine("old").notes == "seen by 2012 R2")
            }
        }

        @Test func newerTemplateIsRefusedWithTheVersionItNeeds() async throws {
            try await withRoostd("version-5-template") { roostd in
                var request = CreateVirtualMachineRequest(name: "linux")
                request.version = "5.0"
                request.secureBoot = "MicrosoftUEFICertificateAuthority"
                let refused = try await roostd.client.createVirtualMachine(request, waitSeconds: 30).error
                #expect(refused?.code == .unsupported && refused?.message.contains("6.0") == true)
                #expect(try await roostd.client.virtualMachines().isEmpty)
            }
        }

        @Test func upgradeIsOneWayKeepsTheOldFileAndPinsTheNewHardware() async throws {
            try await withRoostd("upgrade") { roostd in
                let client = roostd.client
                let id = try await roostd.create("vm") { $0.version = "5.0" }
                try await roostd.start("vm")
                let busy = try await refusal { try await client.updateVersion(of: "vm", .init()) }
                #expect(busy?.code == .invalidState && busy?.message.contains("stop it first") == true)
                try await roostd.turnOff("vm")
                let old = try #require(Files.read(xml(roostd, id)))

                let plan = try await client.updateVersion(of: "vm", .init(dryRun: true))
                #expect(!plan.isDone && plan.blockers.isEmpty && plan.from == "5.0" && !plan.changes.isEmpty)
                #expect(Files.read(xml(roostd, id)) == old)

                let done = try await client.updateVersion(of: "vm", .init(version: "7.1"))
                #expect(done.isDone && done.to == "7.1" && !done.changes.isEmpty)
                #expect(Files.read(xml(roostd, id)) == nil)
                #expect(try await version(roostd, "vm") == "7.1")
                try await roostd.start("vm")
                #expect(try await client.virtualMachine("vm").runtime?.machineType == "pc-i440fx-7.2")
                try await roostd.turnOff("vm")

                #expect(try await client.updateVersion(of: "vm", .init()).to == "8.0")
                for wanted in ["8.0", "5.0", "9.9", "x"] {
                    #expect(
                        try await refusal { try await client.updateVersion(of: "vm", .init(version: wanted)) } != nil
                    )
                }
                let history = try await client.versionHistory(of: "vm")
                #expect(history.map(\.version) == ["5.0", "7.1", "8.0"])
                #expect(history.map(\.isCurrent) == [false, false, true])
                #expect(Files.read(history[0].path) == old)
                _ = try await roostd.terminate()
                try await otherReaderReads([
                    history[1].path, history[2].path, "\(roostd.virtualMachines)/\(id).vmrs",
                    "\(roostd.stateDirectory)/host.vmcx",
                ])
                try await roostd.start()
                try await client.removeVirtualMachine("vm", waitSeconds: 30).succeeded()
                #expect(try FileManager.default.contentsOfDirectory(atPath: roostd.virtualMachines).isEmpty)
            }
        }

        @Test func upgradeThatWasCutBetweenItsTwoFilesIsCompleted() async throws {
            try await withRoostd("upgrade-cut") { roostd in
                let id = try await roostd.create("vm") { $0.version = "5.0" }
                let old = try #require(Files.read(xml(roostd, id)))
                _ = try await roostd.client.updateVersion(of: "vm", .init())
                // As it was before the last step: the old file is still there.
                await roostd.kill9()
                try Files.write(old, xml(roostd, id))
                try await roostd.start()
                #expect(try await roostd.client.virtualMachines().map(\.version) == ["8.0"])
                #expect(Files.read(xml(roostd, id)) == nil)
                let history = try await roostd.client.versionHistory(of: "vm")
                #expect(history.map(\.version) == ["5.0", "8.0"])
                // What was sealed is still named when the configuration has gone behind roostd's back.
                try FileManager.default.removeItem(atPath: history[1].path)
                let left = try await roostd.client.versionHistory(of: "vm")
                #expect(left.map(\.version) == ["5.0", nil] && left.map(\.path) == history.map(\.path))
            }
        }

        @Test func guestOfVersion5BootsIsUpgradedAndBootsAgain() async throws {
            try await withRoostd("upgrade-guest") { roostd in
                try await roostd.createGuest("guest", generation: 2, secureBoot: "off") { $0.version = "5.0" }
                for (wanted, hardware) in [("5.0", "pc-q35-5.2"), ("8.0", "pc-q35-7.2")] {
                    #expect(try await version(roostd, "guest") == wanted)
                    try await roostd.start("guest")
                    #expect(try await roostd.client.virtualMachine("guest").runtime?.machineType == hardware)
                    _ = try await roostd.console("guest").wait(for: "ROOST-GUEST ready", within: 120)
                    if wanted == "5.0" { try await keepsMemoryAlone(roostd) }
                    try await roostd.turnOff("guest")
                    if wanted == "5.0" { try await memoryBlocksTheUpgrade(roostd) }
                    if wanted == "5.0" { _ = try await roostd.client.updateVersion(of: "guest", .init()) }
                }
            }
        }

        /// Of version 5.0 a guest that runs gets standard checkpoints only.
        private func keepsMemoryAlone(_ roostd: Roostd) async throws {
            let client = roostd.client
            let refused = try await client.createCheckpoint(of: "guest", .init(kind: .production), waitSeconds: 60)
            #expect(refused.error?.code == .unsupported, "\(refused)")
            #expect(refused.error?.message.contains("6.0") == true, "\(refused)")
            try await client.createCheckpoint(of: "guest", .init(name: "kept"), waitSeconds: 120).succeeded()
            let kept = try await client.checkpoint(of: "guest", "kept")
            #expect(kept.summary.kind == .standard && kept.receipt.consistency == .memory, "\(kept)")
            #expect(kept.configurationFile.hasSuffix(".xml"))
        }

        private func memoryBlocksTheUpgrade(_ roostd: Roostd) async throws {
            let client = roostd.client
            let refused = try await refusal { try await client.updateVersion(of: "guest", .init()) }
            #expect(refused?.message.contains("\"kept\" keeps the memory") == true, "\(refused as Any)")
            #expect(try await version(roostd, "guest") == "5.0")
            try await client.removeCheckpoint(of: "guest", "kept", waitSeconds: 60).succeeded()
        }

        @Test func hostSaysWhichVersionsItRunsAndWhatTheyBring() async throws {
            try await withRoostd("versions") { roostd in
                let versions = try await roostd.client.versions()
                #expect(versions.map(\.version) == ["5.0", "6.0", "6.2", "7.0", "7.1", "8.0", "9.0"])
                #expect(versions.filter(\.isDefault).count == 1)
                #expect(versions[0].fileFormat == "xml" && versions[1].fileFormat == "vmcx")
                #expect(versions[1].brings.contains("production checkpoints"))
            }
        }
    }
}
