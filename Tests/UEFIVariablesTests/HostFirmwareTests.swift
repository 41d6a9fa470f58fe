import Foundation
import RoostPrimitives
import Testing

@testable import UEFIVariables

/// Reads the variable stores of the host's OVMF package, where it is installed.
@Suite struct HostFirmwareTests {
    private static let directory = URL(fileURLWithPath: "/usr/share/OVMF")
    private static let keyedStore = directory.appendingPathComponent("OVMF_VARS_4M.ms.fd")
    private static let hasKeyedStore = FileManager.default.fileExists(atPath: keyedStore.path)
    private static let python = ProcessInfo.processInfo.environment["ROOST_PYTHON"]
    private static let stores: [URL] = {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? []
        return names.filter { $0.hasPrefix("OVMF_VARS") }.sorted().map { directory.appendingPathComponent($0) }
    }()

    private func bytes(_ url: URL) throws -> [UInt8] { [UInt8](try Data(contentsOf: url)) }

    @Test(.enabled(if: !stores.isEmpty), arguments: stores)
    func storesKeepTheirVariablesAndEverythingAroundThem(url: URL) throws {
        let image = try bytes(url)
        let store = try VariableStore(parsing: image)
        let written = try store.serialized()
        #expect(try VariableStore(parsing: written).variables == store.variables)
        #expect(written.count == image.count)
        #expect(written[..<store.region.lowerBound] == image[..<store.region.lowerBound])
        #expect(written[store.region.upperBound...] == image[store.region.upperBound...])
        #expect(try VariableStore(parsing: written).serialized() == written)
    }

    @Test(.enabled(if: hasKeyedStore)) func theKeyedStoreHasBothAuthoritiesOfMicrosoft() throws {
        let store = try VariableStore(parsing: bytes(Self.keyedStore))
        let state = try store.secureBootState()
        #expect(state.isEnabled && !state.isSetupMode && state.template == nil && state.forbiddenCount > 0)
        let subjects = state.authorities.map(\.subject)
        for template in [SecureBootKeySet.microsoftWindows, .microsoftUEFICertificateAuthority] {
            #expect(subjects.contains { template.trustedSubjects.contains($0 ?? "") })
        }
        let windows = state.authorities.first { $0.subject == "Microsoft Windows Production PCA 2011" }
        // 2026-10-19 18:51:42 UTC, as `openssl x509 -enddate` shows it.
        #expect(windows == nil || windows?.notAfter == 1_792_435_902)
    }

    @Test(.enabled(if: hasKeyedStore)) func theFirmwaresOwnBootEntriesAreRead() throws {
        let entries = try VariableStore(parsing: bytes(Self.keyedStore)).bootEntries
        #expect(entries.contains { $0.description == "UiApp" && $0.devicePath.hasPrefix("Fv(") })
    }

    /// `virt-fw-vars` of PyPI's virt-firmware reads the stores that were written, variable for variable.
    @Test(.enabled(if: hasKeyedStore && python != nil), arguments: SecureBootKeySet.allCases)
    func anotherReaderFindsTheSameVariables(template: SecureBootKeySet) throws {
        let own = [try Certificate(der: Fixture.certificate(subject: "Own"))]
        let base = try VariableStore(parsing: bytes(Self.keyedStore))
        let store = try base.applyingTemplate(template, certificates: template == .openSourceShieldedVM ? own : [])
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let image = directory.appendingPathComponent("vars.fd")
        let json = directory.appendingPathComponent("vars.json")
        try Data(store.serialized()).write(to: image)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(Self.python))
        process.arguments = ["-m", "virt.firmware.vars", "--input", image.path, "--output-json", json.path]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        struct Dump: Decodable {
            struct Entry: Decodable {
                let name: String
                let guid: String
                let attr: UInt32
                let data: String
            }
            let variables: [Entry]
        }
        let dump = try JSONDecoder().decode(Dump.self, from: Data(contentsOf: json))
        func line(_ parts: String...) -> String { parts.joined(separator: " ") }
        let theirs = dump.variables.map { line($0.name, $0.guid, "\($0.attr)", $0.data) }
        let ours = store.variables.map { variable in
            let data = variable.data.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
            return line(variable.name, variable.vendor.lowercased, "\(variable.attributes.rawValue)", data)
        }
        #expect(Set(theirs) == Set(ours) && theirs.count == ours.count)
    }
}
