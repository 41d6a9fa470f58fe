/// What went wrong while reading, changing or writing UEFI variables.
package struct VariableStoreError: Error, Sendable {
    /// The kind of a failure.
    package enum Code: String, Hashable, Sendable {
        /// The bytes break the rules of their format.
        case corrupt
        /// The bytes are well formed, but of a kind that is not handled.
        case unsupported
        /// The store lacks a key or a certificate that the operation needs.
        case missingKey
        /// The variables do not fit into the store.
        case noSpace
        /// A value given by the caller cannot be used.
        case invalidArgument
    }

    /// The kind of the failure.
    package let code: Code

    /// The operation, its subject and, where one is known, the remedy.
    package let message: String

    /// The failure below this one.
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }
}

extension VariableStoreError: CustomStringConvertible {
    /// The message, followed by the cause.
    package var description: String {
        guard let cause else { return message }
        return "\(message): \(cause)"
    }
}
