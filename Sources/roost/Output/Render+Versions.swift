import RoostAPI

extension Render {
    static func versions(_ versions: [VersionInfo]) -> Table {
        var table = Table([
            .init("VERSION"), .init("SUPPORTED"), .init("DEFAULT"), .init("FILE"), .init("HARDWARE"), .init("BRINGS"),
        ])
        for version in versions {
            table.append([
                version.version, version.isSupported ? "yes" : "no", version.isDefault ? "yes" : nil,
                version.fileFormat, version.hardware, version.brings.joined(separator: ", "),
            ])
        }
        return table
    }

    static func versionHistory(_ records: [VersionRecord]) -> Table {
        var table = Table([.init("VERSION"), .init("IN USE"), .init("FILE")])
        for record in records {
            table.append([
                record.version ?? "unknown", record.isCurrent ? "yes" : "sealed", record.path,
            ])
        }
        return table
    }

    static func versionUpdates(_ updates: [VersionUpdate]) -> Table {
        var table = Table([.init("NAME"), .init("FROM"), .init("TO"), .init("IN THE WAY")])
        for update in updates {
            table.append([update.name, update.from, update.to, update.blockers.joined(separator: "; ")])
        }
        return table
    }

    /// An upgrade in full: what was or would be done, key by key when it is only planned.
    static func versionUpdate(_ update: VersionUpdate) -> String {
        let name = printable(update.name)
        var lines: [String]
        if update.isDone {
            lines = ["\(name): upgraded from version \(update.from) to \(update.to)"]
        } else if update.blockers.isEmpty {
            lines = ["\(name): can be upgraded from version \(update.from) to \(update.to)"]
            lines += update.changes.map { "  \(printable($0))" }
        } else {
            lines = ["\(name): cannot be upgraded from version \(update.from) to \(update.to)"]
            lines += update.blockers.map { "  \(printable($0))" }
        }
        lines += update.notes.map { "  note: \(printable($0))" }
        return lines.map { $0 + "\n" }.joined()
    }
}
