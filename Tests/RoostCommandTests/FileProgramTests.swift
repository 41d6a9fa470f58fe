import ConfigStore
import Foundation
import HyperVStorage
import Testing
import VMConfiguration

@testable import roost

/// The built `roost file …` on files, without a daemon.
@Suite struct FileProgramTests {
    @Test(arguments: [ConfigurationVersion.v8_0, .v5_0]) func wholeFileIsSoundShownAndComesBackFromText(
        version: ConfigurationVersion
    ) throws {
        let fixture = try FileFixture(version)
        let verified = try roost("file", "verify", fixture.path)
        #expect(verified.status == 0 && verified.text.contains(": sound (") && verified.errors.isEmpty, "\(verified)")
        let shown = try roost("file", "show", fixture.path, "--key", "configuration/properties")
        #expect(shown.status == 0 && shown.text.contains("  name: string \"web\"\n"), "\(shown)")
        let text = "\(fixture.folder)/web.txt"
        #expect(try roost("file", "export", fixture.path, text).status == 0)
        for name in ["web.vmcx", "web.xml"] where version == .v5_0 || name == "web.vmcx" {
            let made = "\(fixture.folder)/\(name)"
            #expect(try roost("file", "import", text, made).status == 0)
            let difference = try roost("file", "diff", fixture.path, made)
            #expect(difference.status == 0 && difference.text.isEmpty, "\(difference)")
            #expect(try roost("file", "export", made).text == String(decoding: try fixture.bytes(text), as: UTF8.self))
            // What is there stays, unless --force is given.
            #expect(try roost("file", "import", text, made).status == 4)
            #expect(try roost("file", "import", text, made, "--force").status == 0)
        }
        let several = try roost("file", "verify", fixture.path, text, "--output", "json")
        #expect(try several.json([VerifiedFile].self).map(\.isSound) == [true, true])
    }

    @Test func failuresHaveTheExitCodesOfTheTable() throws {
        let fixture = try FileFixture()
        let noise = try fixture.write(String(repeating: "noise", count: 2000).utf8, "noise.vmcx")
        let newer = try fixture.write("roost-keys 2\n".utf8, "newer.txt")
        let slip = try fixture.write("roost-keys 1\na\n  b int x\n".utf8, "slip.txt")
        let variables = try fixture.write([UInt8](repeating: 0, count: 5000), "web.vmgs")
        let unfit = try fixture.write("roost-keys 1\na uint 1\n".utf8, "unfit.txt")
        let cases: [([String], Int32, String)] = [
            (["show", "\(fixture.folder)/missing"], 3, "missing"),
            (["verify", "\(fixture.folder)/missing"], 3, "missing"),
            (["show", noise], 7, "noise.vmcx"), (["show", fixture.folder], 7, "regular file"),
            (["show", fixture.path, "--key", "a/b"], 3, "a/b"), (["show", fixture.copy], 5, "second copy"),
            (["show", newer], 5, "line 1"), (["import", slip, "\(fixture.folder)/a.vmcx"], 7, "line 3"),
            (["import", unfit, "\(fixture.folder)/a.xml"], 2, "unsigned integer"),
            (["import", unfit, "\(fixture.folder)/no/a.vmcx"], 3, "no/a.vmcx"),
            (["export", fixture.path, "/dev/null", "--force"], 2, "regular file"),
            (["diff", fixture.path, noise], 7, "noise"), (["repair", noise, "--yes"], 7, "nothing can be saved"),
            (["repair", fixture.path, "--copy", "\(fixture.folder)/no.copy", "--dry-run"], 3, "no.copy"),
            (["repair", fixture.path, "--copy", noise, "--yes"], 2, "no second copy"),
            (["verify", variables], 5, "host scrub"), (["repair", variables, "--dry-run"], 5, "host scrub"),
            (["repair", slip, "--dry-run"], 2, "text"),
        ]
        let before = try fixture.everything()
        for (arguments, code, words) in cases {
            let result = try roost(["file"] + arguments)
            #expect(result.status == code, "\(arguments): \(result)")
            #expect(result.errors.contains(words) && result.errors.hasPrefix("roost: "), "\(arguments): \(result)")
        }
        #expect(!FileManager.default.fileExists(atPath: "\(fixture.folder)/a.vmcx"))
        #expect(try fixture.everything() == before)
    }

