import Foundation
import RoostPrimitives
import Testing
import VMConfiguration

@testable import ConfigStore

/// A file with its second copy in a state directory of its own.
private final class KeptFixture {
    let folder = TemporaryFolder()
    let store: ConfigurationStore
    let path: String
    let good: [UInt8]
    private let noted = NotedReports()
    private var seen = 0

    init() throws {
        let directory = StateDirectory("\(folder.path)/state")
        try directory.prepare()
        store = ConfigurationStore(
            directory: directory,
            supportedVersions: ConfigurationVersion.known
        ) { [noted] in noted.add($0) }
        path = directory.guestState(GUID.random())
        // Blocks of every kind, and a last one that is shorter.
        var bytes = [UInt8](repeating: 0, count: 4096) + [UInt8](repeating: 0xFF, count: 8192)
        for index in 0..<9000 { bytes.append(UInt8(truncatingIfNeeded: index &* 31 &+ 7)) }
        good = bytes
        try FileAccess.write(bytes, to: path)
        try store.keep(path)
    }

    var copy: String { store.directory.copy(of: path) }

    /// What has been reported since the last call.
    func actions() -> [StorageReport.Action] {
        let all = noted.reports
        defer { seen = all.count }
        return all.dropFirst(seen).map(\.action)
    }

    /// Writes bytes in place; `silently` as a device does that loses them, without a new time of change.
    func write(_ bytes: [UInt8], to path: String, silently: Bool) throws {
        var status = stat()
        #expect(stat(path, &status) == 0)
        let handle = try #require(FileHandle(forWritingAtPath: path))
        try handle.truncate(atOffset: UInt64(bytes.count))
        try handle.seek(toOffset: 0)
        try handle.write(contentsOf: Data(bytes))
        try handle.close()
        if silently { #expect(utimensat(AT_FDCWD, path, [status.st_atim, status.st_mtim], 0) == 0) }
    }

    func bytes() throws -> [UInt8] { try FileAccess.read(path) }
}

@Suite struct KeptFileTests {
    @Test(arguments: [UInt8?.none, 0x00, 0xFF])
    func everyDamagedBlockIsFoundAndTheFileComesBack(fill: UInt8?) throws {
        let kept = try KeptFixture()
        for block in 0..<(kept.good.count + 4095) / 4096 {
            var bytes = kept.good
            for index in block * 4096..<min(bytes.count, (block + 1) * 4096) {
                bytes[index] = fill ?? bytes[index] ^ 0x5A
            }
            guard bytes != kept.good else { continue }
            try kept.write(bytes, to: kept.path, silently: true)
            try kept.store.checkKept(kept.path)
            let actions = kept.actions()
            guard actions.count == 1, case .restored(let damaged?) = actions[0] else {
                Issue.record("block \(block): \(actions)")
                continue
            }
            #expect(try kept.bytes() == kept.good)
            #expect(try FileAccess.read(damaged) == bytes)
            try kept.store.checkKept(kept.path)
            #expect(kept.actions().isEmpty)
        }
    }

    @Test func truncatedOrMissingFileComesBack() throws {
        let kept = try KeptFixture()
        try kept.write(Array(kept.good.dropLast(5000)), to: kept.path, silently: true)
        try kept.store.checkKept(kept.path)
        #expect(try kept.bytes() == kept.good)
        try FileAccess.remove(kept.path)
        #expect(try kept.store.scrubKept(kept.path).map(\.action) == [.restored(keptAs: nil)])
        #expect(try kept.bytes() == kept.good)
    }

    @Test func anotherProgramsChangeCounts() throws {
        let kept = try KeptFixture()
        let other = kept.good.map { $0 ^ 1 }
        try kept.write(other, to: kept.path, silently: false)
        try kept.store.checkKept(kept.path)
        #expect(kept.actions() == [.changeAccepted])
        #expect(try kept.bytes() == other)
        try kept.store.checkKept(kept.path)
        #expect(kept.actions().isEmpty)
    }

    @Test func whatAGuestWritesIsTakenUntilTheFileIsKeptAgain() throws {
        let kept = try KeptFixture()
        try kept.store.beginUse(of: kept.path)
        let written = kept.good.map { $0 &+ 3 }
        try kept.write(written, to: kept.path, silently: true)
        // As when roostd was killed and the guest ended meanwhile.
        try kept.store.checkKept(kept.path)
        #expect(kept.actions().isEmpty)
        #expect(try kept.bytes() == written)
        // From here on it is known again.
        try kept.write(kept.good, to: kept.path, silently: true)
        try kept.store.checkKept(kept.path)
        #expect(kept.actions().count == 1)
        #expect(try kept.bytes() == written)
    }

    @Test func whatMakesNoSenseDoesNotTakeThePlaceOfAWholeCopy() throws {
        let kept = try KeptFixture()
        let good = kept.good
        let isSound: SoundnessCheck = { $0 == good }
        for check in [kept.store.keep, kept.store.checkKept] {
            try kept.store.beginUse(of: kept.path)
            try kept.write(good.map { $0 ^ 7 }, to: kept.path, silently: false)
            try check(kept.path, isSound)
            let actions = kept.actions()
            guard actions.count == 1, case .restored(_?) = actions[0] else {
                Issue.record("\(actions)")
                continue
            }
            #expect(try kept.bytes() == good)
        }
        // Where the copy says nothing any more, nobody can help.
        try FileAccess.write([1, 2, 3], to: kept.copy)
        try kept.write(good.map { $0 ^ 7 }, to: kept.path, silently: false)
        let error = #expect(throws: StoreError.self) { try kept.store.checkKept(kept.path, isSound: isSound) }
        #expect(error?.code == .corrupt)
        #expect(try FileAccess.read(kept.copy) == [1, 2, 3])
    }

    @Test func damageOfTheCopyIsMendedAndDamageOfBothIsAnError() throws {
        let kept = try KeptFixture()
        let copy = try FileAccess.read(kept.copy)
        for offset in stride(from: 0, to: copy.count, by: 13) {
            var bytes = copy
            bytes[offset] ^= 0x10
            try FileAccess.write(bytes, to: kept.copy)
            try kept.store.checkKept(kept.path)
            #expect(kept.actions() == [.copyRefreshed], "offset \(offset)")
            #expect(try kept.bytes() == kept.good)
            #expect(KeptCopy(try FileAccess.read(kept.copy))?.contents == kept.good)
        }
        var bytes = try FileAccess.read(kept.copy)
        bytes[bytes.count - 1] ^= 1
        try FileAccess.write(bytes, to: kept.copy)
        let damaged = kept.good.map { $0 ^ 0x80 }
        try kept.write(damaged, to: kept.path, silently: true)
        let error = #expect(throws: StoreError.self) { try kept.store.checkKept(kept.path) }
        #expect(error?.code == .corrupt && error?.message.contains(kept.copy) == true)
        #expect(try kept.bytes() == damaged)
    }

    @Test func removedFileLeavesNoCopy() throws {
        let kept = try KeptFixture()
        try kept.store.removeKept(kept.path)
        #expect(throws: StoreError.self) { try FileAccess.read(kept.path) }
        #expect(throws: StoreError.self) { try FileAccess.read(kept.copy) }
        try kept.store.checkKept(kept.path)
        #expect(throws: StoreError.self) { try FileAccess.read(kept.copy) }
    }
}
