import DurableFiles
import RoostPrimitives
import Synchronization
import Testing
import VMConfiguration

@testable import ConfigStore

/// Blocks that the device cannot read, of each kind of file.
@Suite final class BadBlockTests: Sendable {
    private let folder = TemporaryFolder()
    private let directory: StateDirectory
    private let reports = Mutex<[StorageReport.Action]>([])

    init() throws { directory = try makeDirectory(folder) }

    private func store(_ files: BadBlocks) -> ConfigurationStore {
        ConfigurationStore(directory: directory, supportedVersions: ConfigurationVersion.known, files: files) {
            report in
            self.reports.withLock { $0.append(report.action) }
        }
    }

    private func actions() -> [StorageReport.Action] {
        reports.withLock { reports in
            defer { reports = [] }
            return reports
        }
    }

    @Test(arguments: [ConfigurationVersion.v5_0, .v8_0]) func configurationComesBackWhicheverBlockIsLost(
        version: ConfigurationVersion
    ) throws {
        var made = try VirtualMachineConfiguration.new(NewVirtualMachine(name: "web", version: version))
        made.notes = String(repeating: "precious ", count: 900)
        let path = try store(BadBlocks()).create(made)
        let known = try store(BadBlocks()).load(id: made.id, path: path)
        try store(BadBlocks()).settle(path: path)
        for file in [path, directory.copy(of: path)] {
            let size = try FileAccess.read(file).count
            for start in stride(from: 0, to: size, by: 4096) {
                let bad = BadBlocks()
                bad.lose(start..<min(size, start + 4096), of: file)
                let store = store(bad)
                _ = try store.scrub(id: made.id, path: path)
                #expect(try store.load(id: made.id, path: path) == known, "\(file) at \(start)")
                #expect(actions().count == 1, "\(file) at \(start)")
                // What lies elsewhere now can be read.
                #expect(try store.scrub(id: made.id, path: path).isEmpty, "\(file) at \(start)")
                _ = actions()
            }
        }
    }

    @Test func runRecordHostFileAndKeptFilesComeBack() throws {
        let id = GUID.random()
        let good = store(BadBlocks())
        try good.save(RunRecord(phase: .running), of: id, version: 0)
        var host = HostRecord()
        host.bootID = "boot"
        try good.save(host)
        let variables = directory.guestState(id)
        let bytes = (0..<50_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        try FileAccess.write(bytes, to: variables)
        try good.keep(variables)
        for path in [directory.runRecord(id), directory.hostFile, variables] {
            for file in [path, directory.copy(of: path)] {
                let size = try FileAccess.read(file).count
                for start in stride(from: 0, to: size, by: 4096) {
                    let bad = BadBlocks()
                    bad.lose(start..<min(size, start + 4096), of: file)
                    let store = store(bad)
                    let found = try store.scrubRunRecord(of: id) + store.scrubHostRecord() + store.scrubKept(variables)
                    #expect(found.count == 1, "\(file) at \(start): \(found)")
                    #expect(try store.runRecord(of: id)?.phase == .running && store.hostRecord() == host)
                    #expect(try FileAccess.read(variables) == bytes)
                }
            }
        }
    }

    @Test func sealedFileThatCannotBeReadGetsOneNumberHoweverOftenTheUpgradeIsTried() throws {
        let id = GUID.random()
        func machine(_ notes: String) throws -> (path: String, new: VirtualMachineConfiguration) {
            var old = try VirtualMachineConfiguration.new(NewVirtualMachine(name: "web", version: .v6_2))
            (old.id, old.notes) = (id, notes)
            let path = try store(BadBlocks()).create(old)
            return (path, try store(BadBlocks()).load(id: id, path: path).converted(to: .v8_0).configuration)
        }
        let first = try machine("first")
        let upgraded = try store(BadBlocks()).replace(id: id, path: first.path, version: .v6_2, with: first.new)
        try store(BadBlocks()).remove(path: upgraded)
        let sealed = directory.sealed(id, .v6_2)
        let copy = directory.copy(of: sealed)
        for offset in stride(from: 64, to: try FileAccess.read(copy).count, by: 512) { try damage(copy, at: offset) }
        let second = try machine("second")
        try store(BadBlocks()).settle(path: second.path)
        let bad = BadBlocks()
        bad.lose(0x3000..<0x4000, of: sealed)
        for _ in 1...3 {
            bad.failMaking(1)
            let error = #expect(throws: StoreError.self) {
                try store(bad).replace(id: id, path: second.path, version: .v6_2, with: second.new)
            }
            #expect(error?.code == .noSpace)
            #expect(try store(bad).sealed(id).map(\.path) == ["\(sealed)-1", sealed])
        }
        _ = try store(bad).replace(id: id, path: second.path, version: .v6_2, with: second.new)
        #expect(try store(bad).sealed(id).map(\.path) == ["\(sealed)-1", sealed])
    }
}
