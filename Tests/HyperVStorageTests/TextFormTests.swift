import HyperVStorage
import Testing

@Suite struct TextFormTests {
    /// A tree with every type, and with what is hard to write.
    private let tree = KeyNode(
        "",
        children: [
            KeyNode(
                "configuration",
                children: [
                    KeyNode("name", .string("web \"1\" \\ \r\n\t\u{0}\u{7F}\u{202E} Grüße 🙂")),
                    KeyNode("empty", .string("")), KeyNode("version", .int(-5)), KeyNode("big", .uint(.max)),
                    KeyNode("least", .int(.min)), KeyNode("on", .bool(true)),
                    KeyNode("ratio", .double(bitPattern: (0.1).bitPattern)),
                    KeyNode("minus zero", .double(bitPattern: (-0.0).bitPattern)),
                    KeyNode("nan", .double(bitPattern: 0x7FF8_0000_0000_0001)),
                    KeyNode("data", .array((0..<33).map { UInt8($0 * 7) })), KeyNode("none", .array([])),
                    KeyNode("twice", .int(1), flags: 2),
                    KeyNode("twice", children: [KeyNode("Ω", .bool(false))], flags: 0x84),
                ]
            ), KeyNode("second"),
        ]
    )

    private let text = #"""
        roost-keys 1
        configuration
          name string "web \"1\" \\ \r\n\t\u{0}\u{7F}\u{202E} Grüße 🙂"
          empty string ""
          version int -5
          big uint 18446744073709551615
          least int -9223372036854775808
          on bool true
          ratio double 0.1
          "minus zero" double -0.0
          nan double 0x7FF8000000000001
          data array 33
            : 00070E151C232A31383F464D545B626970777E858C939AA1A8AFB6BDC4CBD2D9
            : E0
          none array 0
          twice flags=0x02 int 1
          twice flags=0x84
            "Ω" bool false
        second

