import Foundation
import RoostAPI
import RoostClient
import Testing

extension Integration {
    @Suite(.serialized) struct SecureBootTests {
        /// What a machine with the guest's disk and some Secure Boot setting writes on its console until `wanted` comes.
        private func console(
            of vm: String,
            _ roostd: Roostd,
            secureBoot: String,
            until wanted: String
        ) async throws -> String {
            try await roostd.createGuest(vm, generation: 2, secureBoot: secureBoot)
            try await roostd.start(vm)
            let text = try await roostd.console(vm).wait(for: wanted, within: 120)
            try await roostd.turnOff(vm)
            return text
        }

        @Test(arguments: ["MicrosoftWindows", "OpenSourceShieldedVM"])
        func templateThatDoesNotTrustTheLoaderRefusesTheGuest(template: String) async throws {
            try await withRoostd("refused-\(template)") { roostd in
                let text = try await console(
                    of: "guest",
                    roostd,
                    secureBoot: template,
                    until: "No bootable option or device was found"
                )
                #expect(text.contains("Access Denied"))
                #expect(!text.contains("ROOST-GUEST"))
                let trusted = try await roostd.client.firmware(of: "guest").trustedAuthorities.map(\.commonName)
                #expect(!trusted.contains { $0.contains("UEFI CA") })
            }
        }

        @Test func guestBootsWithoutSecureBootWhenItIsOff() async throws {
            try await withRoostd("secure-boot-off") { roostd in
                let text = try await console(of: "guest", roostd, secureBoot: "off", until: "ROOST-GUEST ready")
                #expect(text.contains("firmware=uefi secureboot=0") || text.contains("firmware=uefi secureboot=none"))
            }
        }

        @Test func templateOfAMachineThatHasStartedChangesOnlyByForce() async throws {
            try await withRoostd("template-change") { roostd in
                try await roostd.create("vm") {
                    $0.generation = 2
                    $0.secureBoot = "MicrosoftWindows"
                }
                var change = UpdateFirmwareRequest()
                change.secureBoot = "MicrosoftUEFICertificateAuthority"
                var firmware = try await roostd.client.updateFirmware(of: "vm", change)
                #expect(firmware.trustedAuthorities.map(\.commonName) == ["Microsoft Corporation UEFI CA 2011"])
                try await roostd.start("vm")
                #expect(
                    try await refusal { try await roostd.client.updateFirmware(of: "vm", change) }?.code
                        == .invalidState
                )
                try await roostd.turnOff("vm")
                change.secureBoot = "MicrosoftWindows"
                let refused = try await refusal { try await roostd.client.updateFirmware(of: "vm", change) }
                #expect(refused?.code == .invalidState)
                #expect(refused?.message.contains("--force") == true)
                change.force = true
                firmware = try await roostd.client.updateFirmware(of: "vm", change)
                #expect(firmware.trustedAuthorities.map(\.commonName) == ["Microsoft Windows Production PCA 2011"])
            }
        }
    }
}
