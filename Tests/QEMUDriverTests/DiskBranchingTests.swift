import QEMUDriver
import Synchronization
import Testing

/// Chains of disk files, against the real qemu-img.
@Suite struct DiskBranchingTests {
    private let folder = TemporaryFolder()
    private let images: DiskImages
    private let io = Tool(path: "/usr/bin/qemu-io", user: Tool.ownUser)

    init() throws { images = try DiskImages() }

    private func run(_ program: String, _ arguments: [String]) async throws {
        let result = try await Tool(path: program, user: Tool.ownUser).run(arguments)
        try #require(result.succeeded, "\(result)")
    }

    private func disk(_ name: String) -> String { "\(folder.path)/\(name)" }

    /// Writes a byte again and again, a MiB per layer, at a MiB's offset.
    private func write(_ byte: Int, at mebibyte: Int, to path: String, format: String = "qcow2") async throws {
        let result = try await io.run(["-f", format, "-c", "write -P \(byte) \(mebibyte)M 1M", path])
        try #require(result.succeeded, "\(result)")
    }

    private func holds(_ byte: Int, at mebibyte: Int, in path: String, format: String = "qcow2") async throws -> Bool {
        let result = try await io.run(["-r", "-f", format, "-c", "read -P \(byte) \(mebibyte)M 1M", path])
        return result.succeeded && !String(decoding: result.output, as: UTF8.self).contains("verification failed")
    }

    @Test(arguments: ["raw", "qcow2", "vhdx"])
    func overlayReadsWhatIsBelowAndKeepsItsBase(format: String) async throws {
        // A colon, a quote and a blank: none of them may be taken for something else.
        let (base, overlay) = (disk("a:b \"c\", d.\(format)"), disk("a:b.1.qcow2"))
        try await images.create(base, sizeBytes: 16 << 20, format: format)
        try await write(1, at: 0, to: base, format: format)
        try await images.createOverlay(overlay, over: base, format: format)
        let info = try await images.info(overlay, format: "qcow2")
        #expect(info.format == "qcow2" && info.virtualSizeBytes == 16 << 20 && info.backingFile == base)
        #expect(backingFile(of: overlay) == base && backingFile(of: base) == nil)
        #expect(info.backingFormat == format)
        #expect(try await images.holdsData(overlay) == false)
        try await write(2, at: 1, to: overlay)
        #expect(try await images.holdsData(overlay))
        #expect(try await holds(1, at: 0, in: overlay))
        #expect(try await holds(2, at: 1, in: overlay))
        #expect(try await holds(0, at: 1, in: base, format: format))
        await #expect(throws: EngineError.self) {
            try await images.createOverlay(overlay, over: base, format: format)
        }
        await #expect(throws: EngineError.self) {
            try await images.createOverlay(disk("other.qcow2"), over: disk("missing"), format: format)
        }
        #expect(!fileExists(disk("other.qcow2")) && !fileExists(disk("other.qcow2.partial")))
    }

    @Test func middleOfAChainIsMergedDownwardsAndTheUpperFileStandsOnItsBase() async throws {
        let (base, middle, top) = (disk("base.raw"), disk("middle.qcow2"), disk("top.qcow2"))
        try await images.create(base, sizeBytes: 8 << 20, format: "raw")
        try await images.createOverlay(middle, over: base, format: "raw")
        try await write(2, at: 1, to: middle)
        try await images.createOverlay(top, over: middle, format: "qcow2")
        try await write(3, at: 2, to: top)

        let seen = Mutex<[Double]>([])
        try await images.merge(middle, into: base) { fraction in seen.withLock { $0.append(fraction) } }
        #expect(seen.withLock { $0.last } == 1)
        // Nothing above has noticed; doing it again changes nothing.
        try await images.merge(middle, into: base)
        #expect(try await holds(2, at: 1, in: middle))
        #expect(try await holds(3, at: 2, in: top))
        try await images.changeBase(top, to: base, format: "raw")
        #expect(try await images.info(top, format: "qcow2").backingFile == base)
        try await run("/bin/rm", [middle])
        #expect(try await holds(2, at: 1, in: top))
        #expect(try await holds(3, at: 2, in: top))
        #expect(try await holds(2, at: 1, in: base, format: "raw"))
        #expect(try await images.problem(with: top, format: "qcow2") == nil)
        let error = await #expect(throws: EngineError.self) { try await images.merge(top, into: disk("other.raw")) }
        #expect(error?.code == .notFound)
        try await images.create(disk("other.raw"), sizeBytes: 8 << 20, format: "raw")
        await #expect(throws: EngineError.self) { try await images.merge(top, into: disk("other.raw")) }
    }

    @Test func overlayOfAnotherFolderNamesItsBaseInFull() async throws {
        let other = disk("other")
        try await run("/bin/mkdir", [other])
        let base = disk("base.qcow2")
        try await images.create(base, sizeBytes: 8 << 20, format: "qcow2")
        try await images.createOverlay("\(other)/top.qcow2", over: base, format: "qcow2")
        try await run("/bin/mv", ["\(other)/top.qcow2", disk("moved.qcow2")])
        #expect(try await images.info(disk("moved.qcow2"), format: "qcow2").backingFile == base)
    }

    @Test func damagedFileIsToldFromALeakingOne() async throws {
        let path = disk("damaged.qcow2")
        try await images.create(path, sizeBytes: 8 << 20, format: "qcow2")
        try await write(1, at: 0, to: path)
        #expect(try await images.problem(with: path, format: "qcow2") == nil)
        // The first entry of the L1 table leads behind the end of the file.
        let script = "printf '\\200\\000\\000\\177\\377\\377\\000\\000' | dd of=\"$0\" bs=1 seek=196608 conv=notrunc"
        try await run("/bin/sh", ["-c", script, path])
        #expect(try await images.problem(with: path, format: "qcow2") != nil)
        await #expect(throws: EngineError.self) {
            _ = try await images.problem(with: disk("missing"), format: "qcow2")
        }
    }
}
