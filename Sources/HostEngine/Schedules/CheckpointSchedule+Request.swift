import RoostAPI
import VMConfiguration

extension VirtualMachineConfiguration {
    /// Changes when the machine takes checkpoints by itself.
    ///
    /// - Throws: `APIError` `.invalidArgument`.
    mutating func change(_ wanted: CheckpointScheduleRequest) throws {
        if wanted.everyMinutes == 0 { return checkpointSchedule = nil }
        guard let minutes = wanted.everyMinutes ?? checkpointSchedule?.intervalInMinutes else {
            throw APIError(.invalidArgument, "\(name) has no schedule: say too how often it is to take checkpoints")
        }
        let kept = wanted.keep ?? checkpointSchedule?.keptCount ?? 12
        guard CheckpointSchedule.intervals.contains(minutes) else {
            throw APIError(
                .invalidArgument,
                "a checkpoint every \(minutes) minutes is not within \(Self.text(CheckpointSchedule.intervals)) minutes"
            )
        }
        guard CheckpointSchedule.counts.contains(kept) else {
            throw APIError(
                .invalidArgument,
                "keeping \(kept) automatic checkpoints is not within \(Self.text(CheckpointSchedule.counts))"
            )
        }
        let isSame = checkpointSchedule?.intervalInMinutes == minutes
        let since = isSame ? checkpointSchedule?.since : nil
        checkpointSchedule = CheckpointSchedule(
            intervalInMinutes: minutes,
            keptCount: kept,
            since: since ?? secondsSinceEpoch()
        )
    }

    /// Refuses a schedule of a machine that takes no checkpoints.
    ///
    /// - Throws: `APIError` `.invalidState`.
    func checkSchedule() throws {
        guard checkpointSchedule != nil, checkpointType == .disabled else { return }
        throw APIError(
            .invalidState,
            "\(name) cannot take checkpoints by itself while its checkpoint type is Disabled: 'roost vm set "
                + "--checkpoint-type Production' lets it, '--checkpoint-every off' ends the schedule"
        )
    }

    private static func text(_ range: ClosedRange<Int>) -> String { "\(range.lowerBound) to \(range.upperBound)" }
}
