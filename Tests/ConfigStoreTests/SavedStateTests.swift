import DurableFiles
import HyperVStorage
import RoostPrimitives
import Testing

@testable import ConfigStore

@Suite struct SavedStateTests {
    private let folder = TemporaryFolder()
    private var path: String { "\(folder.path)/state.vmrs" }

    /// Bytes that compress in part.
    private func stream(_ count: Int) -> [UInt8] {
        var random = SystemRandomNumberGenerator()
        return (0..<count).map { index in
            index / 300_000 % 2 == 0 ? UInt8(truncatingIfNeeded: index / 64) : UInt8.random(in: 0...255, using: &random)
        }
    }

    private func info() -> SavedStateInfo {
        var info = SavedStateInfo(machine: .random(), created: 1_700_000_000)
        info.qemuVersion = "7.2.22"
        info.machineType = "pc-q35-7.2"
        info.memoryMiB = 384
        info.processors = 2
        info.wasRunning = false
        info.missingFeatures = ["invpcid", "pcid"]
        return info
    }

    private func write(_ bytes: [UInt8], _ info: SavedStateInfo, piece: Int, segmentSize: Int = 1 << 30) throws {
        let existed = exists(path)
        let writer = try SavedStateWriter(path, in: FileAccess.system, segmentSize: segmentSize)
        for start in stride(from: 0, to: bytes.count, by: piece) {
            try writer.append(Array(bytes[start..<min(bytes.count, start + piece)]))
        }
        // The one before, if any, stays until this one is complete.
        #expect(exists(path) == existed)
        try writer.finish(info)
    }

    private func read() throws -> (info: SavedStateInfo, bytes: [UInt8]) {
        let reader = try SavedStateReader(path)
        var bytes: [UInt8] = []
        while let piece = try reader.next() { bytes += piece }
        return (reader.info, bytes)
    }

    @Test(arguments: [0, 1, 4095, 1 << 20, 1 << 20 | 1, 3_333_333])
    func streamIsReadAsItWasWritten(count: Int) throws {
        let (bytes, info) = (stream(count), info())
        for (piece, segmentSize) in [(70_001, 1 << 30), (5 << 20, 1 << 21)] {
            try write(bytes, info, piece: piece, segmentSize: segmentSize)
            let found = try read()
            #expect(found.bytes == bytes)
            #expect(found.info.streamSize == UInt64(count) && found.info.machine == info.machine)
            #expect(found.info.qemuVersion == "7.2.22" && found.info.memoryMiB == 384 && !found.info.wasRunning)
            // It is a file as all others are.
            let file = try StorageFile(parsing: try FileAccess.read(path))
            #expect(file.tree.descendant("savedstate/type")?.value == .string("Normal"))
            #expect(StorageFile.verify(try FileAccess.read(path)).isEmpty)
            #expect(!exists(SavedStateWriter.temporary(path)))
        }
    }

    @Test func everyDamagedBlockIsFoundBeforeAByteOfItIsUsed() throws {
        let bytes = stream(2_500_000)
        try write(bytes, info(), piece: 1 << 20)
        let good = try FileAccess.read(path)
        var found = 0
        for start in stride(from: 0, to: good.count, by: 4096) {
            var bad = good
            let end = min(start + 4096, good.count)
            for index in start..<end { bad[index] ^= UInt8(truncatingIfNeeded: index &* 31 | 1) }
            try FileAccess.write(bad, to: path)
            do {
                // Room between the tables and behind the stream means nothing.
                #expect(try read().bytes == bytes, "the block at \(start)")
            } catch let error as StoreError {
                #expect(error.code == .corrupt, "\(error)")
                found += 1
            }
        }
        #expect(found > (good.count - StorageFile.headSize) / 4096)
    }

    @Test func partsOfOtherFilesAndShortOnesAreFound() throws {
        let bytes = stream(3 << 20)
        try write(bytes, info(), piece: 1 << 20)
        let first = try FileAccess.read(path)
        try write(bytes, info(), piece: 1 << 20)
        let second = try FileAccess.read(path)
        // The same contents in the same place, of another save.
        var mixed = second
        let start = StorageFile.headSize
        mixed.replaceSubrange(start..<start + 100_000, with: first[start..<start + 100_000])
        for (name, bad) in [
            ("mixed", mixed), ("short", Array(second.dropLast(900_000))), ("head only", Array(second.prefix(1 << 20))),
            ("no head", Array(repeating: 0, count: 8192) + second.dropFirst(8192)), ("empty", []),
        ] {
            try FileAccess.write(bad, to: path)
            let error = #expect(throws: StoreError.self, "\(name)") { try read() }
            #expect(error?.code == .corrupt, "\(name): \(error as Any)")
        }
        try FileAccess.remove(path)
        #expect(throws: StoreError.self) { try read() }
    }

    @Test func writerThatIsGivenUpOrHasNoRoomLeavesWhatWasThere() throws {
        try write([1, 2, 3], info(), piece: 3)
        do {
            let writer = try SavedStateWriter(path)
            try writer.append(stream(1 << 21))
        }
        #expect(try FileAccess.names(in: folder.path) == ["state.vmrs"])
        #expect(throws: StoreError.self) {
            try SavedStateWriter(path, in: FullDisk(), segmentSize: 1 << 30)
        }
        #expect(try read().bytes == [1, 2, 3])
    }
}
