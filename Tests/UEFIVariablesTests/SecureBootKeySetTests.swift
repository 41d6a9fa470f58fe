import RoostPrimitives
import Testing

@testable import UEFIVariables

@Suite struct SecureBootKeySetTests {
    private let windows = "Microsoft Windows Production PCA 2011"
    private let windows2023 = "Windows UEFI CA 2023"
    private let thirdParty = "Microsoft Corporation UEFI CA 2011"
    private let thirdParty2023 = "Microsoft UEFI CA 2023"
    private let optionROM = "Microsoft Option ROM UEFI CA 2023"

    private func host() throws -> VariableStore {
        try Fixture.keyedStore([windows, thirdParty, "Debian", windows2023, optionROM, thirdParty2023])
    }

    private func authorities(_ store: VariableStore) throws -> [String?] {
        // Through the bytes: what counts is what the firmware reads.
        try VariableStore(parsing: store.serialized()).secureBootState().authorities.map(\.subject)
    }

    @Test func theWindowsTemplateTrustsExactlyTheWindowsAuthorities() throws {
        let store = try host().applyingTemplate(.microsoftWindows)
        #expect(try authorities(store) == [windows, windows2023])
        #expect(try store.signatureLists(.allowedSignatures).allSatisfy { $0.type == .x509Certificate })
        #expect(try store.secureBootState().template == .microsoftWindows)
    }

    @Test func theUEFITemplateTrustsExactlyTheThirdPartyAuthorities() throws {
        let store = try host().applyingTemplate(.microsoftUEFICertificateAuthority)
        #expect(try authorities(store) == [thirdParty, thirdParty2023])
        #expect(try store.secureBootState().template == .microsoftUEFICertificateAuthority)
    }

    @Test func theOpenSourceTemplateTrustsExactlyTheOwnersCertificates() throws {
        let own = try ["One", nil].map { try Certificate(der: Fixture.certificate(subject: $0)) }
        let store = try host().applyingTemplate(.openSourceShieldedVM, certificates: own + own)
        #expect(try authorities(store) == ["One", nil])
        #expect(try store.secureBootState().template == .openSourceShieldedVM)
    }

    @Test func aTemplateTurnsSecureBootOnAndKeepsTheOtherKeys() throws {
        let host = try host()
        let store = try host.applyingTemplate(.microsoftWindows)
        for key in [Variable.Key.platformKey, .keyExchangeKeys, .forbiddenSignatures] {
            #expect(store[key] != nil && store[key] == host[key])
        }
        #expect(store[.allowedSignatures]?.timestamp == host[.allowedSignatures]?.timestamp)
        #expect(store[.allowedSignatures]?.attributes == host[.allowedSignatures]?.attributes)
        let state = try store.secureBootState()
        #expect(state.isEnabled && !state.isSetupMode && state.forbiddenCount == 1)
        #expect(store[.secureBootEnable]?.data == [1] && store[.customMode]?.data == [0])
        #expect(store[.secureBootEnable]?.attributes == [.nonVolatile, .bootServiceAccess])
    }

    @Test func aStoreInUseChangesTemplateWithTheKeysOfTheHost() throws {
        let host = try host()
        var used = try host.applyingTemplate(.microsoftWindows)
        let entry = Variable("Boot0007", vendor: .globalVariable, attributes: [.nonVolatile], data: [1])
        used[entry.key] = entry
        #expect(code { _ = try used.applyingTemplate(.microsoftUEFICertificateAuthority) } == .missingKey)
        let changed = try used.applyingTemplate(.microsoftUEFICertificateAuthority, from: host)
        #expect(try authorities(changed) == [thirdParty, thirdParty2023])
        #expect(changed[entry.key] == entry)
    }

    @Test func anEmptyStoreTakesAllKeysFromTheHost() throws {
        var empty = try host()
        empty.variables = []
        let store = try empty.applyingTemplate(.microsoftWindows, from: host())
        #expect(try store.secureBootState().isEnabled)
        #expect(try authorities(store) == [windows, windows2023])
    }

    @Test func aMissingAuthorityIsNamed() throws {
        let store = try Fixture.keyedStore([thirdParty])
        let error = #expect(throws: VariableStoreError.self) { try store.applyingTemplate(.microsoftWindows) }
        #expect(error?.code == .missingKey)
        #expect(error?.message.contains(windows) == true && error?.message.contains(windows2023) == true)
    }

    @Test func aMissingPlatformKeyIsNamed() throws {
        var store = try host()
        store[.platformKey] = nil
        let error = #expect(throws: VariableStoreError.self) { try store.applyingTemplate(.microsoftWindows) }
        #expect(error?.code == .missingKey && error?.message.contains("no PK;") == true)
    }

    @Test func theOwnersCertificatesGoWithTheOpenSourceTemplateOnly() throws {
        let own = [try Certificate(der: Fixture.certificate(subject: "Own"))]
        let host = try host()
        #expect(code { _ = try host.applyingTemplate(.microsoftWindows, certificates: own) } == .invalidArgument)
    }

    @Test func withoutCertificatesTheOpenSourceTemplateTrustsNobody() throws {
        let store = try host().applyingTemplate(.openSourceShieldedVM)
        #expect(store[.allowedSignatures] == nil)
        #expect(try store.secureBootState().authorities.isEmpty)
        #expect(try store.secureBootState().isEnabled)
    }

    @Test func aMixtureIsNoTemplate() throws {
        #expect(try host().secureBootState().template == nil)
        #expect(try VariableStore(parsing: Fixture.image(records: [])).secureBootState().template == nil)
    }

    @Test func secureBootIsOffInSetUpModeAndWhenSwitchedOff() throws {
        var store = try host()
        #expect(try store.secureBootState().isEnabled)
        store.setSecureBoot(enabled: false)
        #expect(try !store.secureBootState().isEnabled)
        store.setSecureBoot(enabled: true)
        #expect(try store.secureBootState().isEnabled)
        store[.platformKey] = nil
        let state = try store.secureBootState()
        #expect(!state.isEnabled && state.isSetupMode)
    }

    @Test func aDamagedDatabaseIsNamed() throws {
        var store = try host()
        store[.allowedSignatures]?.data.removeLast()
        let error = #expect(throws: VariableStoreError.self) { try store.secureBootState() }
        #expect(error?.code == .corrupt && error?.message.contains("\"db\"") == true)
    }

    @Test func identifiersAreThoseOfHyperV() {
        #expect(SecureBootKeySet.allCases.map { SecureBootKeySet(id: $0.id) } == SecureBootKeySet.allCases)
        #expect(SecureBootKeySet(id: .zero) == nil)
        let ids = SecureBootKeySet.allCases.map(\.id.lowercased)
        #expect(
            ids == [
                "1734c6e8-3154-4dda-ba5f-a874cc483422", "272e7447-90a4-4563-a4b9-8e4ab00526ce",
                "4292ae2b-ee2c-42b5-a969-dd8f8689f6f3",
            ]
        )
    }
}
