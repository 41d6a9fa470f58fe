import HyperVStorage
import Testing
import VMConfiguration

/// What the reader of XML takes and what it refuses, and where it says the fault is.
@Suite struct XMLReadingTests {
    private static let tree = KeyNode("c", children: [KeyNode("n", .string("é😀"))])
    private static let body = "<c><n type='string'>é😀</n></c>"

    @Test(arguments: [
        (utf16(body), ConfigurationDocument.Encoding.utf16LittleEndian, true),
        (utf16(body, bigEndian: true), .utf16BigEndian, true),
        (utf16(body, mark: false), .utf16LittleEndian, false),
        (utf16(body, bigEndian: true, mark: false), .utf16BigEndian, false),
        ([0xEF, 0xBB, 0xBF] + Array(body.utf8), .utf8, true), (Array(body.utf8), .utf8, false),
    ])
    func encodingIsToldFromTheBytes(
        bytes: [UInt8],
        encoding: ConfigurationDocument.Encoding,
        hasMark: Bool
    ) throws {
        let document = try ConfigurationXML.parse(bytes)
        #expect(document.root == Self.tree)
        #expect(document.encoding == encoding)
        #expect(document.hasByteOrderMark == hasMark)
        #expect(document.remarks.map(\.message) == ["there is no XML declaration"])
    }

