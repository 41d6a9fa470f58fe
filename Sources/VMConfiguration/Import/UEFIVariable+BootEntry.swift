import RoostPrimitives

extension UEFIVariable {
    /// The UEFI specification's own namespace, `EFI_GLOBAL_VARIABLE`.
    static let globalVendor = GUID("8BE4DF61-93CA-11D2-AA0D-00E098032B8C") ?? .zero

    /// The boot entries among variables that lead to a file on a partition, and their order, as any firmware finds them.
    ///
    /// An entry of Hyper-V's firmware begins with devices of its VMBus. What follows, partition and file, is an entry in
    /// the specification's short form (UEFI 2.10, section 3.1.2), for which a firmware searches all disks. Entries for
    /// anything else are left out: a firmware makes its own for each device.
    static func portableBootEntries(_ variables: [UEFIVariable]) -> [UEFIVariable] {
        let global = variables.filter { $0.vendor == globalVendor && $0.canBeGiven }
        var entries: [UInt16: UEFIVariable] = [:]
        for variable in global {
            guard let number = bootNumber(variable.name), let data = shortForm(variable.data) else { continue }
            var entry = variable
            entry.data = data
            entries[number] = entry
        }
        guard var order = global.first(where: { $0.name == "BootOrder" }) else { return [] }
        let numbers = stride(from: 0, to: order.data.count - 1, by: 2).map {
            UInt16(order.data[$0]) | UInt16(order.data[$0 + 1]) << 8
        }
        let ordered = numbers.filter { entries[$0] != nil }
        guard !ordered.isEmpty else { return [] }
        order.data = ordered.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
        var seen: Set<UInt16> = []
        return ordered.filter { seen.insert($0).inserted }.compactMap { entries[$0] } + [order]
    }

    /// The number in a name such as `Boot000A`.
    private static func bootNumber(_ name: String) -> UInt16? {
        guard name.utf8.count == 8, name.hasPrefix("Boot") else { return nil }
        let digits = name.dropFirst(4)
        guard digits.utf8.allSatisfy({ 0x30...0x39 ~= $0 || 0x41...0x46 ~= $0 }) else { return nil }
        return UInt16(digits, radix: 16)
    }

    /// An `EFI_LOAD_OPTION` (UEFI 2.10, section 3.1.3) whose device path begins with a partition; nil when no partition
    /// with a file is in it.
    private static func shortForm(_ option: [UInt8]) -> [UInt8]? {
        var reader = ByteReader(option)
        guard let attributes = try? reader.read(UInt32.self), let size = try? reader.read(UInt16.self) else {
            return nil
        }
        repeat {
            guard let unit = try? reader.read(UInt16.self) else { return nil }
            if unit == 0 { break }
        } while true
        let head = option[6..<reader.offset]
        guard let path = try? reader.read(count: Int(size)), let short = fromPartition(path) else { return nil }
        var writer = ByteWriter(capacity: option.count)
        writer.write(attributes)
        writer.write(UInt16(clamping: short.count))
        return writer.bytes + head + short + option[reader.offset...]
    }

    /// A device path (UEFI 2.10, section 10.3) from its partition on.
    private static func fromPartition(_ path: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        let (medium, partition, file, end) = (UInt8(4), UInt8(1), UInt8(4), UInt8(0x7F))
        var rest = path
        var found: ArraySlice<UInt8>?
        while rest.count >= 4 {
            let (type, subtype) = (rest[rest.startIndex], rest[rest.startIndex + 1])
            let count = Int(rest[rest.startIndex + 2]) | Int(rest[rest.startIndex + 3]) << 8
            guard count >= 4, count <= rest.count, type != end else { return nil }
            if (type, subtype) == (medium, partition), found == nil { found = rest }
            if (type, subtype) == (medium, file) { return found }
            rest = rest.dropFirst(count)
        }
        return nil
    }
}
