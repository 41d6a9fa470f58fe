package import RoostAPI
package import RoostPrimitives
import Synchronization

/// The list of machines as users see it, kept by the machines themselves, so that listing them asks nobody.
package final class Roster: Sendable {
    private struct Row {
        var summary: VirtualMachineSummary
        var startedAt: Int64?
    }

    private let rows = Mutex<[GUID: Row]>([:])

    package init() {}

    /// Sets the row of a machine; `startedAt` is in seconds since the epoch, nil when the guest does not run.
    package func set(_ summary: VirtualMachineSummary, startedAt: Int64?) {
        rows.withLock { $0[summary.id] = Row(summary: summary, startedAt: startedAt) }
    }

    /// Removes the row of a machine.
    package func remove(_ id: GUID) {
        rows.withLock { _ = $0.removeValue(forKey: id) }
    }

    /// The row of a machine.
    package func summary(_ id: GUID) -> VirtualMachineSummary? {
        rows.withLock { $0[id] }.map(Self.current)
    }

    /// All rows, by name.
    package func list() -> [VirtualMachineSummary] {
        rows.withLock { Array($0.values) }.map(Self.current)
            .sorted { ($0.name, $0.id) < ($1.name, $1.id) }
    }

    private static func current(_ row: Row) -> VirtualMachineSummary {
        var summary = row.summary
        if let startedAt = row.startedAt {
            summary.uptimeSeconds = Int(max(0, secondsSinceEpoch() &- max(0, startedAt)))
        }
        return summary
    }
}