    @Test func severalFilesAreCheckedWhateverOneOfThemIs() throws {
        let fixture = try FileFixture()
        let damaged = try fixture.write(try fixture.bytes(fixture.path), "damaged.vmcx")
        try fixture.garble(damaged, block: 4)
        let missing = "\(fixture.folder)/missing"
        let result = try roost("file", "verify", damaged, missing, fixture.path)
        #expect(result.status == 7)
        #expect(result.text.contains("damaged.vmcx: damaged (") && result.text.contains(" at 0x4"), "\(result)")
        #expect(result.text.contains("\(fixture.path): sound"), "\(result)")
        #expect(result.errors.contains("missing"))
        #expect(try roost("file", "verify", missing, damaged).status == 3)
    }

    @Test func repairSaysWhatItWouldDoThenDoesItAndKeepsTheDamagedFile() throws {
        let fixture = try FileFixture()
        let good = try KeyFile(fixture.path).tree
        try fixture.garble(fixture.path, block: 3)
        let damaged = try fixture.bytes(fixture.path)
        let before = try fixture.everything()
        let plan = try roost("file", "repair", fixture.path, "--dry-run", "--output", "json")
        let planned = try plan.json(RepairedFile.self)
        #expect(plan.status == 0 && planned.chosen == 0 && planned.sources.first?.kind == "copy", "\(plan)")
        #expect(planned.problems.contains { $0.contains("0x3") } && !planned.isRepaired)
        // Nobody can be asked, so nothing is done.
        let asked = try roost("file", "repair", fixture.path)
        #expect(asked.status == 2 && asked.errors.contains("--yes"))
        var after = try fixture.everything()
        after["state/.lock"] = nil
        #expect(after == before)
        let done = try roost("file", "repair", fixture.path, "--yes", "--output", "json")
        let repaired = try done.json(RepairedFile.self)
        #expect(done.status == 0 && repaired.isRepaired, "\(done)")
        #expect(try fixture.bytes(try #require(repaired.keptAs)) == damaged)
        let paths = KeyDifference.between(good, try KeyFile(fixture.path).tree).map(\.path)
        #expect(paths == ["/configuration/roost/generation"])
        #expect(try roost("file", "verify", fixture.path).status == 0)
        #expect(try roost("file", "repair", fixture.path, "--yes").text.contains("nothing to do"))
    }

    @Test func missingFileIsMadeFromItsCopy() throws {
        let fixture = try FileFixture()
        try FileAccess.remove(fixture.path)
        #expect(try roost("file", "repair", fixture.path, "--yes").status == 0)
        #expect(try roost("file", "verify", fixture.path).status == 0)
    }

    @Test func lossIsOnlyForThoseWhoAskForIt() throws {
        let fixture = try FileFixture()
        let alone = try fixture.write(try fixture.bytes(fixture.path), "alone.vmcx")
        try fixture.garble(alone, block: 5)
        let damaged = try fixture.bytes(alone)
        #expect(try roost("file", "show", alone).status == 7)
        let shown = try roost("file", "show", alone, "--salvage")
        #expect(shown.status == 0 && shown.text.contains("configuration") && shown.errors.contains("0x5"), "\(shown)")
        let refused = try roost("file", "repair", alone, "--yes")
        #expect(refused.status == 7 && refused.errors.contains("--salvage"), "\(refused)")
        #expect(try fixture.bytes(alone) == damaged)
        #expect(try roost("file", "repair", alone, "--yes", "--salvage").status == 0)
        #expect(try roost("file", "verify", alone).status == 0)
        #expect(try fixture.bytes("\(alone).damaged-1") == damaged)
    }

    @Test func sealedFileIsSoundByItselfAndItsKeptCopyIsNobodyElses() throws {
        let fixture = try FileFixture()
        let sealed = fixture.path.replacing(".vmcx", with: ".6.2.vmcx.sealed")
        try FileAccess.write(try fixture.bytes(fixture.path), to: sealed)
        try FileAccess.write(
            Array("RoostKpt".utf8) + Array(repeating: 1, count: 4096),
            to: fixture.directory.copy(of: sealed)
        )
        let places = [sealed, fixture.directory.copy(of: sealed)]
        let before = try places.map(fixture.bytes)
        #expect(try roost("file", "verify", sealed).status == 0)
        #expect(try roost("file", "repair", sealed, "--yes").text.contains("nothing to do"))
        #expect(try places.map(fixture.bytes) == before)
    }

