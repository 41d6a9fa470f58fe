import RoostPrimitives

/// Reads at offsets counted from the start of the slice; everything outside it is nil.
extension ArraySlice<UInt8> {
    /// The little-endian number at `offset`, or nil when it is not wholly inside.
    func littleEndian<Number: FixedWidthInteger & UnsignedInteger>(_ type: Number.Type, at offset: Int) -> Number? {
        guard let field = bytes(at: offset, count: Number.bitWidth / 8) else { return nil }
        return field.reversed().reduce(0) { $0 << 8 | Number($1) }
    }

    /// The `count` bytes at `offset`, or nil when they are not wholly inside.
    func bytes(at offset: Int, count length: Int) -> ArraySlice<UInt8>? {
        guard offset >= 0, length >= 0, offset <= count, length <= count - offset else { return nil }
        return self[(startIndex + offset)..<(startIndex + offset + length)]
    }

    /// The identifier at `offset`, stored as EFI and Windows store a `GUID`, or nil when it is not wholly inside.
    func guid(at offset: Int) -> GUID? {
        bytes(at: offset, count: 16).flatMap { GUID(littleEndianBytes: $0) }
    }

    /// The UTF-16 code units from `offset` up to a zero unit; nil when the slice ends before one.
    func terminatedUTF16(at offset: Int) -> [UInt16]? {
        var units: [UInt16] = []
        var position = offset
        while let unit = littleEndian(UInt16.self, at: position) {
            guard unit != 0 else { return units }
            units.append(unit)
            position += 2
        }
        return nil
    }
}

extension [UInt8] {
    /// Adds a number with its least significant byte first.
    mutating func append(littleEndian number: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
    }
}

extension BinaryInteger {
    /// The number as `0x2F`, with at least `digits` digits.
    func hexadecimal(digits: Int = 1) -> String {
        let text = String(self, radix: 16, uppercase: true)
        return "0x" + String(repeating: "0", count: Swift.max(0, digits - text.count)) + text
    }
}
