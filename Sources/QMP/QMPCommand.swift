/// A command of the monitor or of the guest agent with its arguments and the type of its result.
package protocol QMPCommand: Sendable {
    /// What the command returns; `Void` when success is all there is to say.
    associatedtype Response: Sendable

    /// The command's name on the wire.
    static var name: String { get }

    /// The command's arguments on the wire; none by default.
    var arguments: [String: JSONValue] { get }

    /// Reads the result of the command.
    ///
    /// - Throws: ``QMPError/Code/unexpectedReply`` when the result has another shape than documented.
    static func response(from value: JSONValue) throws(QMPError) -> Response
}

extension QMPCommand {
    package var arguments: [String: JSONValue] { [:] }
}

extension QMPCommand where Response == Void {
    /// Takes any result: commands without a result may grow one.
    package static func response(from value: JSONValue) throws(QMPError) {}
}

extension QMPCommand where Response == JSONValue {
    /// Returns the result as it came.
    package static func response(from value: JSONValue) throws(QMPError) -> JSONValue { value }
}

/// A command of the guest agent.
package protocol GuestAgentCommand: QMPCommand {
    /// Whether the agent answers when the command succeeds (its schema's `success-response`); true by default.
    static var answersOnSuccess: Bool { get }
}

extension GuestAgentCommand {
    package static var answersOnSuccess: Bool { true }
}

/// The monitor's commands, grouped by topic in one file each.
package enum QMPCommands {}

/// The guest agent's commands, grouped by topic in one file each.
package enum GuestAgentCommands {}

extension [String: JSONValue] {
    /// The arguments with one more; unchanged when there is no value.
    func setting(_ name: String, _ value: JSONValue?) -> [String: JSONValue] {
        guard let value else { return self }
        var copy = self
        copy[name] = value
        return copy
    }
}