    @Test func repairSaysThatAMachineWouldStayBrokenAndWhatIsSealed() throws {
        let fixture = try FileFixture()
        let sound = try fixture.bytes(fixture.path)
        let sealed = fixture.path.replacing(".vmcx", with: ".6.2.vmcx.sealed")
        let name = String(sealed.split(separator: "/").last ?? "")
        try FileAccess.write(sound, to: sealed)
        try FileAccess.write(Array(repeating: 1, count: 32768), to: fixture.copy)
        var told = 0
        for block in 0..<sound.count / 4096 {
            try FileAccess.write(sound, to: fixture.path)
            try fixture.garble(fixture.path, block: block)
            let run = try roost("file", "repair", fixture.path, "--dry-run", "--salvage")
            guard run.text.contains("would stay broken") else { continue }
            told += 1
            #expect(run.text.contains("properties") || run.text.contains("/configuration"), "\(run)")
            #expect(run.text.contains(name), "\(run)")
        }
        #expect(told > 0)
        try FileAccess.write(Array(repeating: 1, count: 32768), to: fixture.path)
        let refused = try roost("file", "repair", fixture.path, "--yes")
        #expect(refused.status == 7 && refused.errors.contains(name), "\(refused)")
    }

    @Test func nothingIsWrittenWhileRoostdUsesTheStateDirectory() throws {
        let fixture = try FileFixture()
        try fixture.garble(fixture.path, block: 3)
        let text = try fixture.write("roost-keys 1\na\n".utf8, "a.txt")
        let descriptor = try fixture.directory.lock()
        let before = try fixture.everything()
        for arguments in [["repair", fixture.path, "--yes"], ["import", text, fixture.path, "--force"]] {
            let result = try roost(["file"] + arguments)
            #expect(result.status == 4 && result.errors.contains("systemctl stop roostd"), "\(result)")
        }
        #expect(try roost("file", "repair", fixture.path, "--dry-run").status == 0)
        #expect(try roost("file", "verify", fixture.path).status == 7)
        #expect(try fixture.everything() == before)
        #expect(close(descriptor) == 0)
    }

    @Test func configurationOfAnotherMachineIsNotMadeAnewFromItself() throws {
        let (fixture, other) = (try FileFixture(), try FileFixture())
        try FileAccess.write(try other.bytes(other.path), to: fixture.path)
        let told = try roost("file", "repair", fixture.path, "--dry-run")
        #expect(told.text.contains("another virtual machine"), "\(told)")
        let copy = try fixture.bytes(fixture.copy)
        try FileAccess.remove(fixture.copy)
        let before = try fixture.bytes(fixture.path)
        let refused = try roost("file", "repair", fixture.path, "--yes")
        #expect(refused.status == 7 && refused.errors.contains("another virtual machine"), "\(refused)")
        #expect(try fixture.bytes(fixture.path) == before)
        #expect(!FileManager.default.fileExists(atPath: fixture.copy))
        try FileAccess.write(copy, to: fixture.copy)
        #expect(try roost("file", "repair", fixture.path, "--yes").status == 0)
        #expect(try roost("file", "verify", fixture.path).status == 0)
    }

    @Test func copiesInAnotherFolderAreFound() throws {
        let folder = try FileFixture().folder + "-apart"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let directory = StateDirectory("\(folder)/state", copies: "\(folder)/elsewhere")
        try directory.prepare()
        try directory.noteCopies()
        let store = ConfigurationStore(directory: directory, supportedVersions: [.v8_0])
        let configuration = try VirtualMachineConfiguration.new(NewVirtualMachine(name: "apart", version: .v8_0))
        let path = try store.create(configuration)
        try FileAccess.write(Array(repeating: 7, count: 65536), to: path)
        let repaired = try roost("file", "repair", path, "--yes")
        #expect(repaired.status == 0, "\(repaired)")
        #expect(try store.load(id: configuration.id, path: path).name == "apart")
        #expect(try roost("file", "verify", path).status == 0)
        #expect(!FileManager.default.fileExists(atPath: "\(directory.root)/Configuration Copies"))
        // A backup of the directory has nothing to do with the original's copies.
        try FileManager.default.copyItem(atPath: directory.root, toPath: "\(folder)/backup")
        let name = path.dropFirst(directory.root.count)
        let before = try FileAccess.read(directory.copy(of: path))
        try FileAccess.write(Array(repeating: 7, count: 65536), to: "\(folder)/backup\(name)")
        let refused = try roost("file", "repair", "\(folder)/backup\(name)", "--yes")
        #expect(refused.status != 0, "\(refused)")
        #expect(try FileAccess.read(directory.copy(of: path)) == before)
        // Back in the state directory, nothing else is looked for.
        try StateDirectory(directory.root).noteCopies()
        #expect(!FileManager.default.fileExists(atPath: "\(directory.root)/copies-folder"))
    }

