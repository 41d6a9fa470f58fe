import HyperVStorage

/// Reads the input as it is, and as what follows the first line.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    exercise(input)
    exercise(Array("roost-keys 1\n".utf8) + input)
    return 0
}

/// A text that can be read can be written, has the same keys afterwards, and is then written as it is.
private func exercise(_ bytes: [UInt8]) {
    guard let tree = try? TextForm.parse(bytes) else { return }
    guard let written = try? TextForm.serialize(tree), let again = try? TextForm.parse(written) else {
        fatalError("cannot write what was read, or read what was written")
    }
    precondition(again == tree, "reads differently from what was written")
    precondition((try? TextForm.serialize(again)) == written, "is written in two ways")
    guard let file = try? StorageFile.create(tree: tree) else { return }
    precondition(file.file.tree.children == tree.children, "a file holds other keys")
}
