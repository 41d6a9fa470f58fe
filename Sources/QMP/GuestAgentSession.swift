/// The client's side of the channel to a guest agent, without the channel.
///
/// The agent's answers name no command, and the channel outlives both ends: bytes of an earlier conversation may still
/// be in it. So each conversation begins with a synchronisation: a byte 0xFF, which makes the agent drop half a
/// command, and `guest-sync-delimited` with a fresh number. Everything is dropped until the answer with that number
/// comes behind a 0xFF of its own. From then on one command runs at a time and the others wait.
///
/// ```
/// disconnected ──connect()──▶ synchronizing ──its number──▶ idle ──▶ busy
///                                  ▲                         │        │
///                                  └─── next command ── unsynchronized ◀── time-out, garbled or unasked answer
/// ```
///
/// The guest is not trusted: whatever it sends costs it its own commands and nothing else.
///
/// Source: QEMU `docs/interop/qemu-ga-ref`, `guest-sync-delimited`.
package struct GuestAgentSession: Sendable {
    /// How far the conversation is.
    package enum State: Hashable, Sendable {
        case disconnected
        case synchronizing
        case unsynchronized
        case idle
        case busy
    }

    /// The number of a command; unique within a session, never sent.
    package struct RequestID: Hashable, Sendable, RawRepresentable {
        package var rawValue: UInt64

        package init(rawValue: UInt64) { self.rawValue = rawValue }
    }

    /// What the owner has to do, or is told.
    package enum Action: Hashable, Sendable {
        /// Send these bytes.
        case send([UInt8])
        /// The agent answers.
        case synchronized
        /// A command was answered, or never will be.
        case completed(RequestID, Result<JSONValue, QMPError>)
        /// The agent sent something nobody asked for; the next command synchronises first.
        case ignored(QMPError)
    }

    fileprivate struct Command: Sendable {
        var id: RequestID
        var name: String
        var bytes: [UInt8]
        var answersOnSuccess: Bool
    }

    /// How far the conversation is.
    package private(set) var state = State.disconnected

    private let messageSizeLimit: Int
    private var lines: LineBuffer
    private var isBehindDelimiter = false
    private var syncID: Int64
    private var nextRequestID: UInt64 = 1
    private var current: Command?
    private var queue: [Command] = []

    /// A session without a channel.
    ///
    /// - Parameters:
    ///   - firstSyncID: Where the numbers of synchronisations start; choose it at random, so that no answer to an
    ///     earlier owner of the channel is taken for one to this session.
    ///   - messageSizeLimit: The largest answer taken, in bytes.
    package init(firstSyncID: UInt32, messageSizeLimit: Int = 16 << 20) {
        self.messageSizeLimit = messageSizeLimit
        lines = LineBuffer(limit: messageSizeLimit)
        syncID = Int64(firstSyncID)
    }

    /// The number of commands that wait for an answer or for their turn.
    package var pendingCount: Int { queue.count + (current == nil ? 0 : 1) }

    /// Begins a conversation over a new channel, or begins the present one anew.
    ///
    /// The command that runs fails with ``QMPError/Code/closed``; those that wait for their turn go on waiting.
    package mutating func connect() -> [Action] {
        lines.removeAll()
        return endCurrent(.closed, "the channel was opened anew before the answer") + [synchronize()]
    }

    /// Ends the conversation: every command fails with ``QMPError/Code/closed``.
    package mutating func disconnect() -> [Action] {
        var actions = endCurrent(.closed, "the channel closed before the answer")
        for command in queue {
            actions.append(.failure(command, .closed, "the channel closed before its turn"))
        }
        queue.removeAll()
        lines.removeAll()
        state = .disconnected
        return actions
    }

    /// Takes a command: it is sent now, or when its turn comes.
    ///
    /// Without `answersOnSuccess` the command counts as carried out when the agent answers a synchronisation sent
    /// behind it without having answered an error before; its result is then null.
    ///
    /// - Throws: ``QMPError/Code/closed`` while there is no channel.
    package mutating func execute(
        _ command: String,
        arguments: [String: JSONValue] = [:],
        answersOnSuccess: Bool = true
    ) throws(QMPError) -> (id: RequestID, actions: [Action]) {
        guard state != .disconnected else {
            throw QMPError(.closed, "execute \(command): the guest agent's channel is closed", command: command)
        }
        let id = RequestID(rawValue: nextRequestID)
        nextRequestID &+= 1
        let bytes = Self.message(command, arguments)
        queue.append(Command(id: id, name: command, bytes: bytes, answersOnSuccess: answersOnSuccess))
        return (id, advance())
    }

    /// Takes a typed command; the owner reads the result with the command's `response(from:)`.
    ///
    /// - Throws: ``QMPError/Code/closed`` while there is no channel.
    package mutating func execute<Typed: GuestAgentCommand>(
        _ command: Typed
    ) throws(QMPError) -> (id: RequestID, actions: [Action]) {
        try execute(Typed.name, arguments: command.arguments, answersOnSuccess: Typed.answersOnSuccess)
    }

    /// Stops waiting for a command and completes it with ``QMPError/Code/timedOut``.
    ///
    /// When it was the one that runs, the next command synchronises first, so that a late answer is dropped. The agent
    /// may still carry the command out.
    package mutating func abandon(_ id: RequestID) -> [Action] {
        if let index = queue.firstIndex(where: { $0.id == id }) {
            return [.failure(queue.remove(at: index), .timedOut, "the agent did not answer in time for its turn")]
        }
        guard current?.id == id else { return [] }
        let actions = endCurrent(.timedOut, "no answer in time")
        state = .unsynchronized
        return actions + advance()
    }

    /// Takes bytes as they arrive, in pieces of any size.
    ///
    /// While there is no channel all bytes are dropped.
    package mutating func receive(_ bytes: some Sequence<UInt8>) -> [Action] {
        guard state != .disconnected else { return [] }
        var actions: [Action] = []
        lines.append(bytes)
        while true {
            do throws(QMPError) {
                if state == .unsynchronized { lines.removeAll() }
                if state == .synchronizing, !skipToDelimiter() { return actions }
                guard let line = try lines.next() else { return actions }
                try receive(line: line, actions: &actions)
            } catch {
                lose(because: error, actions: &actions)
            }
        }
    }

    // MARK: - Synchronisation

    private mutating func synchronize() -> Action {
        isBehindDelimiter = false
        state = .synchronizing
        return .send([Self.delimiter] + nextSynchronization())
    }

    private mutating func nextSynchronization() -> [UInt8] {
        syncID = (syncID &+ 1) & 0x7FFF_FFFF_FFFF
        return Self.message("guest-sync-delimited", ["id": .int(syncID)])
    }

    /// Drops bytes up to and with a delimiter; returns whether there was one.
    private mutating func skipToDelimiter() -> Bool {
        if !isBehindDelimiter { isBehindDelimiter = lines.drop(before: Self.delimiter) }
        return isBehindDelimiter
    }

    /// The number a line answers to as a synchronisation: the text behind its last delimiter counts.
    private func synchronization(in line: ArraySlice<UInt8>) -> Int64? {
        guard let delimiter = line.lastIndex(of: Self.delimiter) else { return nil }
        guard let message = try? JSONValue(parsing: line[(delimiter + 1)...]) else { return nil }
        return message["return"]?.intValue
    }

    // MARK: - Answers

    private mutating func receive(line: ArraySlice<UInt8>, actions: inout [Action]) throws(QMPError) {
        switch state {
        case .disconnected, .unsynchronized: break
        case .synchronizing:
            isBehindDelimiter = false
            guard synchronization(in: line) == syncID else { return }
            state = .idle
            actions.append(.synchronized)
            actions += advance()
        case .idle:
            guard line.contains(where: { $0 != 0x0D && $0 != 0x20 }) else { return }
            throw QMPError(.protocolViolation, "read guest agent's message: no command runs")
        case .busy:
            try receive(answer: line, actions: &actions)
        }
    }

    private mutating func receive(answer line: ArraySlice<UInt8>, actions: inout [Action]) throws(QMPError) {
        guard let command = current else { return }
        if !command.answersOnSuccess, line.first == Self.delimiter, synchronization(in: line) == syncID {
            complete(command, .success(.null), next: .idle, actions: &actions)
            return
        }
        let message = try JSONValue(parsing: line)
        // The answer to the synchronisation behind a command that answers errors only is still to come.
        let next = command.answersOnSuccess ? State.idle : .synchronizing
        if let error = message["error"] {
            let answer = try QMPError(reply: error).of(command: command.name)
            complete(command, .failure(answer), next: next, actions: &actions)
        } else if let value = message["return"] {
            complete(command, .success(value), next: next, actions: &actions)
        } else {
            throw QMPError(.protocolViolation, "read guest agent's message: neither return nor error")
        }
    }

    private mutating func complete(
        _ command: Command,
        _ result: Result<JSONValue, QMPError>,
        next: State,
        actions: inout [Action]
    ) {
        current = nil
        state = next
        isBehindDelimiter = false
        actions.append(.completed(command.id, result))
        actions += advance()
    }

    /// Gives up the thread of the conversation: the command that runs fails with the error.
    private mutating func lose(because error: QMPError, actions: inout [Action]) {
        if error.code == .messageTooLarge { lines.dropOversized() }
        isBehindDelimiter = false
        if let command = current {
            actions.append(.failure(command, error.code, error.message))
        } else if state == .idle {
            actions.append(.ignored(error))
        }
        current = nil
        guard state != .synchronizing else { return }
        state = .unsynchronized
        actions += advance()
    }

    // MARK: - Turns

    /// Sends the next command when the agent is free, or the synchronisation it needs first.
    private mutating func advance() -> [Action] {
        guard !queue.isEmpty else { return [] }
        if state == .unsynchronized { return [synchronize()] }
        guard state == .idle else { return [] }
        let command = queue.removeFirst()
        current = command
        state = .busy
        return [.send(command.answersOnSuccess ? command.bytes : command.bytes + nextSynchronization())]
    }

    private mutating func endCurrent(_ code: QMPError.Code, _ reason: String) -> [Action] {
        guard let command = current else { return [] }
        current = nil
        return [.failure(command, code, reason)]
    }

    private static let delimiter: UInt8 = 0xFF

    private static func message(_ command: String, _ arguments: [String: JSONValue]) -> [UInt8] {
        var message: [String: JSONValue] = ["execute": .string(command)]
        if !arguments.isEmpty { message["arguments"] = .object(arguments) }
        return JSONValue.object(message).serialized + [0x0A]
    }
}

extension GuestAgentSession.Action {
    fileprivate static func failure(
        _ command: GuestAgentSession.Command,
        _ code: QMPError.Code,
        _ reason: String
    ) -> GuestAgentSession.Action {
        let error = QMPError(code, "execute \(command.name): \(reason)", command: command.name)
        return .completed(command.id, .failure(error))
    }
}
