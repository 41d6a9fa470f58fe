package import RoostPrimitives

/// Signatures of one type and one size, as `PK`, `KEK`, `db` and `dbx` hold them (UEFI `EFI_SIGNATURE_LIST`).
///
/// | offset | field |
/// | --- | --- |
/// | 0 | type, 16 bytes |
/// | 16 | size of the list with these fields, 4 bytes |
/// | 20 | size of the list's own header, 4 bytes |
/// | 24 | size of one signature with its owner, 4 bytes |
/// | 28 | the header, then the signatures |
package struct SignatureList: Hashable, Sendable {
    /// One signature: what it is depends on the type of its list.
    package struct Signature: Hashable, Sendable {
        /// Who supplied the signature.
        package var owner: GUID

        /// The certificate or the digest.
        package var data: [UInt8]

        package init(owner: GUID, data: [UInt8]) {
            self.owner = owner
            self.data = data
        }
    }

    /// What the signatures are.
    package var type: GUID

    /// The list's own header; empty for all types that UEFI defines.
    package var header: [UInt8]

    /// The signatures, all of one size.
    package var signatures: [Signature]

    package init(type: GUID, header: [UInt8] = [], signatures: [Signature]) {
        self.type = type
        self.header = header
        self.signatures = signatures
    }

    private static let fixedSize = 28
    private static let ownerSize = 16

    /// Reads the lists that stand one behind the other in the data of a variable.
    ///
    /// - Throws: ``VariableStoreError/Code/corrupt`` for sizes that do not add up.
    package static func parse(_ data: [UInt8]) throws(VariableStoreError) -> [SignatureList] {
        var lists: [SignatureList] = []
        var rest = data[...]
        while !rest.isEmpty {
            guard let type = rest.guid(at: 0), let listSize = rest.littleEndian(UInt32.self, at: 16),
                let headerSize = rest.littleEndian(UInt32.self, at: 20),
                let signatureSize = rest.littleEndian(UInt32.self, at: 24),
                let list = rest.bytes(at: 0, count: Int(listSize)),
                let header = list.bytes(at: fixedSize, count: Int(headerSize))
            else {
                throw VariableStoreError(
                    .corrupt,
                    "the signature list at byte \(rest.startIndex) of \(data.count) goes beyond the end"
                )
            }
            let signatures = list.dropFirst(fixedSize + Int(headerSize))
            guard Int(signatureSize) >= ownerSize, signatures.count % Int(signatureSize) == 0 else {
                throw VariableStoreError(
                    .corrupt,
                    "the signature list at byte \(rest.startIndex) holds \(signatures.count) bytes "
                        + "in signatures of \(signatureSize)"
                )
            }
            lists.append(
                SignatureList(
                    type: type,
                    header: Array(header),
                    signatures: split(signatures, size: Int(signatureSize))
                )
            )
            rest = rest.dropFirst(list.count)
        }
        return lists
    }

    /// Cuts the signatures apart; `size` is at least that of an owner and divides the whole.
    private static func split(_ bytes: ArraySlice<UInt8>, size: Int) -> [Signature] {
        stride(from: 0, to: bytes.count, by: size).compactMap { offset in
            guard let entry = bytes.bytes(at: offset, count: size), let owner = entry.guid(at: 0) else { return nil }
            return Signature(owner: owner, data: Array(entry.dropFirst(ownerSize)))
        }
    }

    /// The bytes of lists that stand one behind the other.
    ///
    /// - Throws: ``VariableStoreError/Code/invalidArgument`` when the signatures of a list differ in size.
    package static func serialize(_ lists: [SignatureList]) throws(VariableStoreError) -> [UInt8] {
        var bytes: [UInt8] = []
        for list in lists {
            let size = ownerSize + (list.signatures.first?.data.count ?? 0)
            guard list.signatures.allSatisfy({ ownerSize + $0.data.count == size }) else {
                throw VariableStoreError(
                    .invalidArgument,
                    "cannot write a signature list of type \(list.type) with signatures of several sizes"
                )
            }
            bytes += list.type.littleEndianBytes
            let total = fixedSize + list.header.count + size * list.signatures.count
            bytes.append(littleEndian: UInt32(truncatingIfNeeded: total))
            bytes.append(littleEndian: UInt32(truncatingIfNeeded: list.header.count))
            bytes.append(littleEndian: UInt32(truncatingIfNeeded: size))
            bytes += list.header
            for signature in list.signatures { bytes += signature.owner.littleEndianBytes + signature.data }
        }
        return bytes
    }

    /// The certificates of the lists; those that cannot be read are left out.
    package static func certificates(in lists: [SignatureList]) -> [Certificate] {
        lists.filter { $0.type == .x509Certificate }.flatMap(\.signatures).compactMap { try? Certificate(der: $0.data) }
    }
}
