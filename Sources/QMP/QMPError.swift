/// An error of a conversation with QEMU's monitor or with the guest agent.
package struct QMPError: Error, Hashable, Sendable {
    /// What kind of error this is.
    package var code: Code
    /// The operation, its subject and what was wrong; of a ``Code/refused`` command the peer's own sentence is part.
    package var message: String
    /// The command the error belongs to; nil when it belongs to the whole conversation.
    package var command: String?
    /// The class the peer gave; nil when the error is not the peer's.
    package var errorClass: ErrorClass?
    /// The sentence the peer gave, for people: its wording is not stable, decide by ``errorClass``.
    package var peerDescription: String?

    /// An error found on this side.
    package init(_ code: Code, _ message: String, command: String? = nil) {
        self.code = code
        self.message = message
        self.command = command
    }

    /// The peer's answer that it did not carry out a command.
    package init(command: String?, class: ErrorClass, description: String) {
        self.code = .refused
        self.message = "\(command ?? "monitor"): \(description)"
        self.command = command
        self.errorClass = `class`
        self.peerDescription = description
    }
}

extension QMPError {
    /// What kind of error it is.
    package struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String {
            case refused, malformedMessage, messageTooLarge, protocolViolation, unexpectedReply
            case notReady, closed, timedOut
        }

        private var value: Value

        /// The peer answered with an error; see ``QMPError/errorClass``.
        package static let refused = Code(value: .refused)
        /// The peer sent something that is not JSON.
        package static let malformedMessage = Code(value: .malformedMessage)
        /// The peer sent a message above the size limit.
        package static let messageTooLarge = Code(value: .messageTooLarge)
        /// The peer sent JSON that the protocol does not allow at this point.
        package static let protocolViolation = Code(value: .protocolViolation)
        /// A command succeeded with a result of another shape than documented.
        package static let unexpectedReply = Code(value: .unexpectedReply)
        /// A command was given before the conversation was ready.
        package static let notReady = Code(value: .notReady)
        /// The conversation ended before the answer; whether the command was carried out is unknown.
        package static let closed = Code(value: .closed)
        /// No answer came in time; whether the command was carried out is unknown.
        package static let timedOut = Code(value: .timedOut)

        package var description: String { value.rawValue }
    }

    /// The class of an error as the peer names it (QEMU's `qapi/error.json`, `QapiErrorClass`).
    package struct ErrorClass: Hashable, Sendable, RawRepresentable {
        package var rawValue: String

        package init(rawValue: String) { self.rawValue = rawValue }

        /// Anything without a class of its own.
        package static let genericError = ErrorClass(rawValue: "GenericError")
        /// The command does not exist, is disabled, or cannot be used before or after negotiation.
        package static let commandNotFound = ErrorClass(rawValue: "CommandNotFound")
        /// A device has not been activated.
        package static let deviceNotActive = ErrorClass(rawValue: "DeviceNotActive")
        /// No device of that name exists.
        package static let deviceNotFound = ErrorClass(rawValue: "DeviceNotFound")
        /// The kernel's KVM lacks a capability that the command needs.
        package static let kvmMissingCapability = ErrorClass(rawValue: "KVMMissingCap")
    }
}

extension QMPError: CustomStringConvertible {
    /// The message, with the code in front.
    package var description: String { "\(code): \(message)" }
}
