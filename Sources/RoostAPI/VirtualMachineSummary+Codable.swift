import RoostPrimitives

/// Texts where the compiler would have values within values: a list has thousands of rows, and for each value of a type
/// of its own Foundation's coders look up anew how it is coded.
extension VirtualMachineSummary {
    private enum CodingKeys: String, CodingKey {
        case id, name, state, generation, version, memoryMiB, processors, uptimeSeconds, reason, configurationFile
    }

    /// Decodes a row.
    ///
    /// - Throws: `DecodingError`, `dataCorrupted` for an identifier or a state that is none.
    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        func value<Value>(_ key: CodingKeys, _ make: (String) -> Value?) throws -> Value {
            let text = try fields.decode(String.self, forKey: key)
            guard let value = make(text) else {
                throw DecodingError.dataCorruptedError(
                    forKey: key,
                    in: fields,
                    debugDescription: "\"\(text)\" is no \(key.rawValue)"
                )
            }
            return value
        }
        id = try value(.id) { GUID($0) }
        name = try fields.decode(String.self, forKey: .name)
        state = try value(.state) { VirtualMachineState(rawValue: $0) }
        generation = try fields.decodeIfPresent(Int.self, forKey: .generation)
        version = try fields.decodeIfPresent(String.self, forKey: .version)
        memoryMiB = try fields.decodeIfPresent(UInt64.self, forKey: .memoryMiB)
        processors = try fields.decodeIfPresent(Int.self, forKey: .processors)
        uptimeSeconds = try fields.decodeIfPresent(Int.self, forKey: .uptimeSeconds)
        reason = try fields.decodeIfPresent(String.self, forKey: .reason)
        configurationFile = try fields.decodeIfPresent(String.self, forKey: .configurationFile)
    }

    /// Encodes a row; what it has not is left out.
    public func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: CodingKeys.self)
        try fields.encode(id.uppercased, forKey: .id)
        try fields.encode(name, forKey: .name)
        try fields.encode(state.rawValue, forKey: .state)
        try fields.encodeIfPresent(generation, forKey: .generation)
        try fields.encodeIfPresent(version, forKey: .version)
        try fields.encodeIfPresent(memoryMiB, forKey: .memoryMiB)
        try fields.encodeIfPresent(processors, forKey: .processors)
        try fields.encodeIfPresent(uptimeSeconds, forKey: .uptimeSeconds)
        try fields.encodeIfPresent(reason, forKey: .reason)
        try fields.encodeIfPresent(configurationFile, forKey: .configurationFile)
    }
}
