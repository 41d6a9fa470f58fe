import DurableFiles
import HyperVStorage
import RoostPrimitives
import Synchronization
import Testing

@testable import ConfigStore

#if canImport(Glibc)
    import Glibc
#endif

@Suite final class HostRecordTests: Sendable {
    private let folder = TemporaryFolder()
    private let directory: StateDirectory
    private let reports = Mutex<[StorageReport.Action]>([])

    init() throws { directory = try makeDirectory(folder) }

    private var path: String { directory.hostFile }
    private var copy: String { directory.copy(of: path) }

    private var store: ConfigurationStore {
        ConfigurationStore(directory: directory, supportedVersions: []) { report in
            self.reports.withLock { $0.append(report.action) }
        }
    }

    /// The actions reported since the last call.
    private func actions() -> [StorageReport.Action] {
        reports.withLock { reports in
            defer { reports = [] }
            return reports
        }
    }

    private func record(switches count: Int, bootID: String) -> HostRecord {
        var record = HostRecord()
        record.bootID = bootID
        record.switches = (0..<count).map { number in
            .init(
                id: .random(),
                name: "LAN é \(number)",
                type: "external",
                bridge: "br\(number)",
                interface: "",
                ownsBridge: number % 2 == 0
            )
        }
        return record
    }

    @Test func recordIsReadAsItWasWritten() throws {
        #expect(try store.hostRecord() == HostRecord())
        #expect(!exists(path) && !exists(copy))
        for count in [2, 0, 40] {
            let record = record(switches: count, bootID: "boot \(count)")
            try store.save(record)
            #expect(try store.hostRecord() == record)
        }
        #expect(actions().isEmpty)
    }

    @Test func keysThatAreNotTheRecordsStay() throws {
        try store.save(record(switches: 1, bootID: "one"))
        var file = try StorageFile(parsing: try FileAccess.read(path))
        var tree = file.tree
        tree.set("host/unknown", .int(7))
        var bytes = try FileAccess.read(path)
        StorageAction.apply(try file.commit(tree), to: &bytes)
        try FileAccess.write(bytes, to: path)
        try store.save(record(switches: 2, bootID: "two"))
        #expect(actions() == [.changeAccepted])
        let stored = try StorageFile(parsing: try FileAccess.read(path)).tree
        #expect(stored.descendant("host/unknown")?.value == .int(7))
        #expect(stored.descendant("host/switches")?.children.count == 2)
    }

    @Test(arguments: [false, true]) func everyDamagedBlockIsFoundAndTheRecordComesBack(zeroed: Bool) throws {
        try store.save(record(switches: 1, bootID: "first"))
        let record = record(switches: 60, bootID: String(repeating: "boot ", count: 2000))
        try store.save(record)
        try store.settleHostRecord()
        let good = (primary: try FileAccess.read(path), copy: try FileAccess.read(copy))
        var tried = 0
        for (file, bytes) in [(path, good.primary), (copy, good.copy)] {
            for start in stride(from: 0, to: bytes.count, by: 4096) {
                var damaged = bytes
                for index in start..<min(start + 4096, bytes.count) {
                    damaged[index] = zeroed ? 0 : bytes[index] ^ UInt8(truncatingIfNeeded: index | 1)
                }
                guard damaged != bytes else { continue }
                tried += 1
                try FileAccess.write(good.primary, to: path)
                try FileAccess.write(good.copy, to: copy)
                try FileAccess.write(damaged, to: file)
                #expect(try store.hostRecord() == record, "\(file) at \(start)")
                #expect(actions().count == 1, "\(file) at \(start)")
                #expect(try store.hostRecord() == record)
                #expect(actions().isEmpty, "\(file) at \(start)")
            }
        }
        #expect(tried > 8)
    }

    @Test func missingFileComesBackFromItsCopyAndAFileWithoutACopyGetsOne() throws {
        let record = record(switches: 3, bootID: "boot")
        try store.save(record)
        try FileAccess.remove(path)
        #expect(try store.hostRecord() == record)
        #expect(actions() == [.restored(keptAs: nil)])
        try FileAccess.remove(copy)
        #expect(try store.hostRecord() == record)
        #expect(actions() == [.copyRefreshed])
        #expect(exists(copy))
    }

    /// Damages both files, so that nothing of them counts.
    private func damageBoth() throws {
        for place in [path, copy] { try FileAccess.write(Array(repeating: 0x5A, count: 70_000), to: place) }
    }

