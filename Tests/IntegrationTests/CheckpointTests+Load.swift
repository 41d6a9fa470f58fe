import Foundation
import RoostAPI
import RoostClient
import RoostPrimitives
import Testing

/// Checkpoints of guests that write all the time, and what becomes of time in them.
extension Integration.CheckpointTests {
    /// Lets the guest write to a database and to files, as fast as it can.
    private func beginLoad(_ console: GuestConsole) async throws {
        let database = "/data/load.db"
        let rows =
            "n=0; while [ ! -e /tmp/enough ]; do n=$((n+1)); echo \"insert into t values($n, hex(randomblob(300)));\"; "
            + "[ $((n % 100)) = 0 ] && echo \"delete from t where n < $((n - 1000));\"; done"
        _ = try await console.shell(
            "rm -f /tmp/enough; sqlite3 \(database) 'create table if not exists t(n, x); create index if not exists i on t(x);'; "
                + "(\(rows)) | sqlite3 \(database) & "
                + "(while [ ! -e /tmp/enough ]; do dd if=/dev/urandom of=/data/noise bs=64k count=32 conv=fsync 2>/dev/null; "
                + "mkdir -p /data/d/$((i % 20)); rm -rf /data/d/$(((i + 7) % 20)); i=$((i + 1)); done) & true"
        )
    }

    @Test func whatWasWrittenBeforeIsThereAndWhatWasWrittenBehindIsNot() async throws {
        try await withRoostd("checkpoint-load") { roostd in
            let client = roostd.client
            try await roostd.createGuest("web", generation: 1)
            let console = try await roostd.boot("web")
            try await roostd.waitForAgent("web")
            try await beginLoad(console)
            let count = Laboratory.isSoak ? 50 : 5
            var taken: [(id: String, kind: CheckpointKind)] = []
            for number in 1...count {
                // fsync of the record alone: the rest goes on writing.
                let record = { (word: String) in
                    "echo \(word)-\(number) | dd of=/data/record conv=fsync 2>/dev/null"
                }
                _ = try await console.shell(record("before"), within: 60)
                let kind: CheckpointKind = number % 5 == 0 ? .standard : .production
                let job = try await client.createCheckpoint(of: "web", .init(kind: kind), waitSeconds: 120).succeeded()
                taken.append((try #require(job.result), kind))
                _ = try await console.shell(record("behind"), within: 60)
            }
            for row in taken where row.kind == .production {
                let receipt = try await client.checkpoint(of: "web", row.id).receipt
                #expect(receipt.consistency == .fileSystem, "\(receipt)")
            }
            try await roostd.turnOff("web")
            var rows: [Int] = []
            for (number, row) in taken.enumerated() {
                try await client.applyCheckpoint(to: "web", row.id, waitSeconds: 60).succeeded()
                // The machine's own file holds nothing yet: its disk is the checkpoint's.
                let volume = try await DataVolume(of: try await disk(roostd, "web"))
                defer { volume.remove() }
                // Of memory it may be in the journal, which a start would apply first.
                let problems = try await volume.problems(afterJournal: row.kind == .standard)
                #expect(problems.isEmpty, "\(number + 1), \(row.kind): \(problems)")
                let record = try await volume.text("/record")
                #expect(record == "before-\(number + 1)", "\(number + 1), \(row.kind)")
                let database = try await volume.database("load.db", table: "t")
                #expect(database.integrity == "ok", "\(number + 1): \(database)")
                rows.append(database.rows)
            }
            // It really was written to meanwhile.
            #expect(Set(rows).count == rows.count && rows.last ?? 0 > 0, "\(rows)")
            for disk in try await client.disks() { try await tool("qemu-img", "check", "-q", disk.path) }
            // The last one goes on from memory, where the database is still being written to.
            let last = try #require(taken.last)
            try await client.applyCheckpoint(to: "web", last.id, .init(start: true), waitSeconds: 120).succeeded()
            let again = try await roostd.console("web")
            _ = try await again.shell("touch /tmp/enough; wait", within: 120)
            let check = try await again.shell("sqlite3 /data/load.db 'pragma integrity_check'", within: 60)
            #expect(check.contains("ok"), "\(check)")
            try await roostd.turnOff("web")
            print("checkpoints under load: \(taken.count)")
        }
    }

    @Test func kernelOfTheGuestNoticesThatItsTimeWentBack() async throws {
        try await withRoostd("checkpoint-generation") { roostd in
            let client = roostd.client
            try await roostd.createGuest("web", generation: 2, secureBoot: "MicrosoftUEFICertificateAuthority") {
                $0.image = Laboratory.genericGuest
            }
            var console = try await roostd.boot("web")
            // Its random numbers would be those of the other branch of time.
            let noticed = { (console: GuestConsole) in
                let text = try await console.shell("echo count-$(dmesg | grep -c 'due to virtual machine fork')")
                return try #require(text.split(whereSeparator: \.isNewline).last { $0.hasPrefix("count-") })
                    .trimmingCharacters(in: .whitespaces)
            }
            #expect(try await noticed(console) == "count-0")
            _ = try await client.createCheckpoint(of: "web", .init(name: "here", kind: .standard), waitSeconds: 120)
                .succeeded()
            // A saved state is no fork.
            try await client.saveVirtualMachine("web", waitSeconds: 120).succeeded()
            try await roostd.start("web")
            console = try await roostd.console("web")
            #expect(try await noticed(console) == "count-0")
            let before = try await identifier(roostd, "web")
            for round in 1...2 {
                let request = ApplyCheckpointRequest(turnOff: true, start: true)
                try await client.applyCheckpoint(to: "web", "here", request, waitSeconds: 120).succeeded()
                console = try await roostd.console("web")
                try await eventually("the kernel has noticed, round \(round)", within: 60) {
                    try await noticed(console) == "count-1"
                }
            }
            #expect(try await identifier(roostd, "web") != before)
            try await roostd.turnOff("web")
        }
    }
}