    @Test(arguments: ["UTF-16", "utf-16", "windows-1252"])
    func eightBitTextWithAnotherClaimIsReadAndReported(claim: String) throws {
        let text = "<?xml version=\"1.0\" encoding=\"\(claim)\" standalone=\"yes\"?>\n" + Self.body
        let document = try ConfigurationXML.parse(Array(text.utf8))
        #expect(document.root == Self.tree)
        #expect(document.encoding == .utf8)
        #expect(
            document.remarks.map(\.description) == ["line 1, column 1: the text claims to be \(claim) and is UTF-8"]
        )
        #expect(try ConfigurationXML.parse(document.serialized()).remarks.isEmpty)
    }

    @Test(arguments: ["UTF-8", "us-ascii"]) func aTrueClaimIsNotReported(claim: String) throws {
        let text = "<?xml version='1.0' encoding='\(claim)'?><c/>"
        #expect(try ConfigurationXML.parse(Array(text.utf8)).remarks.isEmpty)
    }

    @Test func referencesAndLineEndsAreReplaced() throws {
        let body =
            "<c><n type=\"string\">&lt;&gt;&amp;&quot;&apos;&#65;&#x1F600;&#xD;&#10;\r\na\rb<![CDATA[<&\r\n]]></n></c>"
        let document = try ConfigurationXML.parse(document(body))
        #expect(document.root["n"]?.value == .string("<>&\"'A😀\r\n\na\nb<&\n"))
        #expect(document.remarks.map(\.message) == ["a CDATA section, which is written again as text"])
    }

    @Test func whatIsToleratedIsReportedWithItsPlace() throws {
        let body = """
            <!-- before -->
            <c   >
              <z type = 'integer' > 007 </z ><?pi x?>
              <b type="bool">true</b>
              <e/>
              <i type="integer"/><!---->
            </c>
            <!-- behind -->
            """
        let error = parseError(document(body))
        #expect(error?.message == "read XML: line 7, column 3: <i> is no integer of 64 bits with a sign")
        let sound = try ConfigurationXML.parse(document(body.replacing("<i type=\"integer\"/>", with: "")))
        #expect(
            sound.root
                == KeyNode("c", children: [KeyNode("z", .int(7)), KeyNode("b", .bool(true)), KeyNode("e")])
        )
        #expect(
            sound.remarks.map(\.description) == [
                "line 2, column 1: a comment, which is not written again",
                "line 4, column 3: <z> has white space around its value, which is not written again",
                "line 4, column 3: <z> is written again as 7",
                "line 4, column 34: a processing instruction, which is not written again",
                "line 5, column 3: <b> is written again as True",
                "line 5, column 3: <b> behind <z>; written again, keys are in order",
                "line 7, column 3: a comment, which is not written again",
                "line 9, column 1: a comment, which is not written again",
            ]
        )
    }

    @Test func remarksAreCountedWhenThereAreMany() throws {
        let body = "<c>" + String(repeating: "<!--x-->", count: 1000) + "</c>"
        let remarks = try ConfigurationXML.parse(document(body)).remarks
        #expect(remarks.count == 100)
        #expect(remarks.last?.message == "901 more remarks")
    }

    @Test(
        arguments: [
            // Structure
            ("", 2, 1, "no element"), ("<c>", 2, 4, "cut off"), ("<c></c><d/>", 2, 8, "second root"),
            ("x<c/>", 2, 1, "text before"), ("<c/>x", 2, 5, "text behind"), ("<c></d>", 2, 4, "</c> is expected"),
            ("</c>", 2, 1, "no element is open"), ("<c><d></c></d>", 2, 7, "</d> is expected"),
            ("<c", 2, 3, "does not end"), ("<c\n /", 3, 2, "attribute"), ("<c></c", 2, 7, "does not end"),
            ("< c/>", 2, 2, "without a name"), ("<1/>", 2, 2, "without a name"), ("<a:b/>", 2, 2, "colon"),
            ("<c><?xml version='1.0'?></c>", 2, 4, "declaration"), ("<c><?pi</c>", 2, 4, "does not end"),
            ("<!-- -- --><c/>", 2, 1, "--"), ("<!--a---><c/>", 2, 1, "--"), ("<!-- <c/>", 2, 1, "does not end"),
            ("<![CDATA[x]]><c/>", 2, 1, "outside"), ("<c><![CDATA[x</c>", 2, 4, "does not end"),
            ("<c>]]></c>", 2, 4, "]]>"),
            // Definitions and references
            ("<!DOCTYPE c [<!ENTITY a \"b\">]><c/>", 2, 1, "document type definition"),
            ("<c><n type='string'>&a;</n></c>", 2, 21, "&a;"), ("<c><n type='string'>& </n></c>", 2, 21, "&amp;"),
            ("<c><n type='string'>&#0;</n></c>", 2, 21, "&#0;"),
            ("<c><n type='string'>&#xD800;</n></c>", 2, 21, "D800"),
            ("<c><n type='string'>&#x110000;</n></c>", 2, 21, "110000"),
            ("<c><n type='string'>&#99999999999999999999;</n></c>", 2, 21, "99"),
            ("<c><n type='string'>&#+65;</n></c>", 2, 21, "&#+65;"), ("<c><n type='string'>&#;</n></c>", 2, 21, "&#;"),
            ("<c><n type='string'>\u{1}</n></c>", 2, 21, "cannot hold"), ("<c>\u{FFFE}</c>", 2, 4, "cannot hold"),
            // Attributes
            ("<c a='1' a='2'/>", 2, 10, "twice"), ("<c type/>", 2, 8, "no value"), ("<c type=1/>", 2, 9, "quotes"),
            ("<c type='/>", 2, 9, "does not end"), ("<c type='<'/>", 2, 10, "<"),
            ("<c a='1'b='2'/>", 2, 9, "white space"), ("<c xmlns='u'/>", 2, 1, "attribute xmlns"),
            ("<c><d id='1'/></c>", 2, 4, "attribute id"), ("<c><d type='float'>1</d></c>", 2, 4, "type \"float\""),
            ("<c><d type='String'>1</d></c>", 2, 4, "type \"String\""),
            // Mixed content
            ("<c>\r\n  x</c>", 3, 3, "text inside <c>"), ("<c><d type='string'>a<e/></d></c>", 2, 22, "<e> inside <d>"),
            ("<c>&#65;</c>", 2, 4, "text inside <c>"), ("<c><![CDATA[ x]]></c>", 2, 14, "text inside <c>"),
        ] as [(String, Int, Int, String)]
    )
    func aFaultIsNamedWithLineAndColumn(body: String, line: Int, column: Int, reason: String) {
        let error = parseError(document(body))
        #expect(error?.code == .malformedFile)
        #expect(
            error?.message.hasPrefix("read XML: line \(line), column \(column): ") == true,
            "\(error?.message ?? "")"
        )
        #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
    }

    @Test(arguments: [
        ("integer", ["", "x", "1.0", "0x1", "+1", "--1", "1 2", "9223372036854775808", "-9223372036854775809", "１"]),
        ("bool", ["", "1", "yes", "Truee"]),
        ("bytes", ["A", "AA", "AAA", "A===", "AA=A", "AA==AAAA", "AB==", "AAB=", "AA==\n=", "AAA*", "====", "AAAAé"]),
    ])
    func aValueThatItsTypeDoesNotAllowIsRefused(type: String, values: [String]) {
        for value in values {
            let error = parseError(document("<c>\n  <n type=\"\(type)\">\(value)</n></c>"))
            #expect(error?.code == .invalidValue, "\(value)")
            #expect(error?.message.hasPrefix("read XML: line 3, column 3: <n>") == true, "\(error?.message ?? "")")
        }
    }

    @Test(arguments: [
        ("integer", "9223372036854775807", KeyValue.int(.max)), ("integer", "-0", .int(0)),
        ("integer", "\r\n12\t", .int(12)), ("bool", " FALSE ", .bool(false)), ("bytes", "", .array([])),
        ("bytes", " A\r\nA = =\n", .array([0])), ("bytes", "+/+/", .array([0xFB, 0xFF, 0xBF])),
        ("bytes", "AAE=", .array([0, 1])), ("string", " a\t", .string(" a\t")), ("string", "", .string("")),
    ])
    func aValueOfEachTypeIsRead(type: String, text: String, value: KeyValue) throws {
        let root = try ConfigurationXML.parse(document("<c><n type=\"\(type)\">\(text)</n></c>")).root
        #expect(root["n"]?.value == value)
    }

    @Test func brokenUTF16IsRefusedWhereItIs() {
        let start = utf16("<c>\n<n type='string'>ab")
        for units in [[0xD800, 0x61], [0xDC00], [0xD800, 0xD800, 0xDC00], [0xD800]] as [[UInt16]] {
            let bytes = start + units.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
            let error = parseError(
                bytes + (units.count == 1 && units[0] == 0xD800 ? [] : utf16("</n></c>", mark: false))
            )
            #expect(error?.message.hasPrefix("read XML: line 2, column 20: ") == true, "\(error?.message ?? "")")
        }
        #expect(parseError(start + [0x61])?.message.contains("ends inside a character") == true)
    }

    @Test func eightBitTextThatIsNotUTF8IsRefusedWithARemedy() {
        let error = parseError(Array("<c>\n<n type='string'>Gr".utf8) + [0xFC, 0xDF] + Array("e</n></c>".utf8))
        #expect(error?.message.hasPrefix("read XML: line 2, column 20: ") == true, "\(error?.message ?? "")")
        #expect(error?.message.contains("save the file as UTF-16 or UTF-8") == true)
    }

    @Test func aDeclarationMustBeThatOfXML10() {
        for declaration in [
            "<?xml version='1.1'?>", "<?xml encoding='UTF-16'?>", "<?xml version='1.0' a='1'?>", "<?xml ",
        ] {
            #expect(parseError(utf16(declaration + "<c/>"))?.code == .malformedFile, "\(declaration)")
        }
    }

    @Test func whatWouldCostMuchIsRefused() {
        let deep = String(repeating: "<a>", count: 100_000)
        #expect(parseError(document(deep))?.message.contains("nested deeper than 128") == true)
        let wide = "<c>" + String(repeating: "<a/>", count: 200_000) + "</c>"
        #expect(parseError(document(wide))?.message.contains("more than 200000 elements") == true)
        let long = "<c type='\(String(repeating: "x", count: 1_000_000))'/>"
        #expect(parseError(document(long))?.message.contains("longer than 1024 bytes") == true)
        let name = "<\(String(repeating: "x", count: 255))/>"
        #expect(parseError(document(name))?.message.contains("longer than 254 bytes") == true)
        let attributes = "<c " + (0..<17).map { "a\($0)='' " }.joined() + "/>"
        #expect(parseError(document(attributes))?.message.contains("more than 16 attributes") == true)
        let reference = "<c><n type='string'>&" + String(repeating: "a", count: 1_000_000) + ";</n></c>"
        #expect(parseError(document(reference))?.message.contains("begins no reference") == true)
        let laughs = """
            <!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;">]>
            <c><n type='string'>&lol2;</n></c>
            """
        #expect(parseError(document(laughs))?.message.contains("document type definition") == true)
        #expect(parseError([UInt8](repeating: 0x20, count: (16 << 20) + 1))?.message.contains("16777216") == true)
    }
}

extension ConfigurationDocument {
    fileprivate func serialized() throws -> [UInt8] { try ConfigurationXML.serialize(root) }
}
