extension QMPError {
    /// Reads the value of a reply's `error`.
    ///
    /// - Throws: ``QMPError/Code/protocolViolation`` when it has no class.
    init(reply: JSONValue) throws(QMPError) {
        guard let name = reply["class"]?.stringValue else {
            throw QMPError(.protocolViolation, "read error reply: it has no class")
        }
        self.init(
            command: nil,
            class: ErrorClass(rawValue: name),
            description: reply["desc"]?.stringValue ?? ""
        )
    }

    /// The peer's error with the command it answers.
    func of(command: String) -> QMPError {
        guard let errorClass else { return self }
        return QMPError(command: command, class: errorClass, description: peerDescription ?? "")
    }
}

extension Result<JSONValue, QMPError> {
    /// The sentence of the peer's error; nil for a success.
    var peerDescription: String? {
        if case .failure(let error) = self { error.peerDescription } else { nil }
    }
}
