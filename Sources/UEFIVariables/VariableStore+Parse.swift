import RoostPrimitives

extension VariableStore {
    /// Reads the image of a variable store.
    ///
    /// - Throws: ``VariableStoreError/Code/corrupt`` for bytes that are no variable store or a damaged one,
    ///   ``VariableStoreError/Code/unsupported`` for a store without authenticated variables or one above 64 MiB.
    package init(parsing image: [UInt8]) throws(VariableStoreError) {
        guard image.count <= VariableStoreLayout.imageMaximum else {
            throw VariableStoreError(
                .unsupported,
                "cannot read a variable store of \(image.count) bytes, more than 64 MiB"
            )
        }
        let headerSize = try Self.volumeHeaderSize(image[...])
        let storeSize = try Self.storeSize(image[...], at: headerSize.header, volumeSize: headerSize.volume)
        let first = VariableStoreLayout.aligned(headerSize.header + VariableStoreLayout.storeHeaderSize)
        let end = headerSize.header + storeSize
        guard first <= end else {
            throw VariableStoreError(.corrupt, "the variable store has only \(storeSize) bytes")
        }
        self.image = image
        region = first..<end
        variables = try Self.variables(image[region], at: first)
    }

    /// Checks the firmware volume header at the start of the image; gives its size and that of the volume.
    private static func volumeHeaderSize(
        _ image: ArraySlice<UInt8>
    ) throws(VariableStoreError) -> (header: Int, volume: Int) {
        guard let length = image.littleEndian(UInt64.self, at: 32),
            image.bytes(at: 40, count: 4)?.elementsEqual("_FVH".utf8) == true,
            let headerLength = image.littleEndian(UInt16.self, at: 48), let fileSystem = image.guid(at: 16)
        else {
            throw VariableStoreError(
                .corrupt,
                "the image does not begin with a firmware volume; a store such as OVMF_VARS_4M.fd is needed"
            )
        }
        // The fixed part, one entry of the block map and its end make 72 bytes.
        guard headerLength >= 72, headerLength % 2 == 0, let header = image.bytes(at: 0, count: Int(headerLength))
        else {
            throw VariableStoreError(.corrupt, "the firmware volume header gives its own size as \(headerLength) bytes")
        }
        var sum: UInt16 = 0
        for offset in stride(from: 0, to: Int(headerLength), by: 2) {
            sum &+= header.littleEndian(UInt16.self, at: offset) ?? 0
        }
        guard sum == 0 else {
            throw VariableStoreError(
                .corrupt,
                "the firmware volume header has a wrong checksum: the sum is \(sum.hexadecimal()), not 0"
            )
        }
        guard fileSystem == .systemNonVolatileData else {
            throw VariableStoreError(
                .unsupported,
                "the firmware volume holds \(fileSystem), not UEFI variables; is it the code image?"
            )
        }
        guard let volume = Int(exactly: length), volume <= image.count, volume >= Int(headerLength) else {
            throw VariableStoreError(
                .corrupt,
                "the firmware volume has \(length) bytes, the image \(image.count): it was cut or damaged"
            )
        }
        return (Int(headerLength), volume)
    }

    /// Checks the store header at `offset`; gives the size of the store, which includes the header.
    private static func storeSize(
        _ image: ArraySlice<UInt8>,
        at offset: Int,
        volumeSize: Int
    ) throws(VariableStoreError) -> Int {
        guard let signature = image.guid(at: offset), let size = image.littleEndian(UInt32.self, at: offset + 16),
            let marks = image.bytes(at: offset + 20, count: 2), let format = marks.first, let state = marks.last,
            image.bytes(at: offset, count: VariableStoreLayout.storeHeaderSize) != nil
        else {
            throw VariableStoreError(.corrupt, "the image ends inside the header of the variable store")
        }
        switch signature {
        case .authenticatedVariableStore: break
        case .plainVariableStore:
            throw VariableStoreError(
                .unsupported,
                "the variable store has no authenticated variables; use firmware with Secure Boot"
            )
        default:
            throw VariableStoreError(.corrupt, "the firmware volume begins with \(signature), not a variable store")
        }
        guard format == VariableStoreLayout.formatted, state == VariableStoreLayout.healthy else {
            throw VariableStoreError(
                .corrupt,
                "the variable store is marked format \(format.hexadecimal(digits: 2)), state "
                    + "\(state.hexadecimal(digits: 2)), not formatted and healthy"
            )
        }
        guard let size = Int(exactly: size), size >= VariableStoreLayout.storeHeaderSize, size <= volumeSize - offset
        else {
            throw VariableStoreError(
                .corrupt,
                "the variable store has \(size) bytes, the firmware volume \(volumeSize) bytes"
            )
        }
        return size
    }

