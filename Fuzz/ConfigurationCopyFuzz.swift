@testable import ConfigStore
import HyperVStorage
import RoostPrimitives

/// Reads the input as a second copy; and as the payloads of its two slots, behind headers that are right.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    exercise(input)
    guard count > 3 else { return 0 }
    let first = min(Int(input[0]) << 8 | Int(input[1]), count - 3)
    let (older, newer) = (input[3..<3 + first], input[(3 + first)...])
    let slotSize = (CopySlotHeader.size + max(older.count, newer.count) + 4095) / 4096 * 4096
    let sequences = (UInt64(input[2] & 15), UInt64(input[2] >> 4))
    exercise(slot(older, slotSize, sequence: sequences.0) + slot(newer, slotSize, sequence: sequences.1))
    return 0
}

/// A slot whose checksums are right, whatever it holds.
private func slot(_ payload: ArraySlice<UInt8>, _ size: Int, sequence: UInt64) -> [UInt8] {
    var header = CopySlotHeader(slotSize: UInt64(size), sequence: sequence, generation: sequence)
    header.payloadSize = UInt64(payload.count)
    header.payloadChecksum = CRC32.checksum(payload)
    let bytes = header.encoded() + payload
    return bytes + Array(repeating: 0, count: size - bytes.count)
}

/// What can be read of a copy is written again as a copy that holds the same.
private func exercise(_ bytes: [UInt8]) {
    _ = ConfigurationCopy(bytes, onlyNewest: true)
    let copy = ConfigurationCopy(bytes)
    _ = copy.isComplete
    guard let newest = copy.newest?.content, let tree = newest.tree else { return }
    guard let written = ConfigurationCopy.file(newest, previous: copy.previous) else { return }
    let again = ConfigurationCopy(written.bytes)
    precondition(again.damagedSlots.isEmpty && again.dirtyTails.isEmpty, "a copy was written that is not whole")
    guard let found = again.newest?.content else { fatalError("cannot read what was written") }
    precondition(found.sequence == newest.sequence && found.tree == tree, "reads differently from what was written")
    precondition(found.blockChecksums == newest.blockChecksums, "has other checksums")
}
