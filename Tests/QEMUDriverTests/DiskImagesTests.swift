import QEMUDriver
import Testing

@Suite struct DiskImagesTests {
    private let folder = TemporaryFolder()
    private let images: DiskImages

    init() throws { images = try DiskImages() }

    @Test(arguments: ["qcow2", "raw", "vhdx"])
    func madeDiskIsWhatWasAskedFor(format: String) async throws {
        let path = "\(folder.path)/a disk, \"quoted\".\(format)"
        try await images.create(path, sizeBytes: 8 << 20, format: format)
        let info = try await images.info(path)
        #expect(info.format == format && info.virtualSizeBytes == 8 << 20)
        #expect(info.backingFile == nil && info.dataFile == nil)
        #expect(!fileExists("\(path).partial"))
    }

    @Test func otherFilesThatAnImageNeedsAreNamed() async throws {
        let tool = Tool(path: "/usr/bin/qemu-img", user: Tool.ownUser)
        let overlay = "\(folder.path)/overlay.qcow2"
        let base = folder.write("base.raw", String(repeating: "x", count: 4096))
        #expect(try await tool.run(["create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", overlay]).succeeded)
        #expect(try await images.info(overlay).backingFile == base)
        let data = "\(folder.path)/data.raw"
        let split = "\(folder.path)/split.qcow2"
        #expect(
            try await tool.run(["create", "-q", "-f", "qcow2", "-o", "data_file=\(data)", split, "1M"]).succeeded
        )
        #expect(try await images.info(split).dataFile == data)
    }

    @Test func dirtyLogIsToldAndReplayedInACopyOnly() async throws {
        let disk = "\(folder.path)/dirty.vhdx"
        try await images.create(disk, sizeBytes: 64 << 20, format: "vhdx")
        let io = Tool(path: "/usr/bin/qemu-io", user: Tool.ownUser)
        // The log is written, the block allocation table at 2 MiB cannot be, and then the program dies.
        let result = try await io.run([
            "--image-opts", "-c", "write -P 0x77 32M 64k", "-c", "abort",
            "driver=vhdx,file.driver=blkdebug,file.image.driver=file,file.image.filename=\(disk),"
                + "file.inject-error.0.event=none,file.inject-error.0.iotype=write,file.inject-error.0.sector=4096",
        ])
        #expect(!result.succeeded)
        let before = readSmallFile(disk, limit: 64 << 20)
        let error = try await #require(throws: EngineError.self) { try await images.info(disk, format: "vhdx") }
        #expect(DiskImages.saysLogIsDirty(error))
        let copy = "\(folder.path)/copy.vhdx"
        try await images.copyFile(disk, to: copy)
        try await images.repair(copy, format: "vhdx")
        #expect(try await images.info(copy, format: "vhdx").virtualSizeBytes == 64 << 20)
        #expect(try await io.run(["-r", "-f", "vhdx", "-c", "read -P 0x77 32M 64k", copy]).succeeded)
        #expect(readSmallFile(disk, limit: 64 << 20) == before)
    }

    @Test func copyReportsProgressAndLeavesTheSourceAlone() async throws {
        let text = String(repeating: "data", count: 1 << 18)
        let source = folder.write("source.raw", text)
        let copy = "\(folder.path)/copy.qcow2"
        let (progress, continuation) = AsyncStream.makeStream(of: Double.self)
        try await images.convert(source, format: "raw", to: copy, format: "qcow2") { continuation.yield($0) }
        continuation.finish()
        #expect(await progress.reduce(0, max) == 1)
        #expect(try await images.info(copy).format == "qcow2")
        #expect(readSmallFile(source, limit: 2 << 20) == Array(text.utf8))
    }

    @Test func failedCopyLeavesNothing() async throws {
        let source = folder.write("source.raw", "this is no qcow2")
        let copy = "\(folder.path)/copy.qcow2"
        await #expect(throws: EngineError.self) {
            try await images.convert(source, format: "qcow2", to: copy, format: "qcow2") { _ in }
        }
        #expect(!fileExists(copy) && !fileExists("\(copy).partial"))
        let error = await #expect(throws: EngineError.self) { _ = try await images.info("\(folder.path)/none") }
        #expect(error?.code == .notFound)
    }

    @Test func diskGrowsAndShrinksOnlyWhenThatIsSaid() async throws {
        let path = "\(folder.path)/disk.qcow2"
        try await images.create(path, sizeBytes: 8 << 20, format: "qcow2")
        try await images.resize(path, format: "qcow2", sizeBytes: 16 << 20, shrink: false)
        await #expect(throws: EngineError.self) {
            try await images.resize(path, format: "qcow2", sizeBytes: 4 << 20, shrink: false)
        }
        #expect(try await images.info(path).virtualSizeBytes == 16 << 20)
        try await images.resize(path, format: "qcow2", sizeBytes: 4 << 20, shrink: true)
        #expect(try await images.info(path).virtualSizeBytes == 4 << 20)
    }

    @Test func existingFileIsNotOverwritten() async throws {
        let path = folder.write("mine.raw", "mine")
        let error = await #expect(throws: EngineError.self) {
            try await images.create(path, sizeBytes: 1 << 20, format: "raw")
        }
        #expect(error?.message == "the file \(path) exists already")
        #expect(readSmallFile(path) == Array("mine".utf8))
    }
}
