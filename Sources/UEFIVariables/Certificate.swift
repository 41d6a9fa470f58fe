/// An X.509 certificate, as far as a listing and a choice by name need it (RFC 5280 section 4.1).
///
/// Nothing is verified: neither the signature nor the dates. UEFI firmware does not look at the dates either.
package struct Certificate: Hashable, Sendable {
    /// The certificate in DER.
    package let der: [UInt8]

    /// The subject's most specific common name; nil when it has none.
    package let subject: String?

    /// The issuer's most specific common name; nil when it has none.
    package let issuer: String?

    /// The first second of validity, counted from 1970-01-01 00:00:00 UTC.
    package let notBefore: Int64

    /// The last second of validity, counted from 1970-01-01 00:00:00 UTC.
    package let notAfter: Int64

    /// Reads one certificate in DER, without bytes behind it.
    ///
    /// - Throws: ``VariableStoreError/Code/corrupt`` for anything else.
    package init(der: [UInt8]) throws(VariableStoreError) {
        guard let fields = CertificateFields(der[...]) else {
            throw VariableStoreError(
                .corrupt,
                "the \(der.count) bytes are not an X.509 certificate in DER"
            )
        }
        self.der = der
        subject = fields.subject
        issuer = fields.issuer
        notBefore = fields.notBefore
        notAfter = fields.notAfter
    }
}

/// The fields of a certificate that are read.
private struct CertificateFields {
    let subject: String?
    let issuer: String?
    let notBefore: Int64
    let notAfter: Int64

    init?(_ der: ArraySlice<UInt8>) {
        var file = DERReader(der)
        guard let certificate = file.next(DERReader.Tag.sequence), file.isAtEnd else { return nil }
        var outer = DERReader(certificate)
        guard let signed = outer.next(DERReader.Tag.sequence), outer.next(DERReader.Tag.sequence) != nil,
            outer.next(DERReader.Tag.bitString) != nil, outer.isAtEnd
        else { return nil }
        var fields = DERReader(signed)
        var versionless = fields
        if versionless.next()?.tag == DERReader.Tag.explicitZero { fields = versionless }
        guard fields.next(DERReader.Tag.integer) != nil, fields.next(DERReader.Tag.sequence) != nil,
            let issuer = fields.next(DERReader.Tag.sequence), let validity = fields.next(DERReader.Tag.sequence),
            let subject = fields.next(DERReader.Tag.sequence), fields.next(DERReader.Tag.sequence) != nil
        else { return nil }
        var dates = DERReader(validity)
        guard let notBefore = dates.next().flatMap(Self.seconds), let notAfter = dates.next().flatMap(Self.seconds)
        else { return nil }
        self.subject = Self.commonName(subject)
        self.issuer = Self.commonName(issuer)
        self.notBefore = notBefore
        self.notAfter = notAfter
    }

    /// The last common name (2.5.4.3) of a distinguished name.
    private static func commonName(_ name: ArraySlice<UInt8>) -> String? {
        var found: String?
        var sets = DERReader(name)
        while let set = sets.next(DERReader.Tag.set) {
            var attributes = DERReader(set)
            while let attribute = attributes.next(DERReader.Tag.sequence) {
                var pair = DERReader(attribute)
                guard pair.next(DERReader.Tag.objectIdentifier)?.elementsEqual([0x55, 0x04, 0x03]) == true,
                    let value = pair.next()
                else { continue }
                found = text(value) ?? found
            }
        }
        return found
    }

    /// The text of a directory string; nil for other types.
    private static func text(_ element: DERReader.Element) -> String? {
        switch element.tag {
        case 0x0C, 0x13, 0x16:  // UTF8String, PrintableString, IA5String
            return String(decoding: element.content, as: UTF8.self)
        case 0x14:  // TeletexString, in practice Latin-1
            return String(String.UnicodeScalarView(element.content.map { Unicode.Scalar($0) }))
        case 0x1E:  // BMPString, two bytes a character
            let units = stride(from: 0, to: element.content.count - 1, by: 2).compactMap {
                element.content.littleEndian(UInt16.self, at: $0)?.byteSwapped
            }
            return String(decoding: units, as: UTF16.self)
        default:
            return nil
        }
    }

    /// The seconds since 1970 of `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` (RFC 5280 section 4.1.2.5); nil otherwise.
    private static func seconds(_ element: DERReader.Element) -> Int64? {
        var digits = element.content.map { Int64($0) - 0x30 }
        guard digits.popLast() == Int64(UInt8(ascii: "Z")) - 0x30, digits.allSatisfy({ (0...9).contains($0) }) else {
            return nil
        }
        let yearDigits: Int
        switch (element.tag, digits.count) {
        case (DERReader.Tag.utcTime, 12): yearDigits = 2
        case (DERReader.Tag.generalizedTime, 14): yearDigits = 4
        default: return nil
        }
        var year = digits.prefix(yearDigits).reduce(0) { $0 * 10 + $1 }
        if yearDigits == 2 { year += year < 50 ? 2000 : 1900 }
        let fields = stride(from: yearDigits, to: digits.count, by: 2).map { digits[$0] * 10 + digits[$0 + 1] }
        guard fields.count == 5, year > 0, (1...12).contains(fields[0]), (1...31).contains(fields[1]), fields[2] < 24,
            fields[3] < 60, fields[4] < 61
        else { return nil }
        let days = daysSince1970(year: year, month: fields[0], day: fields[1])
        return days * 86_400 + fields[2] * 3_600 + fields[3] * 60 + fields[4]
    }

    /// The days from 1970-01-01 in the Gregorian calendar, for years from 1 to 9999.
    ///
    /// Years are counted from March, so that the leap day is the last of its year.
    private static func daysSince1970(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shiftedYear = month > 2 ? year : year - 1
        let monthFromMarch = (month + 9) % 12
        let leapDays = shiftedYear / 4 - shiftedYear / 100 + shiftedYear / 400
        return shiftedYear * 365 + leapDays + (monthFromMarch * 153 + 2) / 5 + day - 1 - 719_468
    }
}
