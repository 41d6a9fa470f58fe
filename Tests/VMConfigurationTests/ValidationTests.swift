import HyperVStorage
import RoostPrimitives
import Testing
import VMConfiguration

@Suite struct ValidationTests {
    @Test(arguments: ["a", "Web 1", "Ünïcode", "日本", String(repeating: "x", count: 100), ".hidden", "\u{1F600}"])
    func anOrdinaryNameIsAccepted(name: String) throws {
        try VirtualMachineConfiguration.validateName(name)
    }

    @Test(arguments: [
        "", String(repeating: "x", count: 101), String(repeating: "日", count: 86), "a/b", "/", "a\nb", "a\0", "\u{7F}",
        "a\u{2028}b", " a", "a ", ".", "..",
    ])
    func anImpossibleNameIsRefused(name: String) {
        let error = #expect(throws: ConfigurationError.self) { try VirtualMachineConfiguration.validateName(name) }
        #expect(error?.code == .invalidName)
    }

    @Test(arguments: [
        (ConfigurationVersion.v7_1, 64, 1 << 20), (.v8_0, 240, 12 << 20),
    ])
    func boundsAreTheVersions(version: ConfigurationVersion, processors: Int, mebibytes: UInt64) throws {
        var configuration = try makeConfiguration(.two, version)
        configuration.processors.count = processors
        configuration.memory.startup = mebibytes
        try configuration.validate()
        #expect(try VirtualMachineConfiguration(root: configuration.root) == configuration)
        for change: (inout VirtualMachineConfiguration) -> Void in [
            { $0.processors.count = processors + 1 }, { $0.processors.count = 0 }, { $0.processors.count = -1 },
            { $0.memory.startup = mebibytes + 1 }, { $0.memory.startup = 31 }, { $0.memory.startup = .max },
        ] {
            var wrong = configuration
            change(&wrong)
            #expect(#expect(throws: ConfigurationError.self) { try wrong.validate() }?.code == .outOfBounds)
            let error = #expect(throws: ConfigurationError.self) { try VirtualMachineConfiguration(root: wrong.root) }
            #expect(error?.code == .outOfBounds)
        }
    }

    @Test func settingsOutOfBoundsAreRefused() throws {
        for change: (inout VirtualMachineConfiguration) -> Void in [
            { $0.memory.priority = 10_001 }, { $0.processors.weight = 0 }, { $0.processors.limit = 100_001 },
            { $0.processors.reservation = -1 }, { $0.processors.threadsPerCore = 65 },
            {
                $0.memory.dynamicMemoryEnabled = true; $0.memory.minimum = 1025
            },
            {
                $0.memory.dynamicMemoryEnabled = true; $0.memory.maximum = 1023
            },
            {
                $0.memory.dynamicMemoryEnabled = true; $0.memory.minimum = 31
            },
            {
                $0.memory.dynamicMemoryEnabled = true; $0.memory.buffer = 4
            },
            { $0.roost.secureBootCertificates = [[]] },
            { $0.roost.secureBootCertificates = [[UInt8](repeating: 0, count: 65_537)] },
            { $0.roost.secureBootCertificates = Array(repeating: [1], count: 17) },
        ] {
            var configuration = try makeConfiguration()
            change(&configuration)
            #expect(#expect(throws: ConfigurationError.self) { try configuration.validate() }?.code == .outOfBounds)
        }
    }

    @Test func aDynamicMinimumCountsOnlyWhenMemoryIsDynamic() throws {
        var configuration = try makeConfiguration()
        configuration.memory.startup = 256
        try configuration.validate()
        configuration.memory.dynamicMemoryEnabled = true
        #expect(throws: ConfigurationError.self) { try configuration.validate() }
    }

    @Test func featuresAskTheVersion() throws {
        var configuration = try makeConfiguration(.two, .v5_0)
        #expect(configuration.checkpointType == .standard)
        configuration.checkpointType = .production
        let error = #expect(throws: ConfigurationError.self) { try configuration.validate() }
        #expect(error?.code == .unsupportedByVersion)
        #expect(error?.message.contains("6.0") == true)
        configuration.checkpointType = .disabled
        try configuration.validate()
    }

    @Test func secureBootNeedsGeneration2AndAKnownTemplate() throws {
        var first = try makeConfiguration(.one)
        first.firmware.secureBootEnabled = true
        #expect(#expect(throws: ConfigurationError.self) { try first.validate() }?.code == .invalidValue)
        var second = try makeConfiguration(.two)
        second.firmware.secureBootTemplate = SecureBootTemplate(id: .random())
        #expect(#expect(throws: ConfigurationError.self) { try second.validate() }?.code == .invalidValue)
        second.firmware.secureBootEnabled = false
        try second.validate()
    }
}

