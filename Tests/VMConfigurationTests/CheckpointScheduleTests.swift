import HyperVStorage
import Testing

@testable import VMConfiguration

@Suite struct CheckpointScheduleTests {
    private let hourly = CheckpointSchedule(intervalInMinutes: 60, keptCount: 3, since: 10_000)

    @Test func countsFromTheLastOneOrFromItsBeginning() {
        #expect(hourly.due(after: nil) == 13_600)
        #expect(hourly.due(after: 20_000) == 23_600)
        // One from before the schedule was set says nothing.
        #expect(hourly.due(after: 5_000) == 13_600)
    }

    @Test(arguments: [(13_600, 0), (17_199, 0), (17_200, 1), (24_400, 3), (10, 0)] as [(Int64, Int)])
    func thoseThatAWholeIntervalHasPassedOverAreMissed(now: Int64, count: Int) {
        #expect(hourly.missedCount(due: 13_600, now: now) == count)
    }

    @Test func lastDueIsTheSameUntilTheNextOneIs() {
        #expect(hourly.lastDue(after: nil, at: 13_600) == 13_600)
        #expect(hourly.lastDue(after: nil, at: 17_199) == 13_600)
        #expect(hourly.lastDue(after: nil, at: 17_200) == 17_200)
    }

    @Test func failuresAreTriedAgainEverMoreSeldom() {
        #expect((1...5).map { hourly.next(after: 0, failures: $0) } == [600, 1200, 2400, 3600, 3600])
        #expect(hourly.next(after: 0, failures: 0) == 3600)
        #expect(hourly.next(after: 0, failures: .max) == 3600)
    }

    @Test func scheduleIsKeptAndNonsenseIsNone() throws {
        var machine = try VirtualMachineConfiguration.new(NewVirtualMachine(name: "web", version: .v8_0))
        let before = machine.root
        machine.checkpointSchedule = hourly
        #expect(machine.checkpointSchedule == hourly)
        #expect(ConfigurationSummary(machine).checkpointSchedule == hourly)
        for (name, value) in [("interval", 0), ("kept", 51), ("interval", 1 << 40)] as [(String, Int64)] {
            var bad = machine
            bad.root.assign(.int(value), at: "roost/checkpoint_schedule/\(name)")
            #expect(bad.checkpointSchedule == nil, "\(name) \(value)")
        }
        var far = machine
        far.root.assign(.int(.max), at: "roost/checkpoint_schedule/since")
        #expect(far.checkpointSchedule?.due(after: nil) ?? 0 > 0)
        machine.checkpointSchedule = nil
        #expect(machine.root["roost"]?["checkpoint_schedule"] == nil)
        #expect(
            machine.checkpointSchedule == nil
                && before["roost"]?.children ?? [] == machine.root["roost"]?.children ?? []
        )
    }
}
