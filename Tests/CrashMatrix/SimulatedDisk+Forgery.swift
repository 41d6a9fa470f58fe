extension SimulatedDisk {
    /// Gives every replay log right checksums, whatever it holds: as if the reader did not check them.
    ///
    /// Written from the format page alone.
    func forgeLogs() {
        for name in state.names.keys where name.hasSuffix(".vmcx") || name.hasSuffix(".vmrs") {
            mutate(name) { Self.forgeLog(&$0) }
        }
    }

    private static func forgeLog(_ bytes: inout [UInt8]) {
        guard bytes.count > 0x3000 else { return }
        let log = Int(number(bytes, 26, 8) & 0xFFFF_FFFF)
        let headerSize = Int(number(bytes, 42, 4) & 0xFFFF)
        guard log >= 0x2000, log + headerSize <= bytes.count, number(bytes, log, 4) == 0x0111_0003 else { return }
        let count = Int(number(bytes, log + 8, 4))
        guard count > 0, count <= 17 else { return }
        for index in 0..<count {
            let entry = log + 34 + 28 * index
            let (size, payload) = (Int(number(bytes, entry + 8, 4)), Int(number(bytes, entry + 12, 8) & 0xFFFF_FFFF))
            guard payload + size <= bytes.count - log else { return }
            put(crc(bytes[log + payload..<log + payload + size]), &bytes, entry + 24)
            put(0, &bytes, entry + 20)
            put(crc(bytes[entry..<entry + 28]), &bytes, entry + 20)
        }
        put(crc(bytes[log + 34..<log + 34 + 28 * count]), &bytes, log + 30)
        put(0, &bytes, log + 4)
        put(crc(bytes[log..<log + 34]), &bytes, log + 4)
    }

    private static func number(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> UInt64 {
        (0..<count).reversed().reduce(0) { $0 << 8 | UInt64(bytes[offset + $1]) }
    }

    private static func put(_ value: UInt32, _ bytes: inout [UInt8], _ offset: Int) {
        for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
    }

    private static func crc(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        var crc: UInt32 = 0xFFFF_FFFF
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
        }
        return ~crc
    }
}
