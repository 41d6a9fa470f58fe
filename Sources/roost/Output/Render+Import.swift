import RoostAPI

extension Render {
    /// What an import would do, as people read it.
    static func importReport(_ report: ImportReport) -> String {
        var lines = [
            "\(report.name) (\(report.id)), version \(report.version), \(report.mode.rawValue)",
            "from \(report.configurationFile)",
        ]
        lines += section("Comes to", report.mapped)
        for disk in report.disks {
            lines += section(
                "Looked for \(disk.recordedPath)",
                disk.candidates.map { candidate in
                    let mark = candidate.path == disk.source ? "found" : candidate.isUsable ? "also there" : "not there"
                    return "\(candidate.path): " + (candidate.note.map { "\(mark), \($0)" } ?? mark)
                }
            )
        }
        lines += section("Keys without a meaning here, kept", report.keptKeys)
        lines += section("Warnings", report.warnings)
        lines += section("Cannot be imported because", report.problems)
        return lines.map { printable($0) + "\n" }.joined()
    }

    private static func section(_ title: String, _ entries: [String]) -> [String] {
        entries.isEmpty ? [] : ["", "\(title):"] + entries.map { "  \($0)" }
    }
}
