import Testing

@testable import UEFIVariables

@Suite struct CertificateTests {
    /// Made with `openssl req -x509 -newkey ec -subj "/O=Roost/CN=Roost Test Signer"`.
    private let pem = """
        -----BEGIN CERTIFICATE-----
        MIIBmzCCAUCgAwIBAgIBATAKBggqhkjOPQQDAjAsMQ4wDAYDVQQKDAVSb29zdDEa
        MBgGA1UEAwwRUm9vc3QgVGVzdCBTaWduZXIwHhcNMjYxMTIzMjE0NDA0WhcNMzYx
        MTIwMjE0NDA0WjAsMQ4wDAYDVQQKDAVSb29zdDEaMBgGA1UEAwwRUm9vc3QgVGVz
        dCBTaWduZXIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASeAyUAK3BTHdArtnlg
        f1mFTR6bmatUQHS2eToWQfJyNtebY9Klqt8zJqiJXTbSmHJ64OCSOqAmjZCU0EnH
        bLAKo1MwUTAdBgNVHQ4EFgQUm3v3CNQheH/jCoTJG+o73iksx14wHwYDVR0jBBgw
        FoAUm3v3CNQheH/jCoTJG+o73iksx14wDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjO
        PQQDAgNJADBGAiEAgCG34D87BgKQG445ZJny2fGeRugpVEe253xDMrJOkEgCIQDm
        YjHRtPiy8uKZ3U9gx6ScJbLygNaMLeWFBmFeiXwItA==
        -----END CERTIFICATE-----
        """

    @Test func aCertificateOfOpenSSLIsReadFromPEM() throws {
        let certificates = try Certificate.parse(file: Array("some text\r\n\(pem)\r\n\(pem)\n".utf8))
        #expect(certificates.count == 2 && certificates.first == certificates.last)
        let certificate = try #require(certificates.first)
        #expect(certificate.subject == "Roost Test Signer")
        #expect(certificate.issuer == "Roost Test Signer")
        // `date -u -d "Nov 23 21:44:04 2026 GMT" +%s`, and for the end Nov 20 21:44:04 2036.
        #expect(certificate.notBefore == 1_795_470_244)
        #expect(certificate.notAfter == 2_110_830_244)
        #expect(certificate.der.count == 415)
        #expect(try Certificate.parse(file: certificate.der) == [certificate])
    }

    @Test func aCertificateBuiltByHandIsRead() throws {
        let certificate = try Certificate(der: Fixture.certificate(subject: "Grüße", issuer: "Root", padding: 300))
        #expect(certificate.subject == "Grüße")
        #expect(certificate.issuer == "Root")
        #expect(certificate.notAfter == 1_792_435_902)
        #expect(try Certificate(der: Fixture.certificate(subject: nil)).subject == nil)
    }

    @Test(arguments: [
        (UInt8(0x17), "700101000000Z", Int64(0)), (0x17, "691231235959Z", -1), (0x17, "500101000000Z", -631_152_000),
        (0x17, "491231235959Z", 2_524_607_999), (0x18, "20000229120000Z", 951_825_600),
        (0x18, "99991231235959Z", 253_402_300_799), (0x18, "00010101000000Z", -62_135_596_800),
    ])
    func datesAreCountedInSeconds(tag: UInt8, text: String, seconds: Int64) throws {
        let der = Fixture.certificate(subject: "A", notAfter: Fixture.der(tag, Array(text.utf8)))
        #expect(try Certificate(der: der).notAfter == seconds)
    }

    @Test(arguments: [
        (UInt8(0x17), "701301000000Z"), (0x17, "700101000000"), (0x17, "70010100000aZ"), (0x18, "700101000000Z"),
        (0x18, "00000101000000Z"), (0x17, ""), (0x0C, "700101000000Z"), (0x17, "700100000000Z"),
    ])
    func otherDatesAreRefused(tag: UInt8, text: String) {
        let der = Fixture.certificate(subject: "A", notAfter: Fixture.der(tag, Array(text.utf8)))
        #expect(code { _ = try Certificate(der: der) } == .corrupt)
    }

    @Test func everyTruncationAndEveryExtensionIsRefused() {
        let der = Fixture.certificate(subject: "Some Signer")
        for length in 0..<der.count {
            #expect(code { _ = try Certificate(der: Array(der.prefix(length))) } == .corrupt)
        }
        #expect(code { _ = try Certificate(der: der + [0]) } == .corrupt)
    }

    @Test func everyFlippedByteIsReadOrRefusedAndNeverTraps() {
        let der = Fixture.certificate(subject: "Some Signer", padding: 200)
        var refused = 0
        for index in der.indices {
            for bit in 0..<8 {
                var damaged = der
                damaged[index] ^= 1 << UInt8(bit)
                if (try? Certificate(der: damaged)) == nil { refused += 1 }
            }
        }
        #expect(refused > 100)
    }

    @Test(arguments: [
        "", "no certificate", "-----BEGIN CERTIFICATE-----\nMIIB", "-----BEGIN CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMI*B\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nMI=B\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nMIIBM\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n====\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
    ])
    func filesWithoutACertificateAreRefused(text: String) {
        #expect(code { _ = try Certificate.parse(file: Array(text.utf8)) } == .corrupt)
    }
}