    @Test func whatIsKnownIsWrittenAnewWhenBothAreDamagedOrMissing() throws {
        let known = record(switches: 2, bootID: "old")
        for isMissing in [false, true] {
            try store.save(known)
            if isMissing { for place in [path, copy] { try FileAccess.remove(place) } } else { try damageBoth() }
            _ = actions()
            #expect(try store.scrubHostRecord(known: known).map(\.action).count == 1)
            let kept = isMissing ? nil : "\(path).damaged-1"
            #expect(actions() == [.remade(keptAs: kept)])
            #expect(try store.hostRecord() == known && store.scrubHostRecord(known: known).isEmpty)
        }
        // Where nothing was ever stored, nothing is missing.
        for place in [path, copy] { try FileAccess.remove(place) }
        #expect(try store.scrubHostRecord(known: HostRecord()).isEmpty && !exists(path))
    }

    @Test func olderFileThatSomebodyPutThereIsNotReplacedByWhatIsKnown() throws {
        try store.save(record(switches: 1, bootID: "one"))
        let backup = try FileAccess.read(path)
        for number in 2...5 { try store.save(record(switches: number, bootID: "\(number)")) }
        let known = try store.hostRecord()
        try FileAccess.write(backup, to: path)
        for attempt in [
            { _ = try self.store.scrubHostRecord(known: known) }, { try self.store.save(HostRecord(), known: known) },
        ] {
            let error = #expect(throws: StoreError.self) { try attempt() }
            #expect(error?.code == .corrupt)
        }
        #expect(try FileAccess.read(path) == backup && !exists("\(path).damaged-1"))
    }

    @Test func generationOfAFileMadeAnewIsAboveAllThatTheDamagedOnesName() throws {
        for number in 1...9 { try store.save(record(switches: 1, bootID: "\(number)")) }
        let known = try store.hostRecord()
        // The file is gone; both slots' contents are damaged and their headers are not.
        var bytes = try FileAccess.read(copy)
        for slot in 0..<2 { bytes[slot * bytes.count / 2 + CopySlotHeader.size] ^= 0xFF }
        try FileAccess.write(bytes, to: copy)
        try FileAccess.write([1, 2, 3], to: path)
        let report = try #require(try store.scrubHostRecord(known: known).first)
        #expect(report.generation == 10)
        #expect(try StorageFile(parsing: try FileAccess.read(path)).tree.generation == 10)
    }

    @Test func otherKeysThatCanStillBeReadStayInAFileMadeAnew() throws {
        let known = record(switches: 1, bootID: "one")
        try store.save(known)
        var file = try StorageFile(parsing: try FileAccess.read(path))
        var tree = file.tree
        tree.set("host/unknown", .int(7))
        var bytes = try FileAccess.read(path)
        StorageAction.apply(try file.commit(tree), to: &bytes)
        try FileAccess.write(bytes, to: path)
        #expect(try store.hostRecord() == known)
        // A table's checksum fails, its keys can be read all the same.
        bytes = try FileAccess.read(path)
        var damaged = 0
        for block in 0..<bytes.count / 4096 {
            var garbled = bytes
            for index in block * 4096..<block * 4096 + 8 { garbled[index] ^= 0xFF }
            guard (try? StorageFile(parsing: garbled)) == nil else { continue }
            let salvage = StorageFile.salvage(garbled)
            guard salvage.tree.descendant("host/unknown") != nil else { continue }
            damaged += 1
            try FileAccess.write(garbled, to: path)
            try FileAccess.write([9], to: copy)
            #expect(try store.scrubHostRecord(known: known).count == 1)
            #expect(try store.hostRecord() == known)
            let now = try StorageFile(parsing: try FileAccess.read(path)).tree
            #expect(now.descendant("host/unknown")?.value == .int(7))
        }
        #expect(damaged > 0)
    }

    @Test func keysThatADamagedFileHasTwiceDoNotStandAboveWhatIsKnown() throws {
        try store.save(record(switches: 1, bootID: "stale"))
        var file = try StorageFile(parsing: try FileAccess.read(path))
        var tree = file.tree
        let host = try #require(tree.children.firstIndex { $0.name == "host" })
        let stale = try #require(tree.descendant("host/switches"))
        tree.children[host].children += [stale, KeyNode("boot_id", .string("stale, too")), KeyNode("other", .int(1))]
        var bytes = try FileAccess.read(path)
        StorageAction.apply(try file.commit(tree), to: &bytes)
        let known = record(switches: 2, bootID: "known")
        var tried = 0
        for block in 0..<bytes.count / 4096 {
            var garbled = bytes
            for index in block * 4096..<block * 4096 + 8 { garbled[index] ^= 0xFF }
            guard (try? StorageFile(parsing: garbled)) == nil,
                StorageFile.salvage(garbled).tree.descendant("host/other") != nil
            else { continue }
            tried += 1
            try FileAccess.write(garbled, to: path)
            try FileAccess.write([9], to: copy)
            #expect(try store.scrubHostRecord(known: known).count == 1)
            #expect(try store.hostRecord() == known)
            #expect(try StorageFile(parsing: try FileAccess.read(path)).tree.descendant("host/other") != nil)
        }
        #expect(tried > 0)
    }

