import RoostPrimitives

@testable import UEFIVariables

/// Builds images and certificates from their published layouts, without the code under test.
enum Fixture {
    static func little(_ value: UInt64, _ size: Int) -> [UInt8] {
        (0..<size).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
    }

    static func utf16(_ text: String) -> [UInt8] { (Array(text.utf16) + [0]).flatMap { little(UInt64($0), 2) } }

    /// `EFI_GLOBAL_VARIABLE` as it is stored.
    static let globalVariable: [UInt8] = [
        0x61, 0xDF, 0xE4, 0x8B, 0xCA, 0x93, 0xD2, 0x11, 0xAA, 0x0D, 0x00, 0xE0, 0x98, 0x03, 0x2B, 0x8C,
    ]

    /// A firmware volume of 512 bytes, its store of `storeSize` bytes, and what follows filled with 0xA7.
    static func image(
        records: [UInt8],
        storeSize: Int = 400,
        size: Int = 512,
        format: UInt8 = 0x5A,
        state: UInt8 = 0xFE
    ) -> [UInt8] {
        var volume = [UInt8](repeating: 0, count: 16)
        volume += [0x8D, 0x2B, 0xF1, 0xFF, 0x96, 0x76, 0x8B, 0x4C, 0xA9, 0x85, 0x27, 0x47, 0x07, 0x5B, 0x4F, 0x50]
        volume += little(UInt64(size), 8)
        volume += Array("_FVH".utf8)
        volume += little(0x0004_FEFF, 4)
        volume += little(72, 2) + [0, 0] + [0, 0] + [0, 2]
        volume += little(1, 4) + little(UInt64(size), 4) + little(0, 8)
        let sum = stride(from: 0, to: 72, by: 2).reduce(0) { $0 + Int(volume[$1]) + Int(volume[$1 + 1]) << 8 }
        volume.replaceSubrange(50..<52, with: little(UInt64(0x10000 - sum % 0x10000), 2))
        volume += [0x78, 0x2C, 0xF3, 0xAA, 0x7B, 0x94, 0x9A, 0x43, 0xA1, 0x80, 0x2E, 0x14, 0x4E, 0xC3, 0x77, 0x92]
        volume += little(UInt64(storeSize), 4) + [format, state] + little(0, 6)
        volume += records
        volume += [UInt8](repeating: 0xFF, count: max(0, 72 + storeSize - volume.count))
        volume += [UInt8](repeating: 0xA7, count: max(0, size - volume.count))
        return volume
    }

    /// One variable of the global namespace, padded to the next header.
    static func record(
        _ name: String,
        _ data: [UInt8],
        state: UInt8 = 0x3F,
        attributes: UInt64 = 7,
        time: [UInt8]? = nil
    ) -> [UInt8] {
        let name = utf16(name)
        var record: [UInt8] = [0xAA, 0x55, state, 0x00]
        record += little(attributes, 4) + little(0, 8) + (time ?? little(0, 8) + little(0, 8)) + little(0, 4)
        record += little(UInt64(name.count), 4) + little(UInt64(data.count), 4) + globalVariable + name + data
        return record + [UInt8](repeating: 0xFF, count: (4 - record.count % 4) % 4)
    }

    static func der(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        if content.count < 0x80 { return [tag, UInt8(content.count)] + content }
        return [tag, 0x82, UInt8(content.count >> 8), UInt8(content.count & 0xFF)] + content
    }

    /// A certificate with empty key and signature; `subject` nil for a name without a common name.
    static func certificate(
        subject: String?,
        issuer: String = "Some Root",
        padding: Int = 0,
        notAfter: [UInt8]? = nil
    ) -> [UInt8] {
        func name(_ text: String?) -> [UInt8] {
            let identifier: [UInt8] = text == nil ? [0x55, 0x04, 0x0A] : [0x55, 0x04, 0x03]
            let pair = der(0x06, identifier) + der(0x0C, Array((text ?? "Nameless Limited").utf8))
            return der(0x30, der(0x31, der(0x30, pair)))
        }
        let algorithm = der(0x30, der(0x06, [0x2A, 0x03]))
        let dates = der(0x17, Array("111019184142Z".utf8)) + (notAfter ?? der(0x17, Array("261019185142Z".utf8)))
        let signed =
            der(0xA0, der(0x02, [2])) + der(0x02, [0x01]) + algorithm + name(issuer) + der(0x30, dates) + name(subject)
            + der(0x30, algorithm + der(0x03, [UInt8](repeating: 0, count: 1 + padding)))
        return der(0x30, der(0x30, signed) + algorithm + der(0x03, [0, 0]))
    }

    /// An image of 16 KiB whose `db` holds certificates of these subjects and one SHA-256 digest.
    static func keyedStore(_ subjects: [String]) throws -> VariableStore {
        let owner = GUID.random()
        func list(_ data: [UInt8], type: GUID = .x509Certificate) -> SignatureList {
            SignatureList(type: type, signatures: [SignatureList.Signature(owner: owner, data: data)])
        }
        let time = EFITime(year: 2025, month: 3, day: 10)
        let attributes = Variable.Attributes(rawValue: 0x27)
        let platform = try SignatureList.serialize([list(certificate(subject: "Platform"))])
        let digest = list([UInt8](repeating: 0xD1, count: 32), type: .sha256Digest)
        let database = try SignatureList.serialize(subjects.map { list(certificate(subject: $0)) } + [digest])
        var store = try VariableStore(parsing: image(records: [], storeSize: 12_000, size: 16_384))
        store.variables = [
            Variable("PK", vendor: .globalVariable, attributes: attributes, data: platform, timestamp: time),
            Variable("KEK", vendor: .globalVariable, attributes: attributes, data: platform, timestamp: time),
            Variable("db", vendor: .imageSecurityDatabase, attributes: attributes, data: database, timestamp: time),
            Variable(
                "dbx",
                vendor: .imageSecurityDatabase,
                attributes: attributes,
                data: try SignatureList.serialize([digest]),
                timestamp: time
            ),
        ]
        return store
    }
}
