@testable import HyperVStorage
import RoostPrimitives

/// A sound file with values of every kind and two tables.
private let sound: StorageFile = {
    var tree = KeyNode("")
    for number in 0..<40 as Range<Int64> { tree.set("configuration/numbers/\(number)", .int(number)) }
    tree.set("configuration/properties/name", .string("fuzz"))
    tree.set("configuration/large", .array(Array(repeating: 7, count: 5000)))
    tree.set("configuration/flag", .bool(true))
    guard let file = try? StorageFile.create(tree: tree).file else { preconditionFailure("cannot make a file") }
    return file
}()

/// Reads the input as writes, of an offset, a length and bytes each, and lets the replay log of a sound file hold them
/// with every checksum right; and again with the checksums of the keys mended where the writes have changed them.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    var input = Array(UnsafeBufferPointer(start: start, count: count))[...]
    var writes = Transaction()
    while input.count > 5 {
        let head = Array(input.prefix(5))
        // Some of them behind the file's end.
        let offset = (Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])) % (sound.image.count + 8192)
        let length = min(Int(head[3]) << 8 | Int(head[4]), 4096, input.count - 5)
        writes.add(input.dropFirst(5).prefix(length), at: offset)
        input = input.dropFirst(5 + length)
    }
    guard sound.fits(writes) else { return 0 }
    var image = sound.image
    StorageAction.apply(writes.logged(sound.log, at: sound.headers.current), to: &image)
    exercise(image)

    var changed = sound.image
    StorageAction.apply(writes.destinations, to: &changed)
    changed = mended(Array(changed.prefix(sound.image.count)))
    exercise(changed)
    // The same tables, on their way through the log.
    var tables = Transaction()
    for table in sound.layout?.tables.tables ?? [] {
        tables.add(changed[table.offset..<table.offset + table.size], at: table.offset)
    }
    image = sound.image
    guard sound.fits(tables) else { return 0 }
    StorageAction.apply(tables.logged(sound.log, at: sound.headers.current), to: &image)
    exercise(image)
    return 0
}

/// The image with the checksum of each key that the sound file has made right again.
private func mended(_ image: [UInt8]) -> [UInt8] {
    var image = image
    for known in sound.layout?.tables.entries ?? [] {
        let checksum = try? withView(image) { (view) throws(StorageError) -> UInt32? in
            var entry = known
            (entry.type, entry.flags) = (view.byte(known.fileOffset), view.byte(known.fileOffset + 1))
            entry.nameLength = view.byte(known.fileOffset + 20)
            guard KeyEntry.headerSize + Int(entry.nameLength) <= Int(entry.size), let size = entry.dataSize(view) else {
                return nil
            }
            return view.checksum(known.fileOffset, KeyEntry.headerSize + Int(entry.nameLength) + size, zeroing: 12)
        }
        guard let checksum = checksum ?? nil else { continue }
        for byte in 0..<4 {
            image[known.fileOffset + 12 + byte] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * byte))
        }
    }
    return image
}

/// A file that can be read is the same after its recovery, and can be changed.
private func exercise(_ bytes: [UInt8]) {
    _ = try? StorageFile.overview(of: bytes, leavingOut: UInt8(ascii: "c"))
    guard var file = try? StorageFile(parsing: bytes) else {
        _ = StorageFile.salvage(bytes)
        return
    }
    var recovered = bytes
    StorageAction.apply(file.recovery.actions, to: &recovered)
    guard let whole = try? StorageFile(parsing: recovered) else { fatalError("cannot read what recovery made") }
    precondition(whole.recovery.isClean && whole.tree == file.tree, "recovery made another file")
    var changed = file.tree
    changed.set("configuration/fuzz", .int(1))
    for keptElsewhere in [false, true] {
        guard let actions = try? file.commit(changed, keptElsewhere: keptElsewhere) else { return }
        StorageAction.apply(actions, to: &recovered)
        guard let again = try? StorageFile(parsing: recovered) else { fatalError("cannot read what was written") }
        precondition(again.tree.children == changed.children, "reads differently from what was written")
        changed.set("configuration/fuzz", .int(2))
    }
}
