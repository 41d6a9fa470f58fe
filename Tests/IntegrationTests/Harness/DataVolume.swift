import Foundation
import Testing

/// The small guest's data volume as a disk at rest holds it, looked at from the host and without the guest's kernel.
///
/// Made of a copy; nothing is changed.
struct DataVolume {
    private let folder: String
    private var image: String { "\(folder)/data.ext4" }
    /// Where the volume lies in the guest's disk, in MiB; see scripts/guest/build-test-guest.
    private static let place = (start: 50, size: 64)

    /// Takes the volume out of a disk; ``remove()`` deletes the copy.
    init(of disk: String) async throws {
        folder = Laboratory.unusedPath("/var/tmp/roost-volume-")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        try await tool(
            "qemu-img",
            "dd",
            "-f",
            "qcow2",
            "-O",
            "raw",
            "bs=1M",
            "skip=\(Self.place.start)",
            "count=\(Self.place.start + Self.place.size)",
            "if=\(disk)",
            "of=\(image)"
        )
    }

    func remove() { try? Files.remove(folder) }

    /// What e2fsck finds without changing anything; empty when all is well.
    ///
    /// - Parameter afterJournal: whether the journal is applied first, as a start would; of a frozen file system it has
    ///   nothing to say.
    func problems(afterJournal: Bool) async throws -> String {
        if afterJournal {
            let replayed = try await run("/usr/bin/env", ["e2fsck", "-E", "journal_only", "-p", image])
            guard replayed.status < 4 else { return "\(replayed)" }
        }
        let result = try await run("/usr/bin/env", ["e2fsck", "-f", "-n", image])
        return result.status == 0 ? "" : "\(result)"
    }

    /// A file's text.
    func text(_ path: String) async throws -> String {
        try await tool("debugfs", "-R", "cat \(path)", image).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// What SQLite says of a database, which it opens as after a power cut, and how many rows a table has.
    func database(_ name: String, table: String) async throws -> (integrity: String, rows: Int) {
        for file in ["", "-journal"] {
            _ = try await run(
                "/usr/bin/env",
                ["debugfs", "-R", "dump /\(name)\(file) \(folder)/\(name)\(file)", image]
            )
        }
        let python = """
            import sqlite3, sys
            database = sqlite3.connect(sys.argv[1])
            print(database.execute("pragma integrity_check").fetchone()[0])
            print(database.execute(f"select count(*) from {sys.argv[2]}").fetchone()[0])
            """
        let text = try await tool("python3", "-c", python, "\(folder)/\(name)", table)
        let lines = text.split(separator: "\n").map(String.init)
        return (lines.first ?? "", try #require(lines.last.flatMap { Int($0) }, "\(text)"))
    }
}
