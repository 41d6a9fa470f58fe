#if canImport(Glibc)
    import Glibc
#endif

/// The kernel's words for an error number.
package func systemErrorText(_ number: Int32) -> String {
    String(cString: strerror(number))
}

/// A file descriptor that is closed when its owner goes away.
package final class OwnedDescriptor: Sendable {
    package let number: Int32

    package init(_ number: Int32) { self.number = number }

    deinit { close(number) }
}

/// Reads a small file of `/proc` or `/sys`; nil when it cannot be read.
package func readSmallFile(_ path: String, limit: Int = 65536) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    return readAll(descriptor, limit: limit)
}

/// Reads the last bytes of a file in a folder that an untrusted user owns; nil when it is not a regular file.
package func readTail(_ path: String, limit: Int) -> [UInt8]? {
    // A link would lead to a file that the user cannot read, and a pipe would keep us waiting.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    if status.st_size > limit, lseek(descriptor, status.st_size - limit, SEEK_SET) < 0 { return nil }
    return readAll(descriptor, limit: limit)
}

private func readAll(_ descriptor: Int32, limit: Int) -> [UInt8]? {
    var contents: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16384)
    while contents.count < limit {
        let count = read(descriptor, &buffer, buffer.count)
        if count < 0 && errno == EINTR { continue }
        guard count >= 0 else { return nil }
        if count == 0 { break }
        contents.append(contentsOf: buffer[0..<count])
    }
    return contents
}

/// Reads a small text file of `/proc` or `/sys`, without trailing white space.
package func readSmallText(_ path: String, limit: Int = 65536) -> String? {
    guard var bytes = readSmallFile(path, limit: limit) else { return nil }
    while let last = bytes.last, last == 10 || last == 32 || last == 0 { bytes.removeLast() }
    return String(decoding: bytes, as: UTF8.self)
}

/// Whether something is at a path.
package func fileExists(_ path: String) -> Bool { access(path, F_OK) == 0 }

/// Waits until a file's contents, or a folder's names, are on stable storage.
package func syncFile(_ path: String) throws(EngineError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    defer { if descriptor >= 0 { close(descriptor) } }
    guard descriptor >= 0, fsync(descriptor) == 0 else {
        throw EngineError(.failed, "cannot sync \(path)", cause: systemErrorText(errno))
    }
}

/// Waits until the name of a file is on stable storage.
func syncFolder(of path: String) throws(EngineError) {
    let slash = path.lastIndex(of: "/") ?? path.startIndex
    try syncFile(slash == path.startIndex ? "/" : String(path[..<slash]))
}
