/// A failure of QEMU, of a helper program or of a call to the kernel on a machine's behalf.
package struct EngineError: Error, Sendable, CustomStringConvertible {
    /// The kind of a failure.
    package enum Code: Sendable, Hashable {
        /// A program, firmware or device that is needed is not there.
        case notFound
        /// A file of that name exists already.
        case exists
        /// This host or this QEMU cannot do it.
        case unsupported
        /// The rights of roostd or of the QEMU user do not suffice.
        case permissionDenied
        /// Somebody else holds the file or device.
        case busy
        /// The host is out of memory, space or descriptors.
        case insufficientResources
        /// An argument is not usable.
        case invalidArgument
        /// A file is not what it should be.
        case corrupt
        /// No answer within the time allowed.
        case timeout
        /// QEMU or a helper ended, or answered with an error.
        case failed
        /// The caller gave up.
        case cancelled
    }

    package var code: Code
    /// Operation, subject, value and remedy, in lower case without a full stop.
    package var message: String
    /// The words of QEMU, the kernel or the tool.
    package var cause: String?

    package init(_ code: Code, _ message: String, cause: String? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package var description: String { cause.map { "\(message): \($0)" } ?? message }
}
