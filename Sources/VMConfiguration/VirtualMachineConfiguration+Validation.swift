import HyperVStorage

/// The bounds of a virtual machine.
enum Limits {
    static let nameCharacters = 100
    static let nameBytes = 255
    static let networkAdapters = 8
    static let legacyNetworkAdapters = 4
    static let scsiControllers = 4
    static let memoryMinimumMiB: UInt64 = 32
    /// More than any virtual machine has drives and network adapters.
    static let bootDevices = 512
    static let secureBootCertificates = 16
    static let secureBootCertificateBytes = 65_536
    static let uefiVariables = 1024
    static let uefiVariableBytes = 65_536
}

extension ConfigurationVersion {
    /// The most processors of a virtual machine: 240, below version 8.0 64.
    public var maximumProcessorCount: Int { supports(.largeVirtualMachine) ? 240 : 64 }

    /// The most memory of a virtual machine in MiB: 12 TiB, below version 8.0 1 TiB.
    public var maximumMemoryMiB: UInt64 { supports(.largeVirtualMachine) ? 12 << 20 : 1 << 20 }
}

extension VirtualMachineConfiguration {
    /// Checks everything that a user can set: the name, bounds, features that the version does not have, and for
    /// version 5.0 whether its file can hold every text.
    ///
    /// - Throws: ``ConfigurationError`` with the code `invalidName`, `outOfBounds`, `invalidValue` or
    ///   `unsupportedByVersion`, naming the setting, its value and what is allowed.
    public func validate() throws(ConfigurationError) {
        try Self.validateName(name)
        try checkSizes(name: name)
        try checkMemory()
        try checkProcessors()
        try checkFeatures()
        try checkCertificates()
        if version.fileFormat == .xml { _ = try ConfigurationXML.serialize(root) }
    }

    /// Checks a name: 1 to 100 characters in at most 255 bytes of UTF-8, no control characters, no `/`, no white space
    /// at either end, and not `.` or `..`.
    ///
    /// - Throws: ``ConfigurationError/Code/invalidName``, saying what is wrong.
    public static func validateName(_ name: String) throws(ConfigurationError) {
        func refuse(_ reason: String) -> ConfigurationError {
            ConfigurationError(.invalidName, "name of a virtual machine: \(reason)")
        }
        guard !name.isEmpty else { throw refuse("it is empty, 1 to \(Limits.nameCharacters) characters are needed") }
        guard name.count <= Limits.nameCharacters, name.utf8.count <= Limits.nameBytes else {
            throw refuse(
                "it has \(name.count) characters (\(name.utf8.count) bytes), "
                    + "\(Limits.nameCharacters) (\(Limits.nameBytes) bytes) are the most"
            )
        }
        let isControl = { (scalar: Unicode.Scalar) in
            [.control, .lineSeparator, .paragraphSeparator].contains(scalar.properties.generalCategory)
        }
        guard !name.unicodeScalars.contains(where: isControl) else { throw refuse("it contains a control character") }
        guard !name.utf8.contains(UInt8(ascii: "/")) else { throw refuse("\"\(name)\" contains a /") }
        guard name.first?.isWhitespace == false, name.last?.isWhitespace == false else {
            throw refuse("\"\(name)\" begins or ends with white space")
        }
        guard name != ".", name != ".." else { throw refuse("\"\(name)\" names a directory") }
    }

    /// Checks what a virtual machine cannot be loaded without: counts and sizes of the right type, within bounds.
    func checkSizes(name: String) throws(ConfigurationError) {
        try Self.checkBounds(
            root.storedOrThrow(Self.processorCountKey, name: name),
            root.storedOrThrow(Self.memoryStartupKey, name: name),
            name: name,
            version
        )
        // Counted before they are read, so that a file with a million rows costs no more than its length.
        let (adapters, controllers) = countedDevices
        try Self.check(
            adapters.count,
            in: 0...(Limits.networkAdapters + Limits.legacyNetworkAdapters),
            "network adapters of \(name)"
        )
        let emulated = adapters.isEmpty ? [] : legacyNetworkAdapters
        let legacy = adapters.count { $0.isEmulated || emulated.contains($0.id) }
        try Self.check(adapters.count - legacy, in: 0...Limits.networkAdapters, "network adapters of \(name)")
        try Self.check(
            legacy,
            in: 0...Limits.legacyNetworkAdapters,
            "legacy network adapters of \(name)"
        )
        try Self.check(controllers, in: 0...Limits.scsiControllers, "SCSI controllers of \(name)")
    }

