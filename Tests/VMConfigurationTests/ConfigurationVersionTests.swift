import Foundation
import Testing
import VMConfiguration

@Suite struct ConfigurationVersionTests {
    @Test(arguments: [
        ("5.0", 1280), ("6.0", 1536), ("6.2", 1538), ("7.0", 1792), ("7.1", 1793), ("8.0", 2048), ("9.0", 2304),
    ])
    func textAndStoredNumberNameTheSameVersion(text: String, stored: Int) throws {
        let version = try #require(ConfigurationVersion(text))
        #expect(Int(version.rawValue) == stored)
        #expect(version.description == text)
        #expect(version.isKnown)
    }

    @Test(arguments: [
        "", "8", "8.", ".0", "8.0.0", "08.0", "8.00", "+8.0", "8.-1", " 8.0", "256.0", "8.256", "v8.0", "८.०",
    ])
    func otherTextIsNoVersion(text: String) {
        #expect(ConfigurationVersion(text) == nil)
    }

    @Test func aVersionInBetweenIsNotKnown() {
        #expect(ConfigurationVersion("8.3")?.isKnown == false)
        #expect(ConfigurationVersion("10.0")?.isKnown == false)
    }

    @Test func versionsOrderByNumberAndNotByText() throws {
        #expect(try #require(ConfigurationVersion("10.0")) > .v9_0)
        #expect(ConfigurationVersion.known == ConfigurationVersion.known.sorted())
        #expect(ConfigurationVersion.known.count == 7)
    }

    @Test func onlyVersion5IsXML() {
        #expect(ConfigurationVersion.known.filter { $0.fileFormat == .xml } == [.v5_0])
        #expect(ConfigurationVersion.v6_0.fileFormat.fileExtension == "vmcx")
    }

    @Test func theVersionPinsTheMachine() {
        #expect(ConfigurationVersion.known.map(\.machineVersion) == ["5.2", "7.2", "7.2", "7.2", "7.2", "7.2", "10.0"])
    }

    @Test func codesAsText() throws {
        let json = try JSONEncoder().encode([ConfigurationVersion.v6_2])
        #expect(String(decoding: json, as: UTF8.self) == "[\"6.2\"]")
        #expect(try JSONDecoder().decode([ConfigurationVersion].self, from: json) == [.v6_2])
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode([ConfigurationVersion].self, from: Data("[\"6\"]".utf8))
        }
    }

    @Test func featuresBeginWithTheirVersion() {
        let firsts = Feature.allCases.map { feature in ConfigurationVersion.known.first { $0.supports(feature) } }
        #expect(firsts == [.v6_0, .v6_0, .v6_0, .v6_0, .v7_0, .v8_0, .v8_0, .v9_0])
    }

    @Test func aRefusalNamesTheVersionThatIsNeeded() throws {
        let error = #expect(throws: ConfigurationError.self) {
            try ConfigurationVersion.v5_0.require(.productionCheckpoints)
        }
        #expect(error?.code == .unsupportedByVersion)
        #expect(error?.message.contains("6.0") == true)
        try ConfigurationVersion.v6_0.require(.productionCheckpoints)
    }
}

@Suite struct FunctionalLevelTests {
    @Test(arguments: [
        ((5, 1), nil), ((5, 2), 8), ((6, 9), 8), ((7, 1), 8), ((7, 2), 9), ((9, 2), 9), ((10, 0), 10), ((11, 0), 10),
    ])
    func theReleaseOfQEMUDecidesTheLevel(qemu: (Int, Int), number: Int?) {
        #expect(FunctionalLevel.highest(forQEMU: (major: qemu.0, minor: qemu.1))?.number == number)
    }

    @Test func levelsRunTheVersionsUpToTheirNewest() {
        #expect(FunctionalLevel.windowsServer2012R2.supportedConfigurationVersions == [.v5_0])
        #expect(FunctionalLevel.windowsServer2016.supportedConfigurationVersions.last == .v8_0)
        #expect(FunctionalLevel.windowsServer2019.supportedConfigurationVersions == ConfigurationVersion.known)
        #expect(FunctionalLevel.windowsServer2016.defaultConfigurationVersion == .v8_0)
    }

    @Test func everyMachineOfALevelIsInItsQEMU() {
        for level in FunctionalLevel.all {
            let (major, minor) = level.minimumQEMU
            #expect(level.newestConfigurationVersion.machineVersion == "\(major).\(minor)")
        }
    }

    @Test func onlyKnownNumbersAreLevels() {
        #expect(FunctionalLevel(9) == .windowsServer2016)
        #expect(FunctionalLevel(7) == nil)
        #expect(FunctionalLevel(11) == nil)
        #expect(FunctionalLevel.windowsServer2016.description == "9 (Windows Server 2016)")
    }
}
