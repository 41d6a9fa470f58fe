import Foundation
import HyperVStorage
import Testing
import VMConfiguration

/// The form of a version 5.0 file: what the writer writes, and that the reader gives the same tree.
@Suite struct ConfigurationXMLTests {
    /// Written by hand, as Hyper-V writes it.
    static let golden = [
        #"<?xml version="1.0" encoding="UTF-16" standalone="yes"?>"#,
        #"<configuration>"#,
        #"  <_12_>"#,
        #"    <Enabled type="bool">False</Enabled>"#,
        #"    <_blob type="bytes">AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v"#,
        #"MDEy"#,
        #"</_blob>"#,
        #"    <a type="integer">-9223372036854775808</a>"#,
        #"  </_12_>"#,
        #"  <global_settings>"#,
        #"    <metric>"#,
        #"      <guid type="string">second</guid>"#,
        #"    </metric>"#,
        #"    <metric>"#,
        #"      <guid type="string">first</guid>"#,
        #"    </metric>"#,
        #"  </global_settings>"#,
        #"  <properties>"#,
        #"    <empty type="bytes"></empty>"#,
        #"    <highly_available type="bool">True</highly_available>"#,
        #"    <name type="string">a &lt;b&gt; &amp; "c"</name>"#,
        #"    <notes type="string">one"#,
        #"two&#xD;"#,
        #"three </notes>"#,
        #"    <one type="bytes">AA=="#,
        #"</one>"#,
        #"  </properties>"#,
        #"  <savedstate></savedstate>"#,
        #"</configuration>"#,
    ].joined(separator: "\r\n")

    static let tree = KeyNode(
        "configuration",
        children: [
            KeyNode(
                "_12_",
                children: [
                    KeyNode("Enabled", .bool(false)), KeyNode("_blob", .array(Array(0...50))),
                    KeyNode("a", .int(.min)),
                ]
            ),
            KeyNode(
                "global_settings",
                children: [
                    KeyNode("metric", children: [KeyNode("guid", .string("second"))]),
                    KeyNode("metric", children: [KeyNode("guid", .string("first"))]),
                ]
            ),
            KeyNode(
                "properties",
                children: [
                    KeyNode("empty", .array([])), KeyNode("highly_available", .bool(true)),
                    KeyNode("name", .string("a <b> & \"c\"")), KeyNode("notes", .string("one\ntwo\r\nthree ")),
                    KeyNode("one", .array([0])),
                ]
            ),
            KeyNode("savedstate"),
        ]
    )

    @Test func handMadeFileReadsAsItsTree() throws {
        let document = try ConfigurationXML.parse(utf16(Self.golden))
        #expect(document.root == Self.tree)
        #expect(document.encoding == .utf16LittleEndian)
        #expect(document.hasByteOrderMark)
        #expect(document.remarks.isEmpty)
    }

    @Test func treeIsWrittenAsTheHandMadeFile() throws {
        #expect(try ConfigurationXML.serialize(Self.tree) == utf16(Self.golden))
    }

    @Test func keysAreWrittenInOrdinalOrderAndRepeatedOnesInTheirs() throws {
        var shuffled = Self.tree
        shuffled.children = [3, 1, 2, 0].map { shuffled.children[$0] }
        shuffled.children[3].children.reverse()
        shuffled.children[2].children.reverse()
        #expect(try ConfigurationXML.serialize(shuffled) == utf16(Self.golden))
    }

    @Test func randomTreesReadAsTheyWereWritten() throws {
        for seed in 0..<200 as Range<UInt64> {
            var maker = XMLTreeMaker(seed: seed)
            let tree = maker.tree(keys: Int(seed % 60) + 1)
            let bytes = try ConfigurationXML.serialize(tree)
            let document = try ConfigurationXML.parse(bytes)
            #expect(document.root == tree, "seed \(seed)")
            #expect(document.remarks.isEmpty, "seed \(seed)")
            #expect(try ConfigurationXML.serialize(document.root) == bytes, "seed \(seed)")
        }
    }

