/// What can be wrong with a virtual machine's configuration, or with a change of it.
public struct ConfigurationError: Error, Sendable {
    /// The kinds of failure, for callers that decide by them.
    public enum Code: String, Hashable, Sendable {
        /// The key tree is not a virtual machine's configuration, or a key without which there is none is missing.
        case notAConfiguration
        /// The text is not the XML of a configuration; the message names line and column.
        case malformedFile
        /// A key has a type or a value that it cannot have.
        case invalidValue
        /// The configuration version is none that this release knows.
        case unknownVersion
        /// The configuration version does not have the feature.
        case unsupportedByVersion
        /// A count or a size is outside its bounds.
        case outOfBounds
        /// A virtual machine cannot have this name.
        case invalidName
        /// There is no such drive, controller or adapter.
        case notFound
        /// The drive's location already holds a drive, or the adapter already exists.
        case alreadyInUse
        /// The virtual machine has no place for another drive, controller or adapter.
        case limitReached
        /// An upgrade would lose a key: a fault of this release, found before anything was stored.
        case lossyConversion
    }

    /// The kind of failure.
    public var code: Code
    /// Operation, subject, value and, where there is one, the remedy: lower case, without a full stop.
    public var message: String
    /// The error that led to this one.
    public var cause: (any Error)?

    /// An error with a code and a message.
    public init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }
}

extension ConfigurationError: CustomStringConvertible {
    /// The message.
    public var description: String { message }
}
