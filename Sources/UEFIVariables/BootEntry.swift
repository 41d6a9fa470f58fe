import RoostPrimitives

/// One thing that the firmware can start (UEFI section 3.1.3, `EFI_LOAD_OPTION`).
///
/// | offset | field |
/// | --- | --- |
/// | 0 | attributes, 4 bytes |
/// | 4 | size of the device paths, 2 bytes |
/// | 6 | description, UTF-16 with a final zero |
/// | … | device paths, then data for what is started |
///
/// The texts come from the guest: they may hold any character.
package struct BootEntry: Hashable, Sendable {
    /// The four hexadecimal digits of the variable's name, `Boot0001`.
    package let number: UInt16

    /// Whether the firmware tries the entry by itself.
    package let isActive: Bool

    /// Whether menus leave the entry out.
    package let isHidden: Bool

    /// The name that the firmware shows.
    package let description: String

    /// Where the entry starts from, in UEFI's text form of device paths (section 10.6).
    package let devicePath: String

    /// Data for what is started, such as a boot loader's command line.
    package let optionalData: [UInt8]

    /// Reads the data of a `Boot####` variable.
    ///
    /// - Throws: ``VariableStoreError/Code/corrupt`` when it is cut short.
    init(number: UInt16, data: [UInt8]) throws(VariableStoreError) {
        guard let attributes = data[...].littleEndian(UInt32.self, at: 0),
            let pathSize = data[...].littleEndian(UInt16.self, at: 4), let units = data[...].terminatedUTF16(at: 6),
            let path = data[...].bytes(at: 8 + units.count * 2, count: Int(pathSize))
        else {
            throw VariableStoreError(
                .corrupt,
                "the variable \"\(Self.name(number))\" is no boot entry: it is cut short"
            )
        }
        self.number = number
        isActive = attributes & 0x01 != 0
        isHidden = attributes & 0x08 != 0
        description = String(decoding: units, as: UTF16.self)
        devicePath = DevicePath.text(path)
        optionalData = Array(data[path.endIndex...])
    }

    /// The name of the variable of an entry.
    package static func name(_ number: UInt16) -> String {
        let digits = String(number, radix: 16, uppercase: true)
        return "Boot" + String(repeating: "0", count: 4 - digits.count) + digits
    }

    /// The number in the name of a `Boot####` variable; nil for other names.
    static func number(_ key: Variable.Key) -> UInt16? {
        guard key.vendor == .globalVariable, key.nameUnits.count == 8 else { return nil }
        let name = String(decoding: key.nameUnits, as: UTF16.self)
        guard let number = UInt16(name.dropFirst(4), radix: 16), Self.name(number) == name else { return nil }
        return number
    }
}

extension VariableStore {
    /// The boot entries in the order in which the firmware tries them, then those that no order names, by number.
    ///
    /// Entries that cannot be read are left out, as the firmware leaves them out.
    package var bootEntries: [BootEntry] {
        var entries: [UInt16: BootEntry] = [:]
        for variable in variables {
            guard let number = BootEntry.number(variable.key) else { continue }
            entries[number] = try? BootEntry(number: number, data: variable.data)
        }
        let ordered = bootOrder.compactMap { entries.removeValue(forKey: $0) }
        return ordered + entries.values.sorted { $0.number < $1.number }
    }

    /// The numbers of `BootOrder`; empty when the store has none, as before the first start.
    package var bootOrder: [UInt16] {
        guard let data = self[Variable.Key("BootOrder", .globalVariable)]?.data else { return [] }
        return stride(from: 0, to: data.count, by: 2).compactMap { data[...].littleEndian(UInt16.self, at: $0) }
    }
}
