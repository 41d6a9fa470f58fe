import Foundation
import HyperVStorage
import Testing
import VMConfiguration

/// Reads what Roost wrote with Python's own XML reader, when `ROOST_PYTHON` names a Python.
@Suite(.enabled(if: ElementTree.python != nil)) struct ElementTreeTests {
    @Test func anotherReaderFindsTheSameKeys() throws {
        for seed in [21, 22, 23, 24] as [UInt64] {
            var maker = XMLTreeMaker(seed: seed)
            let tree = maker.tree(keys: 120)
            #expect(try ElementTree.read(ConfigurationXML.serialize(tree)) == tree, "seed \(seed)")
        }
    }

    @Test(arguments: Generation.allCases) func anotherReaderFindsTheKeysOfAVirtualMachine(
        generation: Generation
    ) throws {
        let root = try makeConfiguration(generation, .v5_0) { $0.notes = "<one>\r\n& two" }.root
        #expect(try ElementTree.read(ConfigurationXML.serialize(root)) == root)
    }

    @Test(.enabled(if: Samples.arePresent), arguments: ["gen1-5.0-8bit.xml", "gen2-5.0.xml"])
    func anotherReaderFindsTheKeysOfARewrittenFile(name: String) throws {
        let bytes = [UInt8](try Data(contentsOf: Samples.directory.appendingPathComponent(name)))
        let root = try ConfigurationXML.parse(bytes).root
        #expect(try ElementTree.read(ConfigurationXML.serialize(root)) == root)
    }
}

/// Python's `xml.etree`, a reader that shares nothing with Roost's.
enum ElementTree {
    static let python = ProcessInfo.processInfo.environment["ROOST_PYTHON"]

    /// Prints each element as its name, type, text and children.
    private static let script = """
        import json, sys, xml.etree.ElementTree as tree
        def walk(e):
            assert set(e.keys()) <= {"type"} and not (e.tail or "").strip()
            return [e.tag, e.get("type"), e.text or "", [walk(child) for child in e]]
        print(json.dumps(walk(tree.parse(sys.argv[1]).getroot())))
        """

    /// The tree of a file.
    static func read(_ bytes: [UInt8]) throws -> KeyNode {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("roost-\(UUID().uuidString).xml")
        try Data(bytes).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(python))
        process.arguments = ["-c", script, file.path]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
        return try node(JSONSerialization.jsonObject(with: output))
    }

    private static func node(_ json: Any) throws -> KeyNode {
        let parts = try #require(json as? [Any])
        let text = try #require(parts[2] as? String)
        let value: KeyValue
        switch parts[1] as? String {
        case "integer": value = .int(try #require(Int64(text)))
        case "bool":
            #expect(text == "True" || text == "False")
            value = .bool(text == "True")
        case "bytes":
            value = .array([UInt8](try #require(Data(base64Encoded: text, options: .ignoreUnknownCharacters))))
        case "string": value = .string(text)
        default:
            value = .node
            #expect(text.trimmingCharacters(in: .whitespacesAndNewlines).isEmpty)
        }
        let name = try #require(parts[0] as? String)
        return KeyNode(name, value, children: try #require(parts[3] as? [Any]).map(node))
    }
}
