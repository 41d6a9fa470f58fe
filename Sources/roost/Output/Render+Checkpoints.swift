import RoostAPI
import RoostPrimitives

extension Render {
    /// The tree of a machine's checkpoints.
    static func checkpoints(_ rows: [CheckpointSummary]) -> Table {
        var table = Table([
            .init(""), .init("NAME"), .init("KIND"), .init("CONSISTENT"), .init("TAKEN"), .init("ID"),
        ])
        for row in rows {
            table.append([
                row.isCurrent ? "*" : "", String(repeating: "  ", count: row.depth) + row.name,
                row.kind.rawValue + (row.isAutomatic ? ", automatic" : ""),
                row.consistency.rawValue, row.created, row.id.uppercased,
            ])
        }
        return table
    }

    /// A checkpoint in full, its receipt among it.
    static func checkpoint(_ checkpoint: CheckpointDetail) -> FieldList {
        let (summary, receipt) = (checkpoint.summary, checkpoint.receipt)
        var fields = FieldList()
        fields.append("Name", summary.name)
        fields.append("ID", summary.id.uppercased)
        fields.append("Kind", summary.kind.rawValue + (summary.isAutomatic ? ", taken by the schedule" : ""))
        fields.append("Taken", summary.created)
        fields.append("Came from", summary.parent?.uppercased)
        fields.append("The machine is at it", summary.isCurrent ? "yes" : "no")
        fields.append("Version", checkpoint.version)
        fields.append("Memory", memoryText(checkpoint.memoryMiB))
        fields.append("Processors", String(checkpoint.processors))
        fields.append("Notes", checkpoint.notes)
        fields.append("Consistent", receipt.consistency.rawValue + (receipt.reason.map { " (\($0))" } ?? ""))
        fields.append(
            "File systems",
            receipt.fileSystems.map { system in
                "\(system.mountPoint) (\(system.type)): " + (system.skipped.map { "not frozen, \($0)" } ?? "frozen")
            }.joined(separator: "\n")
        )
        fields.append("The instant held writes up for", receipt.stalledMicroseconds.map(milliseconds))
        fields.append("Freeze", receipt.freezeMicroseconds.map(milliseconds))
        fields.append("Disks branched in", receipt.transactionMicroseconds.map(milliseconds))
        fields.append("Freeze ended at the latest by", receipt.lease)
        fields.append("Guest agent", receipt.agentVersion)
        fields.append("Memory kept", receipt.memoryBytes.map { sizeText(UInt64(clamping: $0)) })
        fields.append("Guest stood still", receipt.pauseMicroseconds.map(milliseconds))
        fields.append(
            "Verified",
            receipt.verification.map { found in
                "\(found.time): \(found.passed ? "passed" : "did not pass")"
                    + (found.bootMilliseconds.map { ", up in \($0 / 1000).\($0 / 100 % 10) s" } ?? "")
                    + "; \(found.detail)"
            }
        )
        fields.append("UEFI variables", receipt.hasVariables ? "kept" : "none")
        fields.append(
            "Disks",
            checkpoint.disks.map { disk in
                "\(disk.path) (\(sizeText(disk.sizeBytes)))" + (disk.problem.map { ": \($0)" } ?? "")
            }.joined(separator: "\n")
        )
        fields.append("File", checkpoint.configurationFile)
        return fields
    }

    private static func milliseconds(_ microseconds: Int64) -> String {
        "\(microseconds / 1000).\(microseconds / 100 % 10) ms"
    }
}
