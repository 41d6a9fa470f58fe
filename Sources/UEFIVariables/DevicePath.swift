import RoostPrimitives

/// Writes device paths (UEFI section 10.3) as text.
///
/// Each node has a type, a subtype, 2 bytes of size and its data. Nodes that virtual machines do not have are written
/// in the generic form of section 10.6.1, `Path(type,subtype,data)`.
enum DevicePath {
    /// The text of a device path; of several, only the first is written.
    ///
    /// Damage ends the text with `…`.
    static func text(_ bytes: ArraySlice<UInt8>) -> String {
        var text = ""
        var rest = bytes
        while !rest.isEmpty {
            guard let head = rest.bytes(at: 0, count: 2), let type = head.first, let subtype = head.last,
                let size = rest.littleEndian(UInt16.self, at: 2), size >= 4,
                let node = rest.bytes(at: 0, count: Int(size))
            else { return text + "…" }
            // A node of this type ends a path, or one of several instances.
            if type == 0x7F {
                guard subtype == 0x01 else { return text }
                text += ","
            } else {
                if !text.isEmpty, !text.hasSuffix(",") { text += "/" }
                let data = node.dropFirst(4)
                text += known(type, subtype, data) ?? generic(type, subtype, data)
            }
            rest = rest.dropFirst(node.count)
        }
        return text
    }

    private static func generic(_ type: UInt8, _ subtype: UInt8, _ data: ArraySlice<UInt8>) -> String {
        data.isEmpty ? "Path(\(type),\(subtype))" : "Path(\(type),\(subtype),\(digits(data)))"
    }

    private static func known(_ type: UInt8, _ subtype: UInt8, _ data: ArraySlice<UInt8>) -> String? {
        switch (type, subtype) {
        case (1, 1): numbers("Pci", [data.byte(at: 1), data.byte(at: 0)])
        case (1, 4): data.guid(at: 0).map { "VenHw(\($0))" }
        case (1, 5): numbers("Ctrl", [data.word(at: 0)])
        case (2, 1): acpi(data)
        case (3, _): message(subtype, data)
        case (4, _): medium(subtype, data)
        default: nil
        }
    }

    private static func acpi(_ data: ArraySlice<UInt8>) -> String? {
        guard let id = data.word(at: 0), let instance = data.word(at: 4) else { return nil }
        // The low half is the compressed maker "PNP", the high half the product.
        guard id & 0xFFFF == 0x41D0 else { return "Acpi(\(id.hexadecimal(digits: 8)),\(instance.hexadecimal()))" }
        switch id >> 16 {
        case 0x0A03: return "PciRoot(\(instance.hexadecimal()))"
        case 0x0A08: return "PcieRoot(\(instance.hexadecimal()))"
        case let product: return "Acpi(PNP\(product.hexadecimal(digits: 4).dropFirst(2)),\(instance.hexadecimal()))"
        }
    }

    private static func message(_ subtype: UInt8, _ data: ArraySlice<UInt8>) -> String? {
        switch subtype {
        case 1: return numbers("Ata", [data.byte(at: 0), data.byte(at: 1), data.half(at: 2)])
        case 2: return numbers("Scsi", [data.half(at: 0), data.half(at: 2)])
        case 5: return numbers("USB", [data.byte(at: 0), data.byte(at: 1)])
        case 10: return data.guid(at: 0).map { "VenMsg(\($0))" }
        case 11:
            guard let address = data.bytes(at: 0, count: 32), let interface = data.byte(at: 32) else { return nil }
            // Ethernet addresses take 6 of the 32 bytes.
            return "MAC(\(digits(interface <= 1 ? address.prefix(6) : address)),\(interface.hexadecimal()))"
        case 12: return "IPv4()"
        case 13: return "IPv6()"
        case 18: return numbers("Sata", [data.half(at: 0), data.half(at: 2), data.half(at: 4)])
        case 23:
            guard let namespace = data.word(at: 0), let address = data.bytes(at: 4, count: 8) else { return nil }
            let pairs = address.reversed().map { digits([$0]) }
            return "NVMe(\(namespace.hexadecimal()),\(pairs.joined(separator: "-")))"
        case 24: return "Uri(\(String(decoding: data, as: UTF8.self)))"
        default: return nil
        }
    }

    private static func medium(_ subtype: UInt8, _ data: ArraySlice<UInt8>) -> String? {
        switch subtype {
        case 1: return partition(data)
        case 2:
            guard let entry = data.word(at: 0), let start = data.long(at: 4), let size = data.long(at: 12) else {
                return nil
            }
            return "CDROM(\(entry.hexadecimal()),\(start.hexadecimal()),\(size.hexadecimal()))"
        case 3: return data.guid(at: 0).map { "VenMedia(\($0))" }
        case 4:
            let units = stride(from: 0, to: data.count, by: 2).compactMap { data.littleEndian(UInt16.self, at: $0) }
            return String(decoding: units.prefix { $0 != 0 }, as: UTF16.self)
        case 6: return data.guid(at: 0).map { "FvFile(\($0))" }
        case 7: return data.guid(at: 0).map { "Fv(\($0))" }
        default: return nil
        }
    }

    private static func partition(_ data: ArraySlice<UInt8>) -> String? {
        guard let number = data.word(at: 0), let start = data.long(at: 4), let size = data.long(at: 12),
            let type = data.byte(at: 37)
        else { return nil }
        let signature: String?
        switch type {
        case 1: signature = data.word(at: 20).map { "MBR,\($0.hexadecimal(digits: 8))" }
        case 2: signature = data.guid(at: 20).map { "GPT,\($0)" }
        default: signature = nil
        }
        guard let signature else { return nil }
        return "HD(\(number),\(signature),\(start.hexadecimal()),\(size.hexadecimal()))"
    }

    /// `Name(0x1,0x2)`; nil when a number is missing.
    private static func numbers(_ name: String, _ numbers: [(any BinaryInteger)?]) -> String? {
        let present = numbers.compactMap { $0?.hexadecimal() }
        guard present.count == numbers.count else { return nil }
        return "\(name)(\(present.joined(separator: ",")))"
    }

    private static func digits(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { String($0 >> 4, radix: 16, uppercase: true) + String($0 & 15, radix: 16, uppercase: true) }.joined()
    }
}

extension ArraySlice<UInt8> {
    fileprivate func byte(at offset: Int) -> UInt8? { littleEndian(UInt8.self, at: offset) }
    fileprivate func half(at offset: Int) -> UInt16? { littleEndian(UInt16.self, at: offset) }
    fileprivate func word(at offset: Int) -> UInt32? { littleEndian(UInt32.self, at: offset) }
    fileprivate func long(at offset: Int) -> UInt64? { littleEndian(UInt64.self, at: offset) }
}
