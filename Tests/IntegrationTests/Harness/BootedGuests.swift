import Foundation
import RoostAPI
import RoostClient
import Testing

/// Guests that the tests of a suite share, because a boot takes seconds under software emulation.
///
/// A test asks for a guest and gets it running and answering, whatever the test before has done to it.
actor BootedGuests {
    @TaskLocal static var current: BootedGuests?

    nonisolated let roostd: Roostd
    private var consoles: [Guest: GuestConsole] = [:]
    private var bootTexts: [Guest: String] = [:]

    enum Guest: String, CaseIterable {
        /// Generation 2, Secure Boot, on the Default Switch, with a cloud-init seed.
        case uefi
        /// Generation 1, on the Default Switch.
        case bios
        /// Generation 1, without a network.
        case other
    }

    init(_ roostd: Roostd) { self.roostd = roostd }

    func createAll() async throws {
        try await roostd.createGuest("uefi", generation: 2, secureBoot: "MicrosoftUEFICertificateAuthority") {
            request in
            request.switchName = "Default Switch"
            request.processors = 2
            request.notes = "for tests"
            request.cloudInitUserData = "#cloud-config\n"
        }
        try await roostd.createGuest("bios", generation: 1) { $0.switchName = "Default Switch" }
        try await roostd.createGuest("other", generation: 1)
    }

    /// A guest that runs and whose shell answers.
    func running(_ guest: Guest) async throws -> GuestConsole {
        let vm = guest.rawValue
        // A test that failed may have left no roostd.
        try await roostd.startIfNeeded()
        var state = try await roostd.state(vm)
        if state == .paused {
            try await roostd.client.resumeVirtualMachine(vm, waitSeconds: 30).succeeded()
            state = .running
        }
        if state == .running {
            if let console = consoles[guest], (try? await console.shell("true", within: 5)) != nil { return console }
            let console = try await roostd.console(vm)
            consoles[guest] = console
            if (try? await console.shell("true", within: 5)) != nil { return console }
            try await roostd.turnOff(vm)
        }
        let console = try await roostd.boot(vm)
        consoles[guest] = console
        bootTexts[guest] = try await console.text()
        return console
    }

    /// What a guest wrote while it booted last; a roostd that was started since does not know that any more.
    func bootText(_ guest: Guest) -> String { bootTexts[guest] ?? "" }
}

/// Makes ``BootedGuests/current`` for the time of a suite.
struct BootedGuestsTrait: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @Sendable () async throws -> Void
    ) async throws {
        try await withRoostd("guests") { roostd in
            let guests = BootedGuests(roostd)
            try await guests.createAll()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for guest in BootedGuests.Guest.allCases { group.addTask { _ = try await guests.running(guest) } }
                try await group.waitForAll()
            }
            try await BootedGuests.$current.withValue(guests) { try await function() }
        }
    }
}

extension Trait where Self == BootedGuestsTrait {
    static var bootedGuests: Self { Self() }
}
