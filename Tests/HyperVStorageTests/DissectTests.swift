import Foundation
import HyperVStorage
import Testing

enum Dissect {
    static let python = ProcessInfo.processInfo.environment["ROOST_PYTHON"]
}

/// Reads files that Roost wrote with dissect.hypervisor, when `ROOST_PYTHON` names a Python that has it.
@Suite(.enabled(if: Dissect.python != nil)) struct DissectTests {
    private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("scripts/vmcx_dissect.py")

    /// Runs the script on a file with `bytes` and returns what it prints.
    private func run(_ options: [String], _ bytes: [UInt8]) throws -> Data {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("roost-\(UUID().uuidString).vmcx")
        try Data(bytes).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(Dissect.python))
        process.arguments = [Self.script.path] + options + [file.path]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return output
    }

    /// The tree as the script prints it.
    private func tree(_ bytes: [UInt8]) throws -> [KeyNode] {
        let keys = try #require(try JSONSerialization.jsonObject(with: try run([], bytes)) as? [Any])
        return try keys.map(node)
    }

    private func node(_ json: Any) throws -> KeyNode {
        let parts = try #require(json as? [Any])
        let name = try #require(parts[0] as? String)
        let number = parts[2] as? NSNumber
        let children = try #require(parts[3] as? [Any]).map(node)
        let value: KeyValue
        switch try #require(parts[1] as? String) {
        case "Int": value = .int(try #require(number).int64Value)
        case "UInt": value = .uint(try #require(number).uint64Value)
        case "Bool": value = .bool(try #require(number).boolValue)
        case "String": value = .string(try #require(parts[2] as? String))
        case "Array":
            let text = try #require((parts[2] as? [String: String])?["base64"])
            value = .array([UInt8](try #require(Data(base64Encoded: text))))
        // JSON cannot hold it exactly; what it is compared with is made the same.
        case "Double": value = .int(0)
        default: value = .node
        }
        return KeyNode(name, value, children: children)
    }

    /// A tree without flags, which the script does not print, and without doubles, which JSON cannot hold exactly.
    private func comparable(_ node: KeyNode) -> KeyNode {
        var copy = node
        copy.flags = 0
        if case .double = copy.value { copy.value = .int(0) }
        copy.children = node.children.map(comparable)
        return copy
    }

    @Test func otherReaderFindsTheSameKeysAfterEveryCommit() throws {
        for seed in [11, 12, 13] as [UInt64] {
            var maker = TreeMaker(seed: seed)
            var (file, bytes) = try StorageFile.create(tree: comparable(maker.tree(keys: 150)))
            #expect(try tree(bytes) == file.tree.children.map(comparable))
            for _ in 0..<4 {
                var changed = file.tree
                for _ in 0..<30 { maker.change(&changed) }
                StorageAction.apply(try file.commit(comparable(changed)), to: &bytes)
                #expect(try tree(bytes) == file.tree.children.map(comparable))
            }
        }
    }

    @Test func otherReaderFollowsChainedObjectTables() throws {
        var root = KeyNode("", children: [KeyNode("r")])
        for index in 0..<260 { root.set("r/v\(index)", .array([UInt8](repeating: 3, count: 2048 + index))) }
        let (file, bytes) = try StorageFile.create(tree: root)
        #expect(try tree(bytes) == file.tree.children.map(comparable))
    }

    @Test func summaryNamesTheMachine() throws {
        var root = KeyNode("")
        root.set("configuration/properties/name", .string("Grüße"))
        root.set("configuration/properties/subtype", .int(1))
        root.set("configuration/properties/version", .int(2048))
        root.set("configuration/settings/memory/bank/size", .int(512))
        let output = String(decoding: try run(["--summary"], StorageFile.create(tree: root).bytes), as: UTF8.self)
        #expect(output == "name: Grüße\ngeneration: 2\nversion: 8.0\nmemory: 512 MB\n")
    }

    @Test(.enabled(if: Samples.arePresent), arguments: ["gen1-9.0.vmcx", "gen1-9.0.vmrs"])
    func otherReaderReadsRealFilesThatWereChanged(name: String) throws {
        var bytes = try Samples.bytes(name)
        var file = try StorageFile(parsing: bytes)
        var changed = file.tree
        changed.set("configuration/properties/version", .int(2560))
        changed.set("configuration/new/text", .string(String(repeating: "Grüße ", count: 700)))
        StorageAction.apply(try file.commit(changed), to: &bytes)
        StorageAction.apply(file.settle(), to: &bytes)
        #expect(StorageFile.verify(bytes).isEmpty)
        let found = try tree(bytes)
        #expect(found == changed.children.map(comparable))
        #expect(found != (try StorageFile(parsing: Samples.bytes(name))).tree.children.map(comparable))
    }
}
