/// Reads the members of a command's result, with errors that name the command and the member.
struct ReplyReader {
    private let command: String
    private let path: String
    private let value: JSONValue

    init(_ value: JSONValue, of command: String) {
        self.init(value, command: command, path: "")
    }

    private init(_ value: JSONValue, command: String, path: String) {
        self.command = command
        self.path = path
        self.value = value
    }

    // MARK: - The value itself

    func elements() throws(QMPError) -> [ReplyReader] {
        guard let elements = value.arrayValue else { throw unexpected("an array", at: path) }
        return elements.enumerated().map { ReplyReader($1, command: command, path: "\(path)[\($0)]") }
    }

    func map<Element>(
        _ transform: (ReplyReader) throws(QMPError) -> Element
    ) throws(QMPError) -> [Element] {
        var result: [Element] = []
        for element in try elements() { result.append(try transform(element)) }
        return result
    }

    /// The value as it came.
    var json: JSONValue { value }

    /// The text; nil for any other kind.
    var text: String? { value.stringValue }

    func string() throws(QMPError) -> String { try require(value.stringValue, "a string", at: path) }

    func int() throws(QMPError) -> Int64 { try require(value.intValue, "a whole number", at: path) }

    // MARK: - Members that must be there

    func string(_ name: String) throws(QMPError) -> String { try require(name, "a string", \.stringValue) }

    func bool(_ name: String) throws(QMPError) -> Bool { try require(name, "true or false", \.boolValue) }

    func int(_ name: String) throws(QMPError) -> Int64 { try require(name, "a whole number", \.intValue) }

    func uint64(_ name: String) throws(QMPError) -> UInt64 {
        try require(name, "a whole number from 0", \.uint64Value)
    }

    /// The bytes of a base64 text.
    func bytes(_ name: String) throws(QMPError) -> [UInt8] {
        guard let bytes = try optionalBytes(name) else { throw unexpected("base64", at: "\(path).\(name)") }
        return bytes
    }

    func member(_ name: String) throws(QMPError) -> ReplyReader {
        guard let member = try optionalMember(name) else { throw unexpected("a value", at: "\(path).\(name)") }
        return member
    }

    // MARK: - Members that may be missing

    func optionalString(_ name: String) throws(QMPError) -> String? { try optional(name, "a string", \.stringValue) }

    func optionalBool(_ name: String) throws(QMPError) -> Bool? { try optional(name, "true or false", \.boolValue) }

    func optionalInt(_ name: String) throws(QMPError) -> Int64? { try optional(name, "a whole number", \.intValue) }

    func optionalUInt64(_ name: String) throws(QMPError) -> UInt64? {
        try optional(name, "a whole number from 0", \.uint64Value)
    }

    func optionalBytes(_ name: String) throws(QMPError) -> [UInt8]? {
        guard let text = try optionalString(name) else { return nil }
        return try require(Base64.decode(text), "base64", at: "\(path).\(name)")
    }

    /// The member of that name; nil when it is missing or null.
    func optionalMember(_ name: String) throws(QMPError) -> ReplyReader? {
        guard let members = value.objectValue else { throw unexpected("an object", at: path) }
        guard let member = members[name], member != .null else { return nil }
        return ReplyReader(member, command: command, path: "\(path).\(name)")
    }

    /// The elements of an array of strings; none when the member is missing.
    func strings(_ name: String) throws(QMPError) -> [String] {
        guard let member = try optionalMember(name) else { return [] }
        return try member.map { (element) throws(QMPError) in try element.string() }
    }

    /// The elements of an array of objects; none when the member is missing.
    func list<Element>(
        _ name: String,
        _ transform: (ReplyReader) throws(QMPError) -> Element
    ) throws(QMPError) -> [Element] {
        guard let member = try optionalMember(name) else { return [] }
        return try member.map(transform)
    }

    /// An error that names what was expected of the value itself.
    func unexpected(_ expected: String) -> QMPError { unexpected(expected, at: path) }

    // MARK: - Private

    private func optional<T>(
        _ name: String,
        _ expected: String,
        _ property: KeyPath<JSONValue, T?>
    ) throws(QMPError) -> T? {
        guard let member = try optionalMember(name) else { return nil }
        return try require(member.value[keyPath: property], expected, at: member.path)
    }

    private func require<T>(
        _ name: String,
        _ expected: String,
        _ property: KeyPath<JSONValue, T?>
    ) throws(QMPError) -> T {
        let member = try member(name)
        return try require(member.value[keyPath: property], expected, at: member.path)
    }

    private func require<T>(_ found: T?, _ expected: String, at place: String) throws(QMPError) -> T {
        guard let found else { throw unexpected(expected, at: place) }
        return found
    }

    private func unexpected(_ expected: String, at place: String) -> QMPError {
        let subject = place.isEmpty ? "the result" : "'\(place.hasPrefix(".") ? String(place.dropFirst()) : place)'"
        return QMPError(.unexpectedReply, "read reply of \(command): \(subject) is not \(expected)", command: command)
    }
}
