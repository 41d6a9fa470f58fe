import Foundation
import RoostAPI
import RoostClient
import RoostPrimitives
import Testing

extension Integration {
    /// Faults at random moments of everything that is done with checkpoints, with a real guest that writes.
    @Suite(.serialized) struct FaultTests {
        private enum Work: CaseIterable { case production, standard, remove, apply, save, verify }
        private enum Fault { case roostdKilled, qemuKilled, cancelled, agentStopped, agentKilled, none }
        private static let faults: [Fault] = [.roostdKilled, .qemuKilled, .cancelled, .agentStopped, .agentKilled]

        private func disk(_ roostd: Roostd) async throws -> String {
            try #require(try await roostd.client.drives(of: "web").first { $0.kind == "disk" }?.path)
        }

        private func begin(_ work: Work, on checkpoint: String?, _ client: RoostClient) async throws -> Job {
            switch work {
            case .remove:
                if let checkpoint { return try await client.removeCheckpoint(of: "web", checkpoint) }
            case .apply:
                if let checkpoint {
                    let request = ApplyCheckpointRequest(turnOff: true, start: true)
                    return try await client.applyCheckpoint(to: "web", checkpoint, request)
                }
            case .verify:
                if let checkpoint { return try await client.verifyCheckpoint(of: "web", checkpoint) }
            case .save: return try await client.saveVirtualMachine("web")
            case .standard: return try await client.createCheckpoint(of: "web", .init(kind: .standard))
            case .production: break
            }
            return try await client.createCheckpoint(of: "web")
        }

        private func inject(_ fault: Fault, _ job: Job, _ console: GuestConsole, _ roostd: Roostd, _ id: String)
            async throws
        {
            switch fault {
            case .roostdKilled: await roostd.kill9()
            case .qemuKilled:
                // A copy that is verified is another one.
                for qemu in roostd.qemus where qemu.uuid == id.lowercased() { kill(qemu.processID, SIGKILL) }
            case .cancelled: _ = try? await roostd.client.cancelJob(job.id)
            case .agentStopped:
                // Frozen or gone, the guest answers as far as it can.
                console.type("killall -STOP qemu-ga; sleep 3; killall -CONT qemu-ga\n")
            // Its next start finds what it had noted of a freeze.
            case .agentKilled: console.type("killall -9 qemu-ga\n")
            case .none: break
            }
        }

        /// Waits until nothing is under way any more, and the guest runs.
        private func settle(_ roostd: Roostd, _ job: Job) async throws -> GuestConsole {
            let client = roostd.client
            try await roostd.startIfNeeded()
            // One that comes to nothing may begin another, which merges what it has left.
            while let other = try await client.jobs().first(where: { $0.state == .running }) {
                let ended = try await client.job(other.id, waitSeconds: 120)
                try #require(ended.state != .running, "\(ended)")
            }
            for _ in 1...5 {
                // A QEMU that was killed may not be known to have ended yet.
                if let console = try? await bringUp(roostd) { return console }
            }
            return try await bringUp(roostd)
        }

        private func bringUp(_ roostd: Roostd) async throws -> GuestConsole {
            let state = try await roostd.wait(for: "web", within: 60) {
                ![.starting, .stopping, .saving].contains($0.state)
            }.state
            switch state {
            case .running: return try await answeringConsole(roostd)
            case .saved:
                try await roostd.start("web")
                return try await answeringConsole(roostd)
            case .off, .crashed: return try await roostd.boot("web")
            default: throw Failure("the machine is \(state)")
            }
        }

        /// The console of a guest that may still be on its way up.
        private func answeringConsole(_ roostd: Roostd) async throws -> GuestConsole {
            let console = try await roostd.console("web")
            try await eventually("the guest answers", within: 90) {
                (try? await console.shell("true", within: 5)) != nil
            }
            return console
        }

