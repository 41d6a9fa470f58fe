import Foundation
import RoostAPI
import RoostClient
import RoostPrimitives
import Testing

extension Integration {
    /// roostd or QEMU killed at bad moments, with machines that need no guest.
    @Suite(.serialized) struct CrashTests {
        /// How many random moments; each kind has as many.
        private static let moments = 20

        /// After roostd was killed: the machine is off, or runs with exactly one QEMU, and can be used.
        private func checkSettled(_ roostd: Roostd, _ id: String, _ what: Comment) async throws {
            let summary = try await roostd.summary("vm")
            let own = roostd.qemus
            switch summary.state {
            case .off:
                #expect(own.isEmpty, what)
                try await roostd.start("vm")
            case .running:
                #expect(own.map(\.uuid) == [id.lowercased()], what)
                #expect(
                    try await roostd.client.virtualMachine("vm").runtime?.processID
                        == own.first.map { Int($0.processID) }
                )
            default:
                Issue.record("\(what): \(summary.state.rawValue) \(summary.reason ?? "")")
                try await roostd.turnOff("vm")
                try await roostd.start("vm")
            }
            #expect(try await roostd.state("vm") == .running, what)
            #expect(roostd.qemus.count == 1, what)
        }

        @Test func roostdKilledDuringStartLeavesTheMachineOffOrRunning() async throws {
            try await withRoostd("killed-during-start") { roostd in
                let id = try await roostd.create("vm")
                let seed: UInt64 = 0x5EED_0001
                var numbers = SeededNumbers(seed: seed)
                var seen: Set<VirtualMachineState> = []
                for moment in 0..<Self.moments {
                    let delay = Int.random(in: 0...250, using: &numbers)
                    _ = try await roostd.client.startVirtualMachine("vm")
                    try await Task.sleep(for: .milliseconds(delay))
                    await roostd.kill9()
                    try await roostd.start()
                    seen.insert(try await roostd.state("vm"))
                    try await checkSettled(roostd, id, "seed \(seed), moment \(moment), \(delay) ms after the start")
                    try await roostd.turnOff("vm")
                    #expect(roostd.qemus.isEmpty)
                }
                // Otherwise the moments were all too early or all too late.
                #expect(seen == [.off, .running])
            }
        }

        @Test(arguments: [true, false]) func roostdKilledDuringStopLeavesTheMachineOffOrRunning(turnOff: Bool)
            async throws
        {
            try await withRoostd("killed-during-stop-\(turnOff)") { roostd in
                let id = try await roostd.create("vm")
                try await roostd.start("vm")
                let seed: UInt64 = 0x5EED_0002
                var numbers = SeededNumbers(seed: seed)
                for moment in 0..<Self.moments / 2 {
                    let delay = Int.random(in: 0...60, using: &numbers)
                    _ = try await roostd.client.stopVirtualMachine("vm", .init(turnOff: turnOff))
                    try await Task.sleep(for: .milliseconds(delay))
                    await roostd.kill9()
                    try await roostd.start()
                    // A turning off that an earlier roostd began is brought to its end.
                    try await roostd.wait(for: "vm") { $0.state != .stopping }
                    try await checkSettled(roostd, id, "seed \(seed), moment \(moment), \(delay) ms after the stop")
                }
            }
        }

