import ConfigStore
import RoostAPI
import VMConfiguration

extension VirtualMachine {
    /// Writes the machine's row into the host's list.
    package func updateRoster() {
        cycle.name = name
        host.schedules.set(id, summary?.checkpointSchedule)
        host.roster.set(
            VirtualMachineSummary(
                id: id,
                name: name,
                state: cycle.shownState,
                generation: summary?.generation.rawValue,
                version: summary?.version.description,
                memoryMiB: summary?.memoryStartupMiB,
                processors: summary?.processorCount,
                reason: cycle.shownReason,
                configurationFile: cycle.shownState == .broken ? path : nil
            ),
            startedAt: machine == nil ? nil : record.startedAt
        )
    }
}