        @Test func faultsAtRandomMomentsLeaveNoGuestFrozenAndNoChainBroken() async throws {
            try await withRoostd("faults") { roostd in
                let client = roostd.client
                let id = try await roostd.createGuest("web", generation: 1)
                var console = try await roostd.boot("web")
                try await roostd.waitForAgent("web")
                var numbers = SeededNumbers(seed: 0x5EED_0021)
                // What the disk of each checkpoint, and the guest's own, has to say.
                var kept: [String: String] = [:]
                var durations: [Work: Duration] = [:]
                var outcomes: [String: Int] = [:]
                var (round, injected) = (0, 0)
                while injected < Laboratory.faultRounds {
                    round += 1
                    let mark = "round-\(round)"
                    _ = try await console.shell("echo \(mark) | dd of=/data/mark conv=fsync 2>/dev/null", within: 60)
                    _ = try await console.shell(
                        "dd if=/dev/urandom of=/data/noise bs=64k count=\(round % 40 + 1) conv=fsync 2>/dev/null",
                        within: 60
                    )
                    var work = Work.allCases.randomElement(using: &numbers) ?? .production
                    if kept.count > 6 { work = .remove }
                    let target = kept.keys.sorted().randomElement(using: &numbers)
                    // Each kind of work runs whole once, and shows how long it takes here.
                    let fault = durations[work] == nil ? .none : Self.faults.randomElement(using: &numbers) ?? .none
                    let begun = ContinuousClock.now
                    let job = try await begin(work, on: target, client)
                    if let whole = durations[work] {
                        try await Task.sleep(for: whole * Double.random(in: 0...1, using: &numbers))
                    }
                    // One behind the end of the work is none.
                    let isAtWork = try await client.job(job.id).state == .running
                    try await inject(fault, job, console, roostd, id)
                    if fault != .none, isAtWork { injected += 1 }
                    if fault == .none {
                        let ended = try await client.job(job.id, waitSeconds: 180)
                        #expect(ended.state == .succeeded, "round \(round), \(work): \(ended)")
                        durations[work] = ContinuousClock.now - begun
                    }
                    console = try await settle(roostd, job)
                    outcomes["\(work), \(fault)", default: 0] += 1

                    _ = try await console.shell("echo x > /data/after && sync", within: 40)
                    let rows = try await client.checkpoints(of: "web")
                    let found = Set(rows.map(\.id.uppercased))
                    for new in found.subtracting(kept.keys) { kept[new] = mark }
                    let gone = Set(kept.keys).subtracting(found)
                    #expect(gone.isEmpty || work == .remove && gone == [target], "round \(round): \(gone) went")
                    for one in gone { kept[one] = nil }
                    for row in rows {
                        let detail = try await client.checkpoint(of: "web", row.id.uppercased)
                        #expect(
                            detail.disks.allSatisfy { $0.problem == nil },
                            "round \(round), \(work), \(fault): \(detail)"
                        )
                    }
                    let text = try await console.shell("echo \"is $(cat /data/mark)\"")
                    let back = work == .apply ? target.flatMap { kept[$0] } : nil
                    #expect(
                        text.contains("is \(mark)") || back.map { text.contains("is \($0)") } == true,
                        "round \(round), \(work), \(fault): \(text)"
                    )
                    try await roostd.waitForAgent("web")
                }
                try await roostd.turnOff("web")
                for disk in try await client.disks() { try await tool("qemu-img", "check", "-q", disk.path) }
                #expect(Set(try await client.checkpoints(of: "web").map(\.id.uppercased)) == Set(kept.keys))
                for (checkpoint, mark) in kept.sorted(by: { $0.key < $1.key }) {
                    try await client.applyCheckpoint(to: "web", checkpoint, waitSeconds: 60).succeeded()
                    let volume = try await DataVolume(of: try await disk(roostd))
                    defer { volume.remove() }
                    let problems = try await volume.problems(afterJournal: true)
                    // What a start applies from the journal counts.
                    #expect(problems.isEmpty, "\(problems)")
                    let found = try await volume.text("/mark")
                    #expect(found == mark, "\(checkpoint)")
                }
                for checkpoint in kept.keys.sorted() {
                    try await client.removeCheckpoint(of: "web", checkpoint, waitSeconds: 120).succeeded()
                }
                #expect(try await client.disks().count == 1)
                print(
                    "faults: \(injected) in \(round) rounds: \(outcomes.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" })"
                )
            }
        }
    }
}