    /// Walks the variables as the firmware does; `base` is where the region begins in the image.
    private static func variables(_ region: ArraySlice<UInt8>, at base: Int) throws(VariableStoreError) -> [Variable] {
        var found: [(variable: Variable, state: UInt8)] = []
        var offset = 0
        while region.littleEndian(UInt16.self, at: offset) == VariableStoreLayout.startID {
            let record = try VariableRecord(region, at: offset, base: base)
            if let variable = record.variable { found.append((variable, record.state)) }
            // The last variable may end, unaligned, at the very end of the store.
            offset = min(VariableStoreLayout.aligned(base + record.end) - base, region.count)
        }
        guard isErased(region.dropFirst(offset)) else {
            throw VariableStoreError(
                .corrupt,
                "no variable begins at \((base + offset).hexadecimal()), and the space there is not erased"
            )
        }
        return live(found)
    }

    /// Whether nothing but erased flash is in a range; most of a store is, so eight bytes are looked at at once.
    private static func isErased(_ bytes: ArraySlice<UInt8>) -> Bool {
        let erased = UInt64(VariableStoreLayout.erased) &* 0x0101_0101_0101_0101
        return bytes.withUnsafeBytes { bytes in
            let words = bytes.count & ~7
            for offset in stride(from: 0, to: words, by: 8)
            where bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) != erased { return false }
            return bytes[words...].allSatisfy { $0 == VariableStoreLayout.erased }
        }
    }

    /// Keeps one variable of each key: the first that is in place, else the first that was about to be replaced.
    private static func live(_ found: [(variable: Variable, state: UInt8)]) -> [Variable] {
        var taken: [Variable.Key: Int] = [:]
        for state in [VariableStoreLayout.added, VariableStoreLayout.inDeletedTransition] {
            for (index, entry) in found.enumerated() where entry.state == state && taken[entry.variable.key] == nil {
                taken[entry.variable.key] = index
            }
        }
        return taken.values.sorted().map { found[$0].variable }
    }
}

/// One variable header with its name and data, live or not.
private struct VariableRecord {
    /// Which steps of its life the variable has gone through.
    let state: UInt8

    /// The offset behind the data.
    let end: Int

    /// The variable; nil when it is deleted or was never completed.
    let variable: Variable?

    init(_ region: ArraySlice<UInt8>, at offset: Int, base: Int) throws(VariableStoreError) {
        let place = (base + offset).hexadecimal()
        guard let header = region.bytes(at: offset, count: VariableStoreLayout.variableHeaderSize),
            let state = header.bytes(at: 2, count: 1)?.first,
            let attributes = header.littleEndian(UInt32.self, at: 4),
            let monotonicCount = header.littleEndian(UInt64.self, at: 8),
            let timestamp = header.bytes(at: 16, count: 16).flatMap({ EFITime($0) }),
            let publicKeyIndex = header.littleEndian(UInt32.self, at: 32),
            let nameSize = header.littleEndian(UInt32.self, at: 36),
            let dataSize = header.littleEndian(UInt32.self, at: 40), let vendor = header.guid(at: 44)
        else {
            throw VariableStoreError(.corrupt, "the variable at \(place) goes beyond the end of the store")
        }
        let nameOffset = offset + VariableStoreLayout.variableHeaderSize
        self.state = state
        // A header that was never completed counts as empty: the firmware steps over its 60 bytes.
        let unwritten = UInt32.max
        if state == 0xFF || nameSize == unwritten || dataSize == unwritten || attributes == unwritten {
            end = nameOffset
            variable = nil
            return
        }
        guard let name = region.bytes(at: nameOffset, count: Int(nameSize)),
            let data = region.bytes(at: nameOffset + Int(nameSize), count: Int(dataSize))
        else {
            throw VariableStoreError(
                .corrupt,
                "the variable at \(place) goes beyond the end of the store: "
                    + "its name has \(nameSize) bytes, its data \(dataSize)"
            )
        }
        end = nameOffset + Int(nameSize) + Int(dataSize)
        guard state == VariableStoreLayout.added || state == VariableStoreLayout.inDeletedTransition else {
            variable = nil
            return
        }
        guard let units = name.terminatedUTF16(at: 0), !units.isEmpty, units.count * 2 + 2 == name.count else {
            throw VariableStoreError(.corrupt, "the name of the variable at \(place) is not one zero-terminated text")
        }
        variable = Variable(
            key: Variable.Key(nameUnits: units, vendor: vendor),
            attributes: Variable.Attributes(rawValue: attributes),
            data: Array(data),
            timestamp: timestamp,
            monotonicCount: monotonicCount,
            publicKeyIndex: publicKeyIndex
        )
    }
}
