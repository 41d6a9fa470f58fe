/// The client's side of one connection to QEMU's monitor, without the connection.
///
/// Bytes go in through ``receive(_:)``, what follows from them comes out as actions, in order. The owner sends what it
/// is told to send and closes the connection after ``Action/failed(_:)``.
///
/// ```
/// awaitingGreeting ──greeting──▶ negotiating ──return──▶ ready
///        └──────── anything not allowed, close() ───────┴──▶ closed
/// ```
///
/// Source: QEMU `docs/interop/qmp-spec.rst`.
package struct QMPSession: Sendable {
    /// How far the conversation is.
    package enum State: Hashable, Sendable {
        case awaitingGreeting
        case negotiating
        case ready
        case closed
    }

    /// The number that ties an answer to its command; unique within a session.
    package struct RequestID: Hashable, Sendable, RawRepresentable {
        package var rawValue: UInt64

        package init(rawValue: UInt64) { self.rawValue = rawValue }
    }

    /// A command on its way: its number and the bytes to send.
    package struct Request: Hashable, Sendable {
        package var id: RequestID
        package var bytes: [UInt8]
    }

    /// What the owner has to do, or is told.
    package enum Action: Hashable, Sendable {
        /// Send these bytes.
        case send([UInt8])
        /// Commands can be executed from now on.
        case ready(QMPGreeting)
        /// A command was answered, or never will be.
        case completed(RequestID, Result<JSONValue, QMPError>)
        /// Something happened in QEMU.
        case event(QMPEvent)
        /// An answer came that belongs to no command: it was abandoned, or is an earlier connection's.
        case ignoredReply(id: JSONValue)
        /// The conversation cannot go on: close the connection. Every waiting command has been completed before.
        case failed(QMPError)
    }

    /// How to talk.
    package struct Options: Hashable, Sendable {
        /// The largest message taken, in bytes.
        package var messageSizeLimit = 16 << 20
        /// Whether to ask for out-of-band execution when it is on offer.
        package var enablesOutOfBand = false
        /// The number of the first command.
        ///
        /// A client that connects to a QEMU again starts elsewhere, so that a late answer to the earlier connection is
        /// not taken for one of its own.
        package var firstRequestID: UInt64 = 1

        package init() {}
    }

    /// How far the conversation is.
    package private(set) var state = State.awaitingGreeting
    /// What QEMU said of itself; nil before it has.
    package private(set) var greeting: QMPGreeting?
    /// Whether out-of-band execution was agreed on.
    package private(set) var isOutOfBandEnabled = false

    private let options: Options
    private var lines: LineBuffer
    private var nextRequestID: UInt64
    private var nextEventSequence: UInt64 = 0
    private var negotiationID: UInt64?
    private var pending: [UInt64: String] = [:]

    /// A session that awaits the greeting.
    package init(options: Options = Options()) {
        self.options = options
        lines = LineBuffer(limit: options.messageSizeLimit)
        nextRequestID = options.firstRequestID
    }

    /// The number of commands that wait for an answer.
    package var pendingCount: Int { pending.count }

    /// Takes bytes as they arrive, in pieces of any size.
    ///
    /// After the session is closed all bytes are dropped.
    package mutating func receive(_ bytes: some Sequence<UInt8>) -> [Action] {
        guard state != .closed else { return [] }
        var actions: [Action] = []
        lines.append(bytes)
        do throws(QMPError) {
            while state != .closed, let line = try lines.next() {
                try receive(line: line, actions: &actions)
            }
        } catch {
            actions += end(because: error)
            actions.append(.failed(error))
        }
        return actions
    }

    /// Begins a command; the owner sends the bytes.
    ///
    /// An out-of-band command is answered while another still runs; few commands can be executed so.
    ///
    /// - Throws: ``QMPError/Code/notReady`` before ``Action/ready(_:)`` and for an out-of-band command that was not
    ///   agreed on, ``QMPError/Code/closed`` after the end.
    package mutating func execute(
        _ command: String,
        arguments: [String: JSONValue] = [:],
        outOfBand: Bool = false
    ) throws(QMPError) -> Request {
        guard state != .closed else {
            throw QMPError(.closed, "execute \(command): the monitor connection is closed", command: command)
        }
        guard state == .ready else {
            throw QMPError(.notReady, "execute \(command): the monitor connection is not ready", command: command)
        }
        guard !outOfBand || isOutOfBandEnabled else {
            throw QMPError(.notReady, "execute \(command): out-of-band is not agreed on", command: command)
        }
        return makeRequest(command, arguments: arguments, key: outOfBand ? "exec-oob" : "execute")
    }

    /// Begins a typed command; the owner sends the bytes and reads the result with the command's `response(from:)`.
    ///
    /// - Throws: as ``execute(_:arguments:outOfBand:)``.
    package mutating func execute<Command: QMPCommand>(_ command: Command) throws(QMPError) -> Request {
        try execute(Command.name, arguments: command.arguments)
    }

    /// Stops waiting for a command and completes it with ``QMPError/Code/timedOut``.
    ///
    /// QEMU may still carry it out; its late answer becomes an ``Action/ignoredReply(id:)``.
    package mutating func abandon(_ id: RequestID) -> [Action] {
        guard let command = pending.removeValue(forKey: id.rawValue) else { return [] }
        let error = QMPError(.timedOut, "execute \(command): no answer in time", command: command)
        return [.completed(id, .failure(error))]
    }

    /// Ends the session because the connection is closed: every waiting command fails with ``QMPError/Code/closed``.
    ///
    /// Commands fail in the order in which they were begun.
    package mutating func close() -> [Action] {
        end(because: nil)
    }

    // MARK: - Messages

    private mutating func receive(line: ArraySlice<UInt8>, actions: inout [Action]) throws(QMPError) {
        guard line.contains(where: { $0 != 0x0D && $0 != 0x20 && $0 != 0x09 }) else { return }
        let message = try JSONValue(parsing: line)
        guard let members = message.objectValue else { throw violation("a message that is not an object") }
        if members["QMP"] != nil {
            actions.append(try receive(greeting: message))
        } else if let name = members["event"]?.stringValue, state != .awaitingGreeting {
            actions.append(.event(try QMPEvent(name: name, message: message, sequence: nextEventSequence)))
            nextEventSequence &+= 1
        } else if let value = members["return"] {
            try receive(reply: .success(value), id: members["id"], actions: &actions)
        } else if let error = members["error"] {
            try receive(reply: .failure(try QMPError(reply: error)), id: members["id"], actions: &actions)
        } else {
            throw violation("a message of no known kind")
        }
    }

    private mutating func receive(greeting message: JSONValue) throws(QMPError) -> Action {
        guard state == .awaitingGreeting else { throw violation("a second greeting") }
        let greeting = try QMPGreeting(message)
        self.greeting = greeting
        state = .negotiating
        isOutOfBandEnabled = options.enablesOutOfBand && greeting.capabilities.contains("oob")
        let arguments: [String: JSONValue] = isOutOfBandEnabled ? ["enable": ["oob"]] : [:]
        let request = makeRequest("qmp_capabilities", arguments: arguments, key: "execute")
        negotiationID = request.id.rawValue
        return .send(request.bytes)
    }

    private mutating func receive(
        reply: Result<JSONValue, QMPError>,
        id: JSONValue?,
        actions: inout [Action]
    ) throws(QMPError) {
        guard state != .awaitingGreeting else { throw violation("a reply before the greeting") }
        guard let id else {
            // QEMU leaves the id out when it could not read the command: what was sent is lost, and so is the order.
            throw violation("a reply without id" + (reply.peerDescription.map { ": \($0)" } ?? ""))
        }
        guard let number = id.uint64Value, let command = pending.removeValue(forKey: number) else {
            actions.append(.ignoredReply(id: id))
            return
        }
        let result = reply.mapError { $0.of(command: command) }
        guard number == negotiationID else {
            actions.append(.completed(RequestID(rawValue: number), result))
            return
        }
        negotiationID = nil
        _ = try result.get()
        state = .ready
        if let greeting { actions.append(.ready(greeting)) }
    }

    private mutating func makeRequest(_ command: String, arguments: [String: JSONValue], key: String) -> Request {
        let id = RequestID(rawValue: nextRequestID)
        nextRequestID &+= 1
        pending[id.rawValue] = command
        var message: [String: JSONValue] = [key: .string(command), "id": JSONValue(id.rawValue)]
        if !arguments.isEmpty { message["arguments"] = .object(arguments) }
        return Request(id: id, bytes: JSONValue.object(message).serialized + [0x0A])
    }

    private mutating func end(because cause: QMPError?) -> [Action] {
        guard state != .closed else { return [] }
        state = .closed
        lines.removeAll()
        let abandoned = pending.sorted { $0.key < $1.key }
        pending.removeAll()
        return abandoned.filter { $0.key != negotiationID }.map { id, command in
            let reason = cause?.message ?? "the monitor connection closed before the answer"
            let error = QMPError(.closed, "execute \(command): \(reason)", command: command)
            return .completed(RequestID(rawValue: id), .failure(error))
        }
    }

    private func violation(_ what: String) -> QMPError {
        QMPError(.protocolViolation, "read monitor message while \(state): \(what)")
    }
}