@Suite struct ConfigurationIdentityTests {
    @Test(arguments: [
        ("properties/name", ConfigurationError.Code.notAConfiguration), ("properties/global_id", .notAConfiguration),
        ("properties/version", .notAConfiguration), ("properties/subtype", .notAConfiguration),
        ("properties", .notAConfiguration),
    ])
    func aMissingKeyIsNamed(path: String, code: ConfigurationError.Code) throws {
        var root = try makeConfiguration().root
        root.remove(path)
        let error = #expect(throws: ConfigurationError.self) { try VirtualMachineConfiguration(root: root) }
        #expect(error?.code == code)
        #expect(error?.message.contains(path) == true)
    }

    @Test(arguments: [
        ("properties/name", KeyValue.int(1), ConfigurationError.Code.invalidValue),
        ("properties/global_id", .string("not a GUID"), .invalidValue),
        ("properties/global_id", .string("00000000-0000-0000-0000-000000000000"), .invalidValue),
        ("properties/version", .string("8.0"), .invalidValue),
        ("properties/version", .int(2051), .unknownVersion),
        ("properties/version", .int(-1), .unknownVersion),
        ("properties/version", .int(.max), .unknownVersion),
        ("properties/subtype", .int(2), .invalidValue),
        ("properties/subtype", .int(-1), .invalidValue),
        ("settings/processors/count", .string("1"), .invalidValue),
        ("settings/memory/bank/size", .int(-1), .invalidValue),
    ])
    func aWrongValueHasItsCode(path: String, value: KeyValue, code: ConfigurationError.Code) throws {
        let root = try makeConfiguration().root.replacing(path, value)
        let error = #expect(throws: ConfigurationError.self) { try VirtualMachineConfiguration(root: root) }
        #expect(error?.code == code)
    }

    @Test func anUnknownVersionIsNamedWithTheKnownOnes() throws {
        let root = try makeConfiguration().root.replacing("properties/version", .int(2051))
        let error = #expect(throws: ConfigurationError.self) { try VirtualMachineConfiguration(root: root) }
        #expect(error?.message.contains("8.3") == true)
        #expect(error?.message.contains("5.0, 6.0, 6.2, 7.0, 7.1, 8.0, 9.0") == true)
    }

    @Test func anotherRootIsNoConfiguration() throws {
        var root = try makeConfiguration().root
        root.name = "savedstate"
        let error = #expect(throws: ConfigurationError.self) { try VirtualMachineConfiguration(root: root) }
        #expect(error?.code == .notAConfiguration)
    }

    @Test func aManifestOfAThousandAdaptersIsRefusedByItsCount() throws {
        var root = try makeConfiguration().root
        let row = KeyNode(
            "vdev100",
            children: [
                KeyNode("device", .string("2fc216b0-d2e2-4967-9b6d-b8a5c9ca2778")),
                KeyNode("instance", .string("2fc216b0-d2e2-4967-9b6d-b8a5c9ca2778")),
            ]
        )
        let index = try #require(root.children.firstIndex { $0.name == "manifest" })
        root.children[index].children += Array(repeating: row, count: 1000)
        let error = #expect(throws: ConfigurationError.self) { try VirtualMachineConfiguration(root: root) }
        #expect(error?.code == .outOfBounds)
    }
}

@Suite struct ConfigurationSummaryTests {
    @Test func bothWaysGiveTheSameSummary() throws {
        var configuration = try makeConfiguration(.one, .v8_0)
        configuration.automaticStartAction = .alwaysStart
        configuration.automaticStopAction = .shutDown
        configuration.memory.startup = 3072
        configuration.processors.count = 5
        let summary = try ConfigurationSummary(root: configuration.root)
        #expect(summary == ConfigurationSummary(configuration))
        #expect(summary.name == "Test" && summary.id == configuration.id)
        #expect(summary.generation == .one && summary.version == .v8_0)
        #expect(summary.memoryStartupMiB == 3072 && summary.processorCount == 5)
        #expect(summary.notes == nil)
        #expect(summary.automaticStartAction == .alwaysStart && summary.automaticStopAction == .shutDown)
        configuration.notes = "n"
        #expect(try ConfigurationSummary(root: configuration.root).notes == "n")
    }

    @Test func aFileWithoutIdentityHasNoSummary() {
        #expect(throws: ConfigurationError.self) { try ConfigurationSummary(root: KeyNode("configuration")) }
    }
}
