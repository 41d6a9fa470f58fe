import DurableFiles

/// A failure to read or write what the store keeps.
package struct StoreError: Error, Sendable, CustomStringConvertible {
    /// The kind of a failure.
    package enum Code: Sendable, Hashable {
        /// The file does not exist.
        case notFound
        /// A file of that name exists already.
        case exists
        /// The file is damaged, or not what it claims to be.
        case corrupt
        /// The file is of a kind or version that this host does not know.
        case unsupported
        /// The rights of roostd do not suffice.
        case permissionDenied
        /// The file system is full.
        case noSpace
        /// Another roostd uses the folder.
        case busy
        /// A sync failed: what is on stable storage is unknown.
        case notDurable
        /// The kernel reported any other error.
        case failed
    }

    package var code: Code
    /// Operation, path and remedy, in lower case without a full stop.
    package var message: String
    /// The kernel's or the format's words.
    package var cause: String?

    package init(_ code: Code, _ message: String, cause: String? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package var description: String { cause.map { "\(message): \($0)" } ?? message }
}

extension StoreError {
    /// The error of a file as one of the store.
    init(_ error: FileError) {
        let code: Code =
            switch error.code {
            case .notFound: .notFound
            case .exists: .exists
            case .permissionDenied: .permissionDenied
            case .noSpace: .noSpace
            case .unreadable, .unusable: .corrupt
            case .notDurable: .notDurable
            case .failed: .failed
            }
        self.init(code, error.message, cause: error.cause)
    }
}