    static func checkBounds(
        _ processors: Int,
        _ startupMemoryMiB: UInt64,
        name: String,
        _ version: ConfigurationVersion
    ) throws(ConfigurationError) {
        try check(processors, in: 1...version.maximumProcessorCount, "processors of \(name)")
        try check(
            startupMemoryMiB,
            in: Limits.memoryMinimumMiB...version.maximumMemoryMiB,
            "startup memory of \(name) in MiB"
        )
    }

    private func checkMemory() throws(ConfigurationError) {
        let memory = memory
        try Self.check(memory.priority, in: 0...10_000, "memory priority of \(name)")
        guard memory.dynamicMemoryEnabled else { return }
        try Self.check(memory.buffer, in: 5...2_000, "memory buffer of \(name) in percent")
        try Self.check(
            memory.minimum,
            in: Limits.memoryMinimumMiB...version.maximumMemoryMiB,
            "minimum memory of \(name) in MiB"
        )
        try Self.check(
            memory.maximum,
            in: Limits.memoryMinimumMiB...version.maximumMemoryMiB,
            "maximum memory of \(name) in MiB"
        )
        guard memory.minimum <= memory.startup, memory.startup <= memory.maximum else {
            throw ConfigurationError(
                .outOfBounds,
                "startup memory of \(name): \(memory.startup) MiB is not between the minimum, \(memory.minimum) MiB, "
                    + "and the maximum, \(memory.maximum) MiB"
            )
        }
    }

    private func checkProcessors() throws(ConfigurationError) {
        let processors = processors
        try Self.check(processors.reservation, in: 0...100_000, "processor reservation of \(name) in 1/1000 %")
        try Self.check(processors.limit, in: 0...100_000, "processor limit of \(name) in 1/1000 %")
        try Self.check(processors.weight, in: 1...10_000, "processor weight of \(name)")
        try Self.check(processors.threadsPerCore, in: 0...64, "threads per core of \(name)")
    }

    private func checkFeatures() throws(ConfigurationError) {
        if processors.nestedVirtualization { try version.require(.nestedVirtualization) }
        if [.production, .productionOnly].contains(checkpointType) { try version.require(.productionCheckpoints) }
        guard hasSecureBoot else { return }
        guard generation == .two else {
            throw ConfigurationError(.invalidValue, "Secure Boot of \(name): generation 1 does not have it")
        }
        guard let template = secureBootTemplate, template.name != nil else {
            throw ConfigurationError(
                .invalidValue,
                "Secure Boot of \(name): the template \(secureBootTemplate?.description ?? "none") is not "
                    + "known; known are " + SecureBootTemplate.all.map(\.description).joined(separator: ", ")
            )
        }
        if template != .microsoftWindows { try version.require(.linuxSecureBoot) }
    }

    private func checkCertificates() throws(ConfigurationError) {
        let certificates = roost.secureBootCertificates
        try Self.check(certificates.count, in: 0...Limits.secureBootCertificates, "own certificates of \(name)")
        for certificate in certificates {
            try Self.check(
                certificate.count,
                in: 1...Limits.secureBootCertificateBytes,
                "own certificate of \(name) in bytes"
            )
        }
    }

    private static func check<Value: Comparable>(
        _ value: Value,
        in bounds: ClosedRange<Value>,
        _ subject: @autoclosure () -> String
    ) throws(ConfigurationError) {
        guard bounds.contains(value) else {
            throw ConfigurationError(
                .outOfBounds,
                "\(subject()): \(value) is not from \(bounds.lowerBound) to \(bounds.upperBound)"
            )
        }
    }
}

extension KeyNode {
    /// The value of a key, or what its absence means; a key of another type is an error.
    func storedOrThrow<Value>(
        _ key: ConfigurationKey<Value>,
        name: String
    ) throws(ConfigurationError) -> Value {
        guard let node = descendant(key.path) else { return key.absent }
        guard let value = key.decode(node.value) else {
            throw ConfigurationError(
                .invalidValue,
                "read virtual machine \"\(name)\": the key \(key.path) has a wrong type or value"
            )
        }
        return value
    }
}
