import Foundation
import HyperVStorage
import Testing

/// Files written by Hyper-V itself, read in place where they are.
enum Samples {
    static let directory: URL = {
        if let path = ProcessInfo.processInfo.environment["ROOST_SAMPLES"] { return URL(fileURLWithPath: path) }
        return URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/samples")
    }()

    static var arePresent: Bool {
        FileManager.default.fileExists(atPath: directory.appendingPathComponent("gen1-9.0.vmcx").path)
    }

    static func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: directory.appendingPathComponent(name)))
    }
}

@Suite(.enabled(if: Samples.arePresent)) struct SampleFileTests {
    /// The keys in the form of the listings: path, type, sequence, value, one key a line.
    private func listing(_ node: KeyNode, _ path: String = "") -> [String] {
        node.children.flatMap { child -> [String] in
            let name = "\(path)/\(child.name)"
            return ["\(name)\t\(text(child))"] + listing(child, name)
        }
    }

    private func text(_ node: KeyNode) -> String {
        let sequence = "seq=\(node.origin?.sequence ?? 0)"
        switch node.value {
        case .node: return "Node\t\(sequence)\t"
        case .int(let value): return "Int\t\(sequence)\t\(value)"
        case .uint(let value): return "UInt\t\(sequence)\t\(value)"
        case .bool(let value): return "Bool\t\(sequence)\t\(value ? 1 : 0)"
        case .double(let value): return "Double\t\(sequence)\t\(Double(bitPattern: value))"
        case .string(let value):
            let escaped = value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
            return "String\t\(sequence)\t\"\(escaped)\""
        case .array(let value):
            return "Array\t\(sequence)\t{\"base64\": \"\(Data(value).base64EncodedString())\", \"len\": \(value.count)}"
        }
    }

    @Test func treeEqualsItsListing() throws {
        let tree = try StorageFile(parsing: Samples.bytes("gen1-9.0.vmcx")).tree
        let expected = String(decoding: try Samples.bytes("gen1-9.0.vmcx.tree.txt"), as: UTF8.self)
        #expect(Set(listing(tree)) == Set(expected.split(separator: "\n").map(String.init)))
        #expect(listing(tree).count == 409)
    }

    @Test(arguments: ["gen1-9.0.vmcx", "gen1-9.0.vmrs"]) func realFileIsSoundAndStaysAsItIs(name: String) throws {
        let bytes = try Samples.bytes(name)
        var file = try StorageFile(parsing: bytes)
        #expect(file.recovery.isClean)
        #expect(StorageFile.verify(bytes).isEmpty)
        #expect(try file.commit(file.tree).isEmpty)
    }

    @Test(arguments: ["gen1-9.0.vmcx", "gen1-9.0.vmrs"]) func oneChangeLeavesEverythingElse(name: String) throws {
        var bytes = try Samples.bytes(name)
        let before = bytes
        var file = try StorageFile(parsing: bytes)
        var tree = file.tree
        tree.set("configuration/properties/version", .int(2560))
        let actions = try file.commit(tree)
        StorageAction.apply(actions, to: &bytes)
        let again = try StorageFile(parsing: bytes)
        #expect(again.tree == tree)
        StorageAction.apply(file.settle(), to: &bytes)
        #expect(try StorageFile(parsing: bytes).tree == tree)
        #expect(StorageFile.verify(bytes).isEmpty)
        // Headers, table sequence and checksum, and the entry; the rest lies in the replay log.
        let log = actions.compactMap { if case .write(let offset, _) = $0 { Int(offset) } else { nil } }[1] - 34
        let size = name.hasSuffix("vmcx") ? 0x9000 : 0x4000
        let changed = before.indices.filter {
            bytes[$0] != before[$0] && $0 >= 0x2000 && !(log..<log + size).contains($0)
        }
        #expect(changed.count <= 2 + 4 + 8 + 4)
    }

    @Test(arguments: ["gen1-9.0.vmcx", "gen1-9.0.vmrs"]) func longWalkFromARealFileReadsBack(name: String) throws {
        var bytes = try Samples.bytes(name)
        var file = try StorageFile(parsing: bytes)
        var maker = TreeMaker(seed: 42)
        for _ in 0..<60 {
            var tree = file.tree
            for _ in 0..<5 { maker.change(&tree) }
            StorageAction.apply(try file.commit(tree), to: &bytes)
            #expect(try StorageFile(parsing: bytes).tree == tree)
            // A log that stays in force until the next commit is worth a notice, and no more.
            #expect(StorageFile.verify(bytes).allSatisfy { $0.severity == .notice })
        }
        StorageAction.apply(file.settle(), to: &bytes)
        #expect(StorageFile.verify(bytes).isEmpty)
    }
}
