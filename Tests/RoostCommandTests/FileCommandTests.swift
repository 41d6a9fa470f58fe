import ArgumentParser
import ConfigStore
import HyperVStorage
import RoostAPI
import Testing
import VMConfiguration

@testable import roost

@Suite struct FileCommandTests {
    @Test func mistakesOfUseEndWithCodeTwo() async {
        let lines: [([String], String)] = [
            (["file", "show"], "Missing expected argument"),
            (["file", "verify"], "Missing expected argument"),
            (["file", "verify", "a", "b", "--copy", "c"], "--copy belongs to one file"),
            (["file", "repair", "a", "--keep-file", "--salvage"], "exclude each other"),
            (["file", "import", "a.txt", "b.txt"], ".vmcx, .vmrs or .xml"),
        ]
        for (words, text) in lines {
            var ending = Ending(code: -1)
            do { _ = try await Roost.asyncParseAsRoot(words) } catch { ending = Roost.ending(after: error) }
            #expect(ending.code == 2, "\(words)")
            #expect(ending.standardError.contains(text), "\(words)")
        }
    }

    @Test func treeIsShownWithTypesAndCannotSteerTheTerminal() {
        let keys = [
            KeyNode(
                "configuration",
                children: [
                    KeyNode("name", .string("w\u{1B}[2Jeb")), KeyNode("version", .int(2048), flags: 2),
                    KeyNode("id", .array(Array(repeating: 0xAB, count: 17))), KeyNode("x\u{7}", .bool(true)),
                    KeyNode("none", .array([])), KeyNode("half", .double(bitPattern: (0.5).bitPattern)),
                    KeyNode("odd", flags: 4), KeyNode("many", .uint(.max)),
                ]
            )
        ]
        let expected = """
            configuration
              name: string "w\\u{1b}[2Jeb"
              version: int 2048 (flags 0x02)
              id: array of 17 bytes ABABABABABABABABABABABABABABABAB…
              x\\u{7}: bool true
              none: array of 0 bytes
              half: double 0.5
              odd: (flags 0x04)
              many: uint 18446744073709551615

            """
        #expect(Render.keys(keys) == expected)
    }

    @Test func jsonOfAKeyKeepsEveryBit() throws {
        let key = KeyNode(
            "a",
            children: [
                KeyNode("d", .double(bitPattern: 0x7FF8_0000_0000_0001)), KeyNode("u", .uint(.max)),
                KeyNode("b", .array([0, 0xFF]), flags: 2),
            ]
        )
        let text = String(decoding: try JSONText.line(KeyJSON(node: key)), as: UTF8.self)
        let expected =
            #"{"children":[{"bits":"0x7FF8000000000001","name":"d","type":"double"},"#
            + #"{"name":"u","type":"uint","value":18446744073709551615},"#
            + #"{"flags":2,"name":"b","type":"array","value":"00FF"}],"name":"a","type":"node"}"#
        #expect(text == expected + "\n")
    }

    @Test func differencesAreNamedByPathWhateverTheOrder() {
        let first = KeyNode(
            "",
            children: [
                KeyNode(
                    "configuration",
                    children: [KeyNode("a", .int(1)), KeyNode("b", .int(2)), KeyNode("c", .bool(true))]
                )
            ]
        )
        var second = first
        second.children[0].children = [KeyNode("c", .bool(true)), KeyNode("a", .uint(1)), KeyNode("d\n", .string("x"))]
        let expected = """
            ~ /configuration/a: int 1 -> uint 1
            - /configuration/b: int 2
            + /configuration/d\\u{a}: string "x"

            """
        #expect(Render.differences(KeyDifference.between(first, second)) == expected)
        #expect(KeyDifference.between(first, first).isEmpty)
    }

    @Test func secondCopyBelongsToAFileOfAStateDirectoryOnly() throws {
        let fixture = try FileFixture()
        #expect(StoredFile(fixture.path).existingCopy == StoredFile(fixture.path).copy)
        #expect(StoredFile(fixture.path).copy?.hasSuffix(".vmcx.copy") == true)
        let folder = "\(fixture.folder)/Hyper-V/Virtual Machines"
        try FileAccess.makeFolder(folder, mode: 0o700)
        try FileAccess.write([1], to: "\(folder)/a.vmcx")
        #expect(StoredFile("\(folder)/a.vmcx").copy == nil)
        #expect(StoredFile("\(fixture.folder)/missing.vmcx").path.hasSuffix("/missing.vmcx"))
    }

    @Test func formIsToldFromTheContents() throws {
        #expect(try KeyFile.form(of: Array("roost-keys 1\n".utf8), "a.vmcx") == .text)
        #expect(try KeyFile.form(of: [0xFF, 0xFE, 0x3C, 0], "a.vmcx") == .xml)
        #expect(try KeyFile.form(of: Array("garbage".utf8), "a.XML") == .xml)
        #expect(try KeyFile.form(of: Array("garbage".utf8), "a") == .storage)
        let error = #expect(throws: APIError.self) { try KeyFile.form(of: Array("RoostCpy…".utf8), "a.copy") }
        #expect(error?.code == .unsupported)
    }
}
