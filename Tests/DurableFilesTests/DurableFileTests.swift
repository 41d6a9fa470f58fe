import DurableFiles
import Testing

#if canImport(Glibc)
    import Glibc
#endif

@Suite struct DurableFileTests {
    private let folder = TemporaryFolder()
    private let system = KernelFileSystem()
    private var path: String { "\(folder.path)/file" }

    @Test func bytesAreReadAsTheyWereWritten() throws {
        try system.replace(path, with: [0, 0, 0, 0])
        var file = try DurableFile(path, for: .writing, in: system)
        try file.write([1, 2], at: 1)
        try file.write([9], at: 5)
        try file.sync()
        #expect(try system.contents(of: path, limit: 100) == [0, 1, 2, 0, 0, 9])
        #expect(try file.read(at: 4, count: 100) == [0, 9])
    }

    @Test func fileWhoseSyncFailedIsNeverSyncedAgain() throws {
        let faulty = FaultyFileSystem()
        try system.replace(path, with: [0])
        var file = try DurableFile(path, for: .writing, in: faulty)
        try file.sync()
        faulty.failsSync = true
        let error = #expect(throws: FileError.self) { try Self.sync(&file) }
        #expect(error?.code == .notDurable)
        // The kernel would say yes now.
        faulty.failsSync = false
        let calls = faulty.syncs
        #expect(throws: FileError.self) { try Self.sync(&file) }
        #expect(throws: FileError.self) { try Self.write(&file) }
        #expect(faulty.syncs == calls && !file.isTrusted)
    }

    @Test func shortReadsAndWritesAreContinued() throws {
        let faulty = FaultyFileSystem()
        faulty.most = 3
        try faulty.replace(path, with: Array(0..<20))
        #expect(try faulty.contents(of: path, limit: 100) == Array(0..<20))
        #expect(try system.contents(of: path, limit: 100) == Array(0..<20))
    }

    @Test func blocksTheDeviceCannotReadAreNamedAndZero() throws {
        let faulty = FaultyFileSystem()
        faulty.unreadable = 4096..<8192
        try system.replace(path, with: Array(repeating: 7, count: 10000))
        let error = #expect(throws: FileError.self) { try faulty.contents(of: path, limit: 1 << 20) }
        #expect(error?.code == .unreadable)
        let (bytes, unreadable) = try faulty.readableContents(of: path, limit: 1 << 20)
        #expect(unreadable == [4096..<8192])
        #expect(bytes.count == 10000 && bytes[4095] == 7 && bytes[4096] == 0 && bytes[8192] == 7)
    }

    @Test func existingNameIsNotReplacedWhenItMustNotBe() throws {
        try system.replace(path, with: [1])
        try system.replace("\(path)2", with: [2])
        let error = #expect(throws: FileError.self) { try system.rename("\(path)2", to: path, replacing: false) }
        #expect(error?.code == .exists)
        #expect(throws: FileError.self) { try system.replace(path, with: [3], replacing: false) }
        #expect(try system.contents(of: path, limit: 10) == [1])
    }

    @Test func leftoversOfCutOffWritersAreDeletedAndNothingElse() throws {
        try system.replace(path, with: [1])
        for name in ["file.0123456789abcdef.new", "notes.new", "x.0123456789abcdeX.new"] {
            try system.make("\(folder.path)/\(name)", [1], mode: 0o600)
        }
        try system.removeLeftovers(in: folder.path)
        #expect(Set(try system.names(in: folder.path)) == ["file", "notes.new", "x.0123456789abcdeX.new"])
    }

    // A macro cannot take a value that is not copyable.
    private static func sync(_ file: inout DurableFile) throws { try file.sync() }
    private static func write(_ file: inout DurableFile) throws { try file.write([1], at: 0) }
}