    @Test(arguments: Generation.allCases) func newVirtualMachinesAreInOrderAndReadBack(generation: Generation) throws {
        var configuration = try makeConfiguration(generation, .v5_0) {
            $0.notes = "two\nlines"
            $0.creationHost = "hôst"
        }
        let new = configuration.root
        #expect(try ConfigurationXML.parse(ConfigurationXML.serialize(new)).root == new)
        // Later keys come behind their siblings, and at their place once they are written.
        try configuration.addNetworkAdapter(NetworkAdapter(name: "Second"))
        try configuration.addScsiController()
        configuration.roost.diskFormats = ["/b": .qcow2, "/a": .raw]
        configuration.roost.secureBootCertificates = [[1, 2], [0]]
        let read = try ConfigurationXML.parse(ConfigurationXML.serialize(configuration.root)).root
        #expect(read != configuration.root)
        let again = try VirtualMachineConfiguration(root: read)
        #expect(again.networkAdapters == configuration.networkAdapters)
        #expect(again.scsiControllers == configuration.scsiControllers)
        #expect(again.roost == configuration.roost)
        #expect(Set(again.root.flattened()) == Set(configuration.root.flattened()))
    }

    @Test(arguments: [
        ("a/b", KeyValue.uint(1), "/configuration/a/b: an unsigned integer"),
        ("a/b", .double(bitPattern: 0), "/configuration/a/b: a floating-point number"),
        ("a/b", .string("x\u{0}"), "/configuration/a/b: a text with the character U+0000"),
        ("a/b", .string("\u{1B}"), "U+001B"), ("a/b", .string("\u{FFFF}"), "U+FFFF"),
        ("1a", .int(1), "/configuration/1a: a key with a name"), ("a b", .int(1), "a key with a name"),
        ("a:b", .int(1), "a key with a name"), ("a<", .node, "a key with a name"),
        ("-a", .node, "a key with a name"), (String(repeating: "a", count: 255), .node, "a key with a name"),
    ])
    func whatXMLCannotHoldIsRefusedWithTheKey(path: String, value: KeyValue, reason: String) {
        var root = KeyNode("configuration")
        root.set(path, value)
        let error = #expect(throws: ConfigurationError.self) { try ConfigurationXML.serialize(root) }
        #expect(error?.code == .invalidValue)
        #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
    }

    @Test func anOlderFileIsReadAsATreeAndItsVersionRefused() throws {
        let text = """
            <?xml version="1.0" encoding="UTF-16" standalone="yes"?>
            <configuration>
              <_58f75a6d-d949-4320-99e1-a2a2576d581c_>
                <version type="integer">512</version>
              </_58f75a6d-d949-4320-99e1-a2a2576d581c_>
              <properties>
                <global_id type="string">0AA394FA-7C4A-4070-BA32-773D43B28A68</global_id>
                <name type="string">Old</name>
                <version type="integer">512</version>
              </properties>
            </configuration>
            """
        let root = try ConfigurationXML.parse(utf16(text)).root
        #expect(root.descendant("_58f75a6d-d949-4320-99e1-a2a2576d581c_/version")?.value == .int(512))
        let error = #expect(throws: ConfigurationError.self) { try VirtualMachineConfiguration(root: root) }
        #expect(error?.code == .unknownVersion)
    }

    @Test func whatTheFileCannotHoldIsRefusedBeforeItIsStored() throws {
        var machine = try makeConfiguration(.two, .v5_0)
        machine.notes = "bell \u{7}"
        let error = #expect(throws: ConfigurationError.self) { try machine.validate() }
        #expect(error?.code == .invalidValue)
        #expect(error?.message.contains("/configuration/properties/notes") == true)
        machine = try makeConfiguration(.two, .v6_0)
        machine.notes = "bell \u{7}"
        try machine.validate()
    }

    @Test func flagsAndChildrenOfAValueAreRefused() {
        let flagged = KeyNode("configuration", children: [KeyNode("a", .int(1), flags: 2)])
        #expect(throws: ConfigurationError.self) { try ConfigurationXML.serialize(flagged) }
        let mixed = KeyNode("configuration", children: [KeyNode("a", .int(1), children: [KeyNode("b")])])
        #expect(throws: ConfigurationError.self) { try ConfigurationXML.serialize(mixed) }
    }

    @Test func aTreeIsWrittenExactlyAsDeepAsItCanBeRead() throws {
        func chain(_ levels: Int) -> KeyNode {
            (1..<levels).reduce(KeyNode("a")) { node, _ in KeyNode("a", children: [node]) }
        }
        #expect(try ConfigurationXML.parse(ConfigurationXML.serialize(chain(128))).root == chain(128))
        let error = #expect(throws: ConfigurationError.self) { try ConfigurationXML.serialize(chain(129)) }
        #expect(error?.code == .outOfBounds)
    }
}