    @Test func nothingIsMadeAnewFromARecordThatSaysNothing() throws {
        try store.save(record(switches: 1, bootID: "one"))
        try damageBoth()
        for attempt in [
            { _ = try self.store.scrubHostRecord(known: HostRecord()) },
            { try self.store.save(self.record(switches: 1, bootID: "two"), known: HostRecord()) },
        ] {
            let error = #expect(throws: StoreError.self) { try attempt() }
            #expect(error?.code == .corrupt)
        }
        #expect(!exists("\(path).damaged-1") && actions().isEmpty)
    }

    @Test func fileWithoutItsLogIsNotTakenForWhatSomebodyPutThere() throws {
        try store.save(record(switches: 1, bootID: "one"))
        try store.save(record(switches: 2, bootID: "two"))
        var bytes = try FileAccess.read(path)
        for number in 3...6 { try store.save(record(switches: number, bootID: "\(number)")) }
        let known = try store.hostRecord()
        // Between two states, perhaps: the checksum of the log's header is damaged.
        let log = (0..<8).reversed().reduce(0) { $0 << 8 | Int(bytes[26 + $1]) }
        bytes[log + 4] ^= 0xFF
        try FileAccess.write(bytes, to: path)
        var other = try FileAccess.read(copy)
        for slot in 0..<2 { other[slot * other.count / 2 + CopySlotHeader.size] ^= 0xFF }
        try FileAccess.write(other, to: copy)
        guard case .sound(let content) = try PrimaryFile(path, in: FileAccess.system), content.logWasDiscarded else {
            Issue.record("the log counts")
            return
        }
        #expect(try store.scrubHostRecord(known: known).map(\.action) == [.remade(keptAs: "\(path).damaged-1")])
        #expect(try store.hostRecord() == known)
    }

    @Test func largeFilesAreKeptWhateverTheyBeginWith() throws {
        for name in [path, "\(path).damaged-1"] {
            try FileAccess.write([], to: name)
            #expect(truncate(name, 49 << 20) == 0)
        }
        #expect(try store.mirrored(path).keepAside() == "\(path).damaged-2")
        // Of one size and beginning, and small enough to be compared to the end.
        for (name, last) in [(path, [1, 2]), ("\(path).damaged-2", [1, 2, 3])] as [(String, [UInt8])] {
            try FileAccess.write(Array(repeating: 5, count: 5000) + last, to: name)
        }
        #expect(try store.mirrored(path).keepAside() == "\(path).damaged-3")
        #expect(try store.mirrored(path).keepAside() == "\(path).damaged-3")
    }

    @Test(arguments: [false, true]) func attemptsThatFailLeaveTheOldRecordAndOneKeptFile(onlyCopies: Bool) throws {
        let known = record(switches: 1, bootID: "one")
        try store.save(known)
        try damageBoth()
        let target = record(switches: 2, bootID: "two")
        let full = ConfigurationStore(
            directory: directory,
            supportedVersions: [],
            files: FullDisk(folder: onlyCopies ? directory.copies : "")
        )
        for _ in 1...3 { #expect(throws: StoreError.self) { try full.save(target, known: known) } }
        let names = try FileAccess.names(in: FileAccess.folder(of: path))
        #expect(names.filter { $0.contains(".damaged-") }.count == 1, "\(names)")
        if onlyCopies { #expect(try store.hostRecord() == known) }
        try store.save(target, known: known)
        #expect(try store.hostRecord() == target)
    }

    @Test func bothDamagedIsAnErrorWithWhatToDoAndRepairMendsIt() throws {
        var record = record(switches: 2, bootID: "old")
        try store.save(record)
        record.bootID = "new"
        try store.save(record)
        try FileAccess.write([1, 2, 3], to: path)
        // The newest state stays whole, and the other may have been newer.
        var bytes = try FileAccess.read(copy)
        let newest = try #require(ConfigurationCopy(bytes).newest)
        let other = (1 - newest.index) * bytes.count / 2
        for index in other..<other + 4096 { bytes[index] = 0xA5 }
        try FileAccess.write(bytes, to: copy)
        for attempt in [{ _ = try self.store.hostRecord() }, { try self.store.save(HostRecord()) }] {
            let error = #expect(throws: StoreError.self) { try attempt() }
            #expect(error?.code == .corrupt)
            #expect(error?.message.contains("roost file repair --dry-run \(path)") == true)
            #expect(error?.message.contains(copy) == true)
        }
        #expect(try FileAccess.read(path) == [1, 2, 3])
        let plan = try FileRepair(planning: path, copy: copy, files: FileAccess.system)
        let source = try #require(plan.sources.first)
        _ = try plan.carryOut(from: source, copy: copy, files: FileAccess.system)
        #expect(try store.hostRecord() == record)
    }
}
