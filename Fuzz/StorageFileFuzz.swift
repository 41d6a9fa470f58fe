import HyperVStorage

/// A sound file, which edits then damage: without it no input would pass the checks at the beginning of a file.
private let sound: [UInt8] = {
    var tree = KeyNode("")
    tree.set("configuration/properties/name", .string("fuzz"))
    tree.set("configuration/properties/version", .int(0x0800))
    tree.set("configuration/settings/memory/bank/size", .int(512))
    guard let file = try? StorageFile.create(tree: tree) else { preconditionFailure("cannot make a file") }
    return file.bytes
}()

/// Reads the input as a file; and as edits of a sound one, of four bytes each: an offset and a value.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    exercise(input)
    var edited = sound
    for index in stride(from: 0, to: count - count % 4, by: 4) {
        let offset = Int(input[index]) << 16 | Int(input[index + 1]) << 8 | Int(input[index + 2])
        edited[offset % edited.count] = input[index + 3]
    }
    exercise(edited)
    return 0
}

/// A file that can be read can be changed, and reads as changed afterwards.
private func exercise(_ bytes: [UInt8]) {
    guard var file = try? StorageFile(parsing: bytes) else { return }
    var changed = file.tree
    changed.set("configuration/fuzz", .int(1))
    guard let actions = try? file.commit(changed) else { return }
    var image = bytes
    StorageAction.apply(actions, to: &image)
    guard let again = try? StorageFile(parsing: image) else { fatalError("cannot read what was written") }
    precondition(again.tree.children == changed.children, "reads differently from what was written")
}
