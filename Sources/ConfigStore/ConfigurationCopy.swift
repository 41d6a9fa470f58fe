import RoostPrimitives

/// A second copy as its bytes are: two slots of equal size, written in turn, so that a cut-off write leaves the other.
struct ConfigurationCopy: Sendable {
    /// What became of a slot.
    enum Slot: Sendable {
        /// Never used.
        case blank(CopySlotHeader)
        /// Whole.
        case valid(CopyContent)
        /// Nothing of it counts; what its header said, when at least that is whole.
        case damaged(CopySlotHeader?)
    }

    /// The size of each slot in bytes.
    let slotSize: Int
    /// The two slots.
    let slots: [Slot]
    /// The headers of the slots that have a whole one.
    let headers: [CopySlotHeader]
    /// The offsets of bytes that should be zero and are not: no state depends on them.
    let dirtyTails: [Int]
    /// What the device cannot read, and reads as zero here.
    let unreadable: [Range<Int>]

    /// Reads a copy; every slot is checked, unless `onlyNewest`: then the other is taken as its header says.
    init(_ bytes: [UInt8], unreadable: [Range<Int>] = [], onlyNewest: Bool = false) {
        self.unreadable = unreadable
        let half = bytes.count / 2
        let headers = [CopySlotHeader(bytes[..<half]), CopySlotHeader(bytes[half...])]
        let older = onlyNewest ? Self.older(headers) : nil
        let claimed = headers.compactMap { $0.map { Int($0.slotSize) } }
        slotSize = claimed.first { $0 == half } ?? claimed.first ?? half
        var slots: [Slot] = []
        var tails: [Int] = []
        for (index, header) in headers.enumerated() {
            let start = index * half
            guard let header, Int(header.slotSize) == half else {
                slots.append(.damaged(headers[index]))
                continue
            }
            let payload = bytes[start + CopySlotHeader.size..<start + CopySlotHeader.size + Int(header.payloadSize)]
            if index == older {
                slots.append(.blank(header))
                continue
            }
            // Behind the header and the payload a slot is zero.
            if !onlyNewest, let tail = bytes[payload.endIndex..<start + half].firstIndex(where: { $0 != 0 }) {
                tails.append(tail)
            }
            if bytes[start + 60..<start + 64].contains(where: { $0 != 0 }) { tails.append(start + 60) }
            if header.isBlank {
                slots.append(.blank(header))
            } else if CRC32.checksum(payload) == header.payloadChecksum,
                let content = CopyContent(header, payload: payload)
            {
                slots.append(.valid(content))
            } else {
                slots.append(.damaged(header))
            }
        }
        self.slots = slots
        self.headers = headers.compactMap { $0 }
        dirtyTails = tails
    }

    private static func older(_ headers: [CopySlotHeader?]) -> Int? {
        guard let first = headers[0], let second = headers[1], first.sequence != second.sequence else { return nil }
        return first.sequence < second.sequence ? 0 : 1
    }

    /// The newest whole slot, and which it is.
    var newest: (index: Int, content: CopyContent)? {
        let valid = slots.indices.compactMap { index -> (Int, CopyContent)? in
            if case .valid(let content) = slots[index] { (index, content) } else { nil }
        }
        return valid.max { $0.1.sequence < $1.1.sequence }
    }

    /// The state before the newest one, when it is still there whole.
    var previous: CopyContent? {
        guard let newest, case .valid(let content) = slots[1 - newest.index] else { return nil }
        return content
    }

    /// The slots that are neither whole nor blank.
    var damagedSlots: [Int] {
        slots.indices.filter { if case .damaged = slots[$0] { true } else { false } }
    }

    /// Whether nothing newer than the newest slot can ever have been in the copy.
    var isComplete: Bool { newest != nil && damagedSlots.isEmpty }

    // MARK: - Writing

    /// The bytes of one slot, zeros to its end where an earlier state may have reached; nil when it does not fit.
    static func slot(_ content: CopyContent, slotSize: Int, clearing: Int) -> [UInt8]? {
        var fits = false
        let bytes = [UInt8](unsafeUninitializedCapacity: slotSize) { buffer, count in
            let buffer = UnsafeMutableRawBufferPointer(buffer)
            var writer = BufferWriter(buffer)
            writer.pad(to: CopySlotHeader.size)
            content.writePayload(to: &writer)
            guard writer.fits else { return }
            var header = CopySlotHeader(
                slotSize: UInt64(slotSize),
                sequence: content.sequence,
                generation: content.generation
            )
            var checksum = CRC32()
            checksum.update(buffer: writer.written(from: CopySlotHeader.size))
            header.payloadSize = UInt64(writer.count - CopySlotHeader.size)
            header.payloadChecksum = checksum.value
            header.changed = content.changed
            buffer.copyBytes(from: header.encoded())
            writer.pad(to: min(clearing, slotSize))
            (count, fits) = (writer.count, true)
        }
        return fits ? bytes : nil
    }

    /// A whole copy with a state in its second slot, and the one before in the first; its slots have room to grow.
    ///
    /// Returns the bytes and how many of each slot are used; nil when it would be too large.
    static func file(_ content: CopyContent, previous: CopyContent?) -> (bytes: [UInt8], used: [Int])? {
        let sizes = [previous?.payloadSize ?? 0, content.payloadSize].map { CopySlotHeader.size + $0 }
        let slotSize = max(CopySlotHeader.smallestSlot, (max(sizes[0], sizes[1]) * 3 / 2 + 4095) / 4096 * 4096)
        guard slotSize <= CopySlotHeader.largestSlot,
            let second = slot(content, slotSize: slotSize, clearing: slotSize)
        else { return nil }
        var bytes = CopySlotHeader(slotSize: UInt64(slotSize), sequence: 0, generation: 0).encoded()
        if let previous {
            guard let first = slot(previous, slotSize: slotSize, clearing: slotSize) else { return nil }
            bytes = first
        }
        bytes.append(contentsOf: repeatElement(0, count: slotSize - bytes.count))
        return (bytes + second, sizes)
    }
}
