extension Certificate {
    /// Reads the certificates of a file: one in DER, or any number in PEM (RFC 7468), other text between them allowed.
    ///
    /// - Throws: ``VariableStoreError/Code/corrupt`` when the file has no certificate, or one that cannot be read.
    package static func parse(file bytes: [UInt8]) throws(VariableStoreError) -> [Certificate] {
        guard bytes.count <= 1 << 20 else {
            throw VariableStoreError(.corrupt, "a certificate file of \(bytes.count) bytes is larger than 1 MiB")
        }
        if bytes.first == DERReader.Tag.sequence { return [try Certificate(der: bytes)] }
        var certificates: [Certificate] = []
        var body: [UInt8]?
        for line in bytes.split(whereSeparator: { $0 == 0x0A || $0 == 0x0D }) {
            if line.elementsEqual("-----BEGIN CERTIFICATE-----".utf8) {
                body = []
            } else if line.elementsEqual("-----END CERTIFICATE-----".utf8), let text = body {
                guard let der = base64(text) else {
                    throw VariableStoreError(
                        .corrupt,
                        "certificate \(certificates.count + 1) of the file is not base64"
                    )
                }
                certificates.append(try Certificate(der: der))
                body = nil
            } else {
                body?.append(contentsOf: line)
            }
        }
        guard body == nil else {
            throw VariableStoreError(.corrupt, "certificate \(certificates.count + 1) of the file has no end line")
        }
        guard !certificates.isEmpty else {
            throw VariableStoreError(.corrupt, "the file has no certificate; give one in DER or PEM")
        }
        return certificates
    }

    /// The bytes of base64 text (RFC 4648 section 4), blanks ignored; nil for any other character or a wrong length.
    private static func base64(_ text: [UInt8]) -> [UInt8]? {
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var characters = 0
        var padding = 0
        for character in text where character != 0x20 && character != 0x09 {
            let digit: UInt8
            switch character {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): digit = character - UInt8(ascii: "A")
            case UInt8(ascii: "a")...UInt8(ascii: "z"): digit = character - UInt8(ascii: "a") + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = character - UInt8(ascii: "0") + 52
            case UInt8(ascii: "+"): digit = 62
            case UInt8(ascii: "/"): digit = 63
            case UInt8(ascii: "="):
                digit = 0
                padding += 1
            default: return nil
            }
            guard padding == 0 || character == UInt8(ascii: "=") else { return nil }
            bits = bits << 6 | UInt32(digit)
            characters += 1
            if characters % 4 == 0 {
                bytes += [16, 8, 0].map { UInt8(truncatingIfNeeded: bits >> $0) }
            }
        }
        guard characters % 4 == 0, padding <= 2, padding <= bytes.count else { return nil }
        return bytes.dropLast(padding)
    }
}
