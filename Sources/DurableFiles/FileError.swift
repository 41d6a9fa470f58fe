#if canImport(Glibc)
    import Glibc
#endif

/// A failure of a file operation.
package struct FileError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of a failure.
    package enum Code: Sendable, Hashable {
        /// The file or its folder does not exist.
        case notFound
        /// A file of that name exists already.
        case exists
        /// The rights of the process do not suffice.
        case permissionDenied
        /// The file system is full.
        case noSpace
        /// The device cannot read a part of the file.
        case unreadable
        /// It is no regular file, or larger than allowed.
        case unusable
        /// A sync failed: what the file holds on stable storage is unknown, and stays so.
        case notDurable
        /// The kernel reported any other error.
        case failed
    }

    package var code: Code
    /// Operation and path, in lower case without a full stop.
    package var message: String
    /// The kernel's words.
    package var cause: String?

    package init(_ code: Code, _ message: String, cause: String? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    /// The error that a number of the kernel stands for.
    package init(_ message: String, number: Int32) {
        let code: Code =
            switch number {
            case ENOENT, ENOTDIR: .notFound
            case EEXIST: .exists
            case EACCES, EPERM, EROFS: .permissionDenied
            case ENOSPC, EDQUOT: .noSpace
            case EIO: .unreadable
            default: .failed
            }
        self.init(code, message, cause: String(cString: strerror(number)))
    }

    package var description: String { cause.map { "\(message): \($0)" } ?? message }
}
