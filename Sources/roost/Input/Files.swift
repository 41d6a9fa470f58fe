import RoostAPI

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Files that the user names on the command line.
enum Files {
    /// The absolute form of a path: roostd's working directory is not the user's.
    static func absolute(_ path: String, from directory: String = workingDirectory) -> String {
        guard !path.hasPrefix("/") else { return path }
        var relative = path[...]
        while relative.hasPrefix("./") { relative = relative.dropFirst(2).drop { $0 == "/" } }
        return directory.hasSuffix("/") ? directory + relative : "\(directory)/\(relative)"
    }

    /// The working directory; empty when it was deleted.
    static var workingDirectory: String {
        guard let path = getcwd(nil, 0) else { return "" }
        defer { free(path) }
        return String(cString: path)
    }

    /// Reads a file of UTF-8 text, of at most `limit` bytes; `-` is standard input.
    static func text(_ path: String, what: String, limit: Int = 1 << 20) throws -> String {
        guard let text = String(validating: try bytes(path, what: what, limit: limit), as: UTF8.self) else {
            throw APIError(.invalidArgument, "the \(what) \(path) is not UTF-8 text")
        }
        return text
    }

    /// Reads a file of at most `limit` bytes; `-` is standard input.
    static func bytes(_ path: String, what: String, limit: Int) throws -> [UInt8] {
        let descriptor = path == "-" ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("read", what, path) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("read", what, path) }
            if count == 0 { break }
            bytes += buffer[..<count]
            guard bytes.count <= limit else {
                throw APIError(.invalidArgument, "the \(what) \(path) is longer than \(limit) bytes")
            }
        }
        return bytes
    }

    /// Writes a file anew, in place of one that was there.
    static func write(_ bytes: [UInt8], to path: String, what: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure("write", what, path) }
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                let rest = UnsafeRawBufferPointer(rebasing: buffer[offset...])
                return systemWrite(descriptor, rest.baseAddress, rest.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let error = failure("write", what, path)
                close(descriptor)
                throw error
            }
            offset += count
        }
        guard close(descriptor) == 0 else { throw failure("write", what, path) }
    }

    private static func failure(_ operation: String, _ what: String, _ path: String) -> APIError {
        let number = errno
        let code: APIError.Code =
            switch number {
            case ENOENT, ENOTDIR: .notFound
            case EACCES, EPERM, EROFS: .permissionDenied
            case ENOSPC, EDQUOT: .insufficientResources
            default: .invalidArgument
            }
        return APIError(code, "cannot \(operation) the \(what) \(path)", cause: String(cString: strerror(number)))
    }
}

private let systemWrite = write(_:_:_:)
