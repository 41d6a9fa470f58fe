import HyperVStorage
import RoostPrimitives
import Testing
import VMConfiguration

@Suite struct NetworkAdapterTests {
    @Test(arguments: [ConfigurationVersion.v5_0, .v9_0])
    func whatIsAddedIsReadAndRemovingItRestoresTheTree(version: ConfigurationVersion) throws {
        var configuration = try makeConfiguration(.one, version)
        let before = configuration.root
        var adapter = NetworkAdapter(
            name: "Second",
            macAddress: .random(),
            macAddressIsStatic: true,
            switchID: .random(),
            switchName: "Default Switch",
            isLegacy: true
        )
        adapter.portID = .random()
        try configuration.addNetworkAdapter(adapter)
        #expect(configuration.networkAdapters.last == adapter)
        #expect(try configuration.removeNetworkAdapter(adapter.id) == adapter)
        var after = configuration.root
        #expect(after.remove("roost")?.children.isEmpty == true)
        #expect(after == before)
    }

    @Test func connectingMakesAPortAndNamesTheSwitchAsHostResource() throws {
        var configuration = try makeConfiguration()
        var adapter = try #require(configuration.networkAdapters.first)
        #expect(!adapter.isConnected && adapter.portID == nil && adapter.macAddress == nil)
        adapter.switchID = .random()
        adapter.isConnected = true
        try configuration.updateNetworkAdapter(adapter)
        let connected = try #require(configuration.networkAdapters.first)
        #expect(connected.portID != nil)
        let resource = "_\(adapter.id.lowercased)_/Connection/HostResources/HostResource"
        #expect(configuration.root.descendant(resource)?.value == adapter.switchID.map { .string($0.uppercased) })
        adapter.isConnected = false
        try configuration.updateNetworkAdapter(adapter)
        #expect(configuration.root.descendant(resource) == nil)
        #expect(configuration.networkAdapters.first?.switchID == adapter.switchID)
    }

    @Test func removingOneClosesTheGapInTheManifest() throws {
        var configuration = try makeConfiguration()
        let first = try #require(configuration.networkAdapters.first)
        try configuration.addNetworkAdapter(NetworkAdapter(name: "Second"))
        try configuration.removeNetworkAdapter(first.id)
        let rows = try #require(configuration.root["manifest"]).children.filter { $0.name.hasPrefix("vdev") }
        #expect(rows.map(\.name) == rowNames(27))
        #expect(configuration.root["manifest"]?["size"]?.value == .int(27))
        #expect(configuration.networkAdapters.map(\.name) == ["Second"])
        #expect(configuration.root["_\(first.id.lowercased)_"] == nil)
    }

    @Test func eightAndFourLegacyOnesAreTheMost() throws {
        var configuration = try makeConfiguration(.one)
        for _ in 0..<7 { try configuration.addNetworkAdapter(NetworkAdapter()) }
        for _ in 0..<4 { try configuration.addNetworkAdapter(NetworkAdapter(isLegacy: true)) }
        for isLegacy in [false, true] {
            let error = #expect(throws: ConfigurationError.self) {
                try configuration.addNetworkAdapter(NetworkAdapter(isLegacy: isLegacy))
            }
            #expect(error?.code == .limitReached)
        }
        #expect(configuration.networkAdapters.count == 12)
        #expect(try VirtualMachineConfiguration(root: configuration.root) == configuration)
    }

    @Test func whatCannotBeIsRefused() throws {
        var configuration = try makeConfiguration()
        let present = try #require(configuration.networkAdapters.first)
        func code(_ body: () throws -> Void) -> ConfigurationError.Code? {
            #expect(throws: ConfigurationError.self, performing: body)?.code
        }
        #expect(code { try configuration.addNetworkAdapter(present) } == .alreadyInUse)
        #expect(code { try configuration.addNetworkAdapter(NetworkAdapter(isLegacy: true)) } == .invalidValue)
        let group = NetworkAdapter(macAddress: MACAddress("01-00-5E-00-00-01"))
        #expect(code { try configuration.addNetworkAdapter(group) } == .invalidValue)
        #expect(code { try configuration.updateNetworkAdapter(NetworkAdapter()) } == .notFound)
        #expect(code { try configuration.removeNetworkAdapter(.random()) } == .notFound)
    }

    @Test func anAdapterCannotBecomeALegacyOne() throws {
        var configuration = try makeConfiguration(.one)
        var adapter = try #require(configuration.networkAdapters.first)
        adapter.isLegacy = true
        let error = #expect(throws: ConfigurationError.self) { try configuration.updateNetworkAdapter(adapter) }
        #expect(error?.code == .invalidValue)
    }

    @Test func unreadableTextStaysUntilAnotherIsGiven() throws {
        var configuration = try makeConfiguration()
        var adapter = try #require(configuration.networkAdapters.first)
        let node = "_\(adapter.id.lowercased)_"
        configuration.root.set("\(node)/MacAddress", .string("garbled"))
        configuration.root.set("\(node)/SwitchName", .string("old switch"))
        adapter.name = "Renamed"
        try configuration.updateNetworkAdapter(adapter)
        #expect(configuration.root.descendant("\(node)/MacAddress")?.value == .string("garbled"))
        #expect(configuration.root.descendant("\(node)/SwitchName")?.value == .string("old switch"))
        adapter.macAddress = MACAddress("00-15-5D-00-00-02")
        try configuration.updateNetworkAdapter(adapter)
        #expect(configuration.networkAdapters.first == adapter)
    }

    @Test func hyperVsEmulatedAdapterIsKnownByItsClass() throws {
        var configuration = try makeConfiguration(.one)
        let row = try #require(
            configuration.root["manifest"]?.children.first { $0["name"]?.value == .string("Synthetic Ethernet Port") }
        )
        configuration.root.set("manifest/\(row.name)/device", .string("718032DA-0000-0000-0000-000000000000"))
        #expect(configuration.networkAdapters.map(\.isLegacy) == [true])
    }
}