        @Test func qemuKilledAtAnyMomentOfTheStartMakesAClearFailure() async throws {
            try await withRoostd("qemu-killed-during-start") { roostd in
                let id = try await roostd.create("vm")
                var numbers = SeededNumbers(seed: 0x5EED_0003)
                for _ in 0..<8 {
                    let job = try await roostd.client.startVirtualMachine("vm")
                    try await eventually("a QEMU appears") { !roostd.qemus.isEmpty }
                    let victim = try roostd.qemu(id)
                    try await Task.sleep(for: .milliseconds(Int.random(in: 0...150, using: &numbers)))
                    kill(victim.processID, SIGKILL)
                    let ended = try await roostd.client.job(job.id, waitSeconds: 40)
                    let summary = try await roostd.wait(for: "vm") { $0.state == .off || $0.state == .crashed }
                    if ended.state == .failed {
                        #expect(ended.error?.code == .engineFailure)
                        #expect(ended.error?.description.contains("vm") == true)
                    } else {
                        #expect(summary.state == .crashed)
                    }
                    if summary.state == .crashed { #expect(summary.reason?.contains("signal 9") == true) }
                    #expect(roostd.qemus.isEmpty)
                }
                try await roostd.start("vm")
            }
        }

        @Test func guestWhoseConfigurationBecomesUnreadableIsKeptAndCanBeTurnedOff() async throws {
            try await withRoostd("unreadable-while-running") { roostd in
                let client = roostd.client
                let id = try await roostd.create("vm")
                try await roostd.start("vm")
                let qemu = try roostd.qemu(id)
                let bytes = try #require(Files.read(roostd.configuration(id)))
                let copy = "\(roostd.stateDirectory)/Configuration Copies/\(id).vmcx.copy"
                let copyBytes = try #require(Files.read(copy))
                await roostd.kill9()
                for path in [roostd.configuration(id), copy] {
                    try Files.write("nothing that anybody could read", path)
                }
                try await roostd.start()

                let broken = try #require(try await client.virtualMachines().first)
                #expect(broken.state == .broken)
                #expect(broken.reason?.contains("its guest, started before, is running") == true)
                #expect(qemu.isAlive)
                let started = try await refusal { try await client.startVirtualMachine(id, waitSeconds: 30) }
                #expect(started?.code == .corrupt)
                let refused = try await refusal { try await client.removeVirtualMachine(id, waitSeconds: 30) }
                #expect(refused?.code == .invalidState)
                // Its guest can be paused and resumed as ever.
                try await client.pauseVirtualMachine(id, waitSeconds: 30).succeeded()
                try await client.resumeVirtualMachine(id, waitSeconds: 30).succeeded()
                try await client.stopVirtualMachine(id, .init(turnOff: true), waitSeconds: 30).succeeded()
                #expect(!qemu.isAlive)
                #expect(try await client.virtualMachines().first?.state == .broken)

                // With its bytes back the machine is as it was, but off.
                await roostd.kill9()
                try Files.write(bytes, roostd.configuration(id))
                try Files.write(copyBytes, copy)
                try await roostd.start()
                #expect(try await roostd.state("vm") != .running)
                try await roostd.start("vm")
            }
        }

        @Test func damagedConfigurationComesBackFromItsSecondCopyWhileTheGuestRuns() async throws {
            try await withRoostd("restored-while-running") { roostd in
                let id = try await roostd.create("vm")
                try await roostd.start("vm")
                let qemu = try roostd.qemu(id)
                let before = try await roostd.client.virtualMachine(id)
                await roostd.kill9()
                try Files.write("nothing that anybody could read", roostd.configuration(id))
                try await roostd.start()

                #expect(try await roostd.state("vm") == .running)
                #expect(qemu.isAlive)
                let after = try await roostd.client.virtualMachine(id)
                #expect(after.notes == before.notes && after.drives == before.drives)
                let events = roostd.client.events(since: 0)
                var kinds: [String] = []
                for try await event in events {
                    kinds.append(event.kind)
                    if event.kind == "storage.restored" {
                        #expect(event.message.contains(".damaged-") && event.virtualMachine?.uppercased == id)
                        break
                    }
                }
                #expect(kinds.contains("storage.restored"))
            }
        }

        @Test func killedQEMUIsACrashThatSaysWhyAndTouchesNoOther() async throws {
            try await withRoostd("qemu-killed") { roostd in
                let client = roostd.client
                let id = try await roostd.create("vm")
                let bystander = try await roostd.create("bystander")
                for vm in ["vm", "bystander"] { try await roostd.start(vm) }
                let untouched = try roostd.qemu(bystander)

                kill(try roostd.qemu(id).processID, SIGKILL)
                let crashed = try await roostd.wait(for: "vm", .crashed)
                #expect(crashed.reason?.contains("signal 9") == true)
                // It stays crashed through a restart of roostd, can be started, and `stop` acknowledges a crash.
                await roostd.kill9()
                try await roostd.start()
                let again = try await roostd.summary("vm")
                #expect(again.state == .crashed)
                #expect(again.reason?.contains("QEMU ended") == true)
                try await roostd.start("vm")
                kill(try roostd.qemu(id).processID, SIGKILL)
                try await roostd.wait(for: "vm", .crashed)
                try await client.stopVirtualMachine("vm", waitSeconds: 30).succeeded()
                let off = try await roostd.summary("vm")
                #expect(off.state == .off)
                #expect(off.reason == nil)
                #expect(try roostd.qemu(bystander) == untouched)
                // An acknowledged crash stays acknowledged.
                await roostd.kill9()
                try await roostd.start()
                #expect(try await roostd.state("vm") == .off)
            }
        }

        @Test func stopAndStartAtTheSameTimeEndInOneState() async throws {
            try await withRoostd("race") { roostd in
                try await roostd.create("vm")
                for _ in 0..<5 {
                    async let first = roostd.client.startVirtualMachine("vm", waitSeconds: 30)
                    async let second = roostd.client.startVirtualMachine("vm", waitSeconds: 30)
                    async let third = roostd.client.stopVirtualMachine("vm", .init(turnOff: true), waitSeconds: 30)
                    let jobs = try await [first, second, third]
                    #expect(jobs.allSatisfy { $0.state != .running })
                    let state = try await roostd.wait(for: "vm") { $0.state == .off || $0.state == .running }.state
                    try await eventually("the QEMUs match the state") {
                        roostd.qemus.count == (state == .running ? 1 : 0)
                    }
                    if state == .running { try await roostd.turnOff("vm") }
                }
            }
        }

        @Test func guestsRunOnWhenRoostdEndsOrderly() async throws {
            try await withRoostd("orderly-end") { roostd in
                let id = try await roostd.create("vm")
                try await roostd.start("vm")
                let qemu = try roostd.qemu(id)
                #expect(try await roostd.terminate() == .exited(0))
                #expect(qemu.isAlive)
                #expect(!Files.exists("\(roostd.runDirectory)/roost.sock"))
                try await roostd.start()
                #expect(try roostd.qemu(id) == qemu)
                #expect(try await roostd.state("vm") == .running)
            }
        }

        @Test func startThatWaitsForItsDelayOutlivesAKilledRoostd() async throws {
            let roostd = try Roostd("delayed-start")
            do {
                try await roostd.start(["--boot-id", "first"])
                try await roostd.create("vm")
                var change = UpdateVirtualMachineRequest()
                change.automaticStartAction = .start
                change.automaticStartDelaySeconds = 2
                _ = try await roostd.client.updateVirtualMachine("vm", change)
                await roostd.kill9()
                try await roostd.start(["--boot-id", "second"])
                #expect(try await roostd.state("vm") == .off)
                await roostd.kill9()
                try await roostd.start(["--boot-id", "second"])
                try await roostd.wait(for: "vm", .running)
                // Done once: what is turned off stays off.
                try await roostd.turnOff("vm")
                await roostd.kill9()
                try await roostd.start(["--boot-id", "second"])
                #expect(try await roostd.client.jobs().first { $0.kind == "vm.start" }?.state == .succeeded)
                #expect(try await roostd.state("vm") == .off)
            } catch {
                await roostd.tearDown()
                throw error
            }
            await roostd.tearDown()
        }

        @Test func machinesStartByThemselvesAfterARestartOfTheHostAsTheirActionSays() async throws {
            let roostd = try Roostd("automatic-start")
            do {
                try await roostd.start(["--boot-id", "first"])
                var actions: [String: AutomaticStartAction] = [:]
                actions["nothing"] = .nothing
                actions["if-running"] = .startIfRunning
                actions["if-running-but-off"] = .startIfRunning
                actions["always"] = .start
                for (name, action) in actions {
                    try await roostd.create(name)
                    var change = UpdateVirtualMachineRequest()
                    change.automaticStartAction = action
                    change.automaticStopAction = name == "if-running" ? .save : .turnOff
                    _ = try await roostd.client.updateVirtualMachine(name, change)
                }
                for name in ["nothing", "if-running"] { try await roostd.start(name) }
                // A restart of roostd alone starts nothing.
                await roostd.kill9()
                try await roostd.start(["--boot-id", "first"])
                #expect(try await roostd.state("always") == .off)

                await roostd.kill9()
                for qemu in roostd.qemus { kill(qemu.processID, SIGKILL) }
                try await eventually("the host is down") { roostd.qemus.isEmpty }
                try await roostd.start(["--boot-id", "second"])
                for name in ["if-running", "always"] { try await roostd.wait(for: name, .running) }
                let off = try await roostd.client.virtualMachines().filter { $0.state != .running }
                #expect(off.map(\.name) == ["if-running-but-off", "nothing"])
                #expect(off.allSatisfy { $0.state == .off && $0.reason == nil })

                // What ran when the host was shut down in order starts with it again.
                try await roostd.client.stopGuests(waitSeconds: 60).succeeded()
                #expect(roostd.qemus.isEmpty)
                #expect(try await roostd.state("if-running") == .saved)
                await roostd.kill9()
                try await roostd.start(["--boot-id", "third"])
                for name in ["if-running", "always"] { try await roostd.wait(for: name, .running) }
                #expect(try await roostd.state("if-running-but-off") == .off)
            } catch {
                await roostd.tearDown()
                throw error
            }
            await roostd.tearDown()
        }
    }
}