    private func setTime(of path: String, as other: String) throws {
        var status = stat()
        try #require(stat(other, &status) == 0)
        var times = [status.st_atim, status.st_mtim]
        try #require(utimensat(AT_FDCWD, path, &times, 0) == 0)
    }

    /// One block of 4 KiB is zero, noise, or has one bit changed: its offset is among the findings, every time.
    @Test(arguments: [ConfigurationVersion.v8_0, .v5_0]) func eachOfAThousandDamagedBlocksIsNamed(
        version: ConfigurationVersion
    ) throws {
        let fixture = try FileFixture(version)
        let suffix = version.fileFormat.fileExtension
        let good = try fixture.bytes(fixture.path)
        let copy = try fixture.bytes(fixture.copy)
        var random = SeededBytes(seed: 2026)
        let blocks = (good.count + 4095) / 4096
        var missed: [String] = []
        for batch in 0..<10 {
            let folder = StateDirectory("\(fixture.folder)/batch-\(batch)")
            try folder.prepare()
            var damage: [(path: String, block: Int)] = []
            while damage.count < 100 {
                let block = Int.random(in: 0..<blocks, using: &random)
                let range = block * 4096..<min(good.count, block * 4096 + 4096)
                var bytes = good
                switch damage.count % 3 {
                case 0: for index in range { bytes[index] = 0 }
                case 1: for index in range { bytes[index] = .random(in: 0...255, using: &random) }
                default: bytes[.random(in: range, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                }
                // Zeros over zeros are no damage.
                guard bytes != good else { continue }
                let path = "\(folder.virtualMachines)/\(damage.count).\(suffix)"
                try Data(bytes).write(to: URL(fileURLWithPath: path))
                // A device that loses a block leaves the file's time as it was.
                try setTime(of: path, as: fixture.path)
                try Data(copy).write(to: URL(fileURLWithPath: folder.copy(of: path)))
                damage.append((path, block))
            }
            let result = try roost(["file", "verify", "--output", "json"] + damage.map(\.path))
            #expect(result.status == 7, "\(result)")
            let reports = try result.json([VerifiedFile].self)
            try #require(reports.count == damage.count)
            for (report, damage) in zip(reports, damage)
            where report.isSound || !report.findings.contains(where: { $0.offset.map { $0 / 4096 } == damage.block }) {
                missed.append("\(damage): \(report.findings)")
            }
            try FileManager.default.removeItem(atPath: folder.root)
        }
        #expect(missed.isEmpty, "\(missed.count): \(missed.prefix(3))")
    }
}

/// Files written by Hyper-V itself, read in place where they are.
private enum RealSamples {
    static let directory: String = {
        if let path = ProcessInfo.processInfo.environment["ROOST_SAMPLES"] { return path }
        return URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/samples").path
    }()

    static var arePresent: Bool { FileManager.default.fileExists(atPath: "\(directory)/gen1-9.0.vmcx") }
}

@Suite(.enabled(if: RealSamples.arePresent)) struct RealSampleFileTests {
    @Test(arguments: ["gen1-9.0.vmcx", "gen1-9.0.vmrs", "gen2-5.0.xml", "gen1-5.0-8bit.xml"])
    func realFileIsSoundAndComesBackFromText(name: String) throws {
        let path = "\(RealSamples.directory)/\(name)"
        let verified = try roost("file", "verify", path)
        #expect(verified.status == 0 && verified.text.contains("sound"), "\(verified)")
        #expect(try roost("file", "show", path, "--output", "json").status == 0)
        let folder = NSTemporaryDirectory() + "/roost-real-\(String(UInt64.random(in: 0...UInt64.max), radix: 36))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let text = try TextForm.serialize(KeyFile(path).tree)
        #expect(try roost("file", "export", path, "\(folder)/a.txt").status == 0)
        #expect(try FileAccess.read("\(folder)/a.txt") == text)
        for target in ["a.vmcx", "a.xml"] where target == "a.vmcx" || name.hasSuffix(".xml") {
            #expect(try roost("file", "import", "\(folder)/a.txt", "\(folder)/\(target)").status == 0)
            #expect(try roost("file", "diff", path, "\(folder)/\(target)").text.isEmpty)
        }
        #expect(try KeyFile("\(folder)/a.vmcx").tree == KeyFile(path).tree)
    }
}

/// Numbers that look random and are the same for the same seed.
private struct SeededBytes: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        // SplitMix64.
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}