        """#

    @Test func everyTypeHasItsLine() throws {
        #expect(String(decoding: try TextForm.serialize(tree), as: UTF8.self) == text)
        #expect(try TextForm.parse(Array(text.utf8)) == tree)
    }

    @Test func emptyTreeIsTheFirstLineAlone() throws {
        #expect(try TextForm.serialize(KeyNode("")) == Array("roost-keys 1\n".utf8))
        #expect(try TextForm.parse(Array("roost-keys 1".utf8)) == KeyNode(""))
    }

    @Test(arguments: 0..<40) func randomTreeComesBackWhole(seed: UInt64) throws {
        var maker = TreeMaker(seed: seed)
        let tree = maker.tree(keys: 120)
        #expect(try TextForm.parse(TextForm.serialize(tree)) == tree)
    }

    @Test func everyCharacterComesBackInNamesAndValues() throws {
        let scalars = (0...0x10FFFF).compactMap { (value: UInt32) in Unicode.Scalar(value) }
        for start in stride(from: 0, to: scalars.count, by: 4096) {
            var text = String.UnicodeScalarView()
            text.append(contentsOf: scalars[start..<min(start + 4096, scalars.count)])
            let tree = KeyNode("", children: [KeyNode("a", .string(String(text)))])
            #expect(try TextForm.parse(TextForm.serialize(tree)) == tree, "from \(scalars[start].value)")
        }
        for scalar in scalars.prefix(0x300) {
            let tree = KeyNode("", children: [KeyNode(String(scalar), .bool(true))])
            #expect(try TextForm.parse(TextForm.serialize(tree)) == tree, "\(scalar.value)")
        }
    }

    @Test(arguments: 0..<20) func everyBitPatternOfADoubleComesBack(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let doubles = (0..<500).map { _ in KeyNode("d", .double(bitPattern: random.next())) }
        let tree = KeyNode("", children: doubles)
        #expect(try TextForm.parse(TextForm.serialize(tree)) == tree)
    }

    @Test func commentsEmptyLinesAndLineEndsOfOtherSystemsAreAccepted() throws {
        let text = "\u{FEFF}roost-keys 1\r\n# web\r\n\r\na\r\n  # below\r\n  b int 1\r\n   \r\n"
        #expect(
            try TextForm.parse(Array(text.utf8))
                == KeyNode("", children: [KeyNode("a", children: [KeyNode("b", .int(1))])])
        )
    }

    @Test func treeThatNoFileHoldsIsNotWritten() throws {
        let withValue = KeyNode("", children: [KeyNode("a", .int(1), children: [KeyNode("b")])])
        #expect(throws: StorageError.self) { try TextForm.serialize(withValue) }
        #expect(try TextForm.parse(TextForm.serialize(nested(128))) == nested(128))
        #expect(throws: StorageError.self) { try TextForm.serialize(nested(129)) }
    }

    private func nested(_ levels: Int) -> KeyNode {
        (0..<levels).reduce(KeyNode("a")) { node, level in KeyNode(level == levels - 1 ? "" : "a", children: [node]) }
    }

    @Test(arguments: [
        ("", 1, "roost-keys 1"), ("roost-keys 2\n", 1, "newer release"), ("<?xml?>", 1, "roost-keys 1"),
        ("roost-keys 1\n a", 2, "1 spaces"), ("roost-keys 1\n  a", 2, "no key above"),
        ("roost-keys 1\na\n    b", 3, "no key above"), ("roost-keys 1\na int 1\n  b", 3, "has a value"),
        ("roost-keys 1\na int", 2, "no value of the type int"), ("roost-keys 1\na int 1 2", 2, "follows"),
        ("roost-keys 1\na int +1", 2, "+1"), ("roost-keys 1\na int 01", 2, "01"),
        ("roost-keys 1\na int 9223372036854775808", 2, "no value"), ("roost-keys 1\na uint -1", 2, "no value"),
        ("roost-keys 1\na bool True", 2, "no value"), ("roost-keys 1\na double inf", 2, "no value"),
        ("roost-keys 1\na double 0x1p3", 2, "no value"), ("roost-keys 1\na double 1e999", 2, "no value"),
        ("roost-keys 1\na float 1", 2, "no type"), ("roost-keys 1\na  int 1", 2, "one space"),
        ("roost-keys 1\na ", 2, "one space"), ("roost-keys 1\na/b int 1", 2, "quotation marks"),
        ("roost-keys 1\na flags=0x00 int 1", 2, "no flags"), ("roost-keys 1\na flags=2 int 1", 2, "no flags"),
        ("roost-keys 1\na string b", 2, "quotation marks"), ("roost-keys 1\na string \"b", 2, "second one"),
        ("roost-keys 1\na string \"\\x\"", 2, "escapes"), ("roost-keys 1\na string \"\\u{D800}\"", 2, "D800"),
        ("roost-keys 1\na string \"\\u{110000}\"", 2, "10FFFF"), ("roost-keys 1\na string \"\\u{}\"", 2, "10FFFF"),
        ("roost-keys 1\na string \"\t\"", 2, "control character"), ("roost-keys 1\na array x", 2, "number of bytes"),
        ("roost-keys 1\na array 1", 2, "ends"), ("roost-keys 1\na array 99999999999", 2, "ends"),
        ("roost-keys 1\na array 1\nb int 10000", 3, "next line"), ("roost-keys 1\na array 1\n  : 0g", 3, "digits"),
        ("roost-keys 1\na array 1\n  : 0001", 3, "expected 2"),
        ("roost-keys 1\na array 2\n  : 00\n  : 00", 3, "expected 4"),
        ("roost-keys 1\na array 0\n  : 00", 3, "has a value"),
    ]) func lineThatIsNoneIsNamed(text: String, line: Int, words: String) {
        let error = #expect(throws: StorageError.self) { try TextForm.parse(Array(text.utf8)) }
        #expect(error?.message.contains("line \(line): ") == true, "\(error?.message ?? "")")
        #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
    }

    @Test func textThatIsNoUTF8IsRefused() {
        for text in [
            Array("roost-keys 1\na string \"".utf8) + [0xFF, 0x22], Array("roost-keys 1\n\"".utf8) + [0xC3, 0x22],
        ] {
            #expect(throws: StorageError.self) { try TextForm.parse(text) }
        }
    }

    /// Whatever is changed: the text is refused, or it is a tree that is written and read again as it is.
    @Test(arguments: 0..<30) func randomDamageIsRefusedOrReadsAsATree(seed: UInt64) throws {
        var maker = TreeMaker(seed: seed)
        let good = try TextForm.serialize(maker.tree(keys: 40))
        for _ in 0..<150 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...3, using: &maker.random) {
                let place = Int.random(in: 0..<bytes.count, using: &maker.random)
                switch Int.random(in: 0..<3, using: &maker.random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &maker.random)
                case 1: bytes.remove(at: place)
                default: bytes.insert(UInt8.random(in: 0x20...0x7E, using: &maker.random), at: place)
                }
            }
            guard let tree = try? TextForm.parse(bytes) else { continue }
            #expect(try TextForm.parse(TextForm.serialize(tree)) == tree)
        }
    }
}
