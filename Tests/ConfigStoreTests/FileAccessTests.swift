import ConfigStore
import Testing

#if canImport(Glibc)
    import Glibc
#endif

@Suite struct FileAccessTests {
    @Test func replacedFileHasTheNewBytesAndModeAndLeavesNothingBeside() throws {
        let folder = TemporaryFolder()
        let path = "\(folder.path)/file"
        try FileAccess.write([1, 2, 3], to: path)
        try FileAccess.write([4], to: path, mode: 0o640)
        #expect(try FileAccess.read(path) == [4])
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o640)
        #expect(try FileAccess.names(in: folder.path) == ["file"])
    }

    @Test func existingFileIsLeftAloneWhenItMustNotBeReplaced() throws {
        let folder = TemporaryFolder()
        let path = "\(folder.path)/file"
        try FileAccess.write([1], to: path)
        let error = #expect(throws: StoreError.self) { try FileAccess.write([2], to: path, replacing: false) }
        #expect(error?.code == .exists)
        #expect(try FileAccess.read(path) == [1])
    }

    @Test func failedWriteLeavesTheOldFileAndNoTemporaryOne() throws {
        let folder = TemporaryFolder()
        // A folder that is not empty cannot be replaced by a file, so the rename fails after the write.
        let path = "\(folder.path)/taken"
        try FileAccess.makeFolder("\(path)/inner", mode: 0o700)
        #expect(throws: StoreError.self) { try FileAccess.write([1], to: path) }
        #expect(try FileAccess.names(in: folder.path) == ["taken"])
        #expect(exists("\(path)/inner"))
    }

    @Test func pipeFolderLinkAndTooLargeAFileAreRefusedWithoutWaiting() throws {
        let folder = TemporaryFolder()
        mkfifo("\(folder.path)/pipe", 0o600)
        #expect(throws: StoreError.self) { try FileAccess.read("\(folder.path)/pipe") }
        #expect(throws: StoreError.self) { try FileAccess.read(folder.path) }
        try FileAccess.write([1, 2, 3], to: "\(folder.path)/file")
        #expect(throws: StoreError.self) { try FileAccess.read("\(folder.path)/file", limit: 2) }
        symlink("file", "\(folder.path)/link")
        #expect(try FileAccess.read("\(folder.path)/link") == [1, 2, 3])
        #expect(throws: StoreError.self) { try FileAccess.read("\(folder.path)/link", followingLinks: false) }
    }

    @Test func missingFileIsNotFoundAndRemovingItIsNoError() throws {
        let folder = TemporaryFolder()
        let error = #expect(throws: StoreError.self) { try FileAccess.read("\(folder.path)/none") }
        #expect(error?.code == .notFound)
        try FileAccess.remove("\(folder.path)/none")
    }

    @Test func secondRoostdIsKeptOutOfTheFolderUntilTheFirstEnds() throws {
        let folder = TemporaryFolder()
        let directory = try makeDirectory(folder)
        let first = try directory.lock()
        let error = #expect(throws: StoreError.self) { _ = try directory.lock() }
        #expect(error?.code == .busy && error?.message.contains("--state-dir") == true)
        close(first)
        close(try directory.lock())
    }
}
