#if canImport(Glibc)
    import Glibc
#endif

/// The file that a qcow2 file stands on, as its header names it; nil when it stands on none, or is no qcow2 file.
///
/// For finding out quickly who needs a file: a header that makes no sense names none. Blocks on the disk. Source: QEMU's
/// `docs/interop/qcow2.txt`, "Header".
package func backingFile(of path: String) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 65536)
    let count = pread(descriptor, &bytes, bytes.count, 0)
    guard count >= 72, bytes[..<4] == [0x51, 0x46, 0x49, 0xFB] else { return nil }
    let offset = bytes[8..<16].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    let size = bytes[16..<20].reduce(0) { $0 << 8 | Int($1) }
    // The name lies in the first cluster.
    guard offset > 0, size > 0, size < 1024, offset <= UInt64(count - min(size, count)) else { return nil }
    let start = Int(offset)
    let name = String(decoding: bytes[start..<start + size], as: UTF8.self)
    return resolvedBackingFile(name, of: path)
}

/// The path that a name in a file's header means: relative ones begin in the file's folder.
func resolvedBackingFile(_ name: String, of path: String) -> String {
    if name.hasPrefix("/") { return name }
    let folder = path[...(path.lastIndex(of: "/") ?? path.startIndex)]
    return String(folder) + (name.hasPrefix("./") ? name.dropFirst(2) : name[...])
}
