import Foundation
import Testing

/// Where the programs under test, the guests and the helpers of the tests are.
///
/// `ROOST_BIN_DIR` (`.build/debug`), `ROOST_GUEST_DIR` (`.build/guest`), `ROOST_PYTHON` (`python3`) and
/// `ROOST_TEST_LOGS` (`.build/integration-logs`) name other places.
enum Laboratory {
    private static let environment = ProcessInfo.processInfo.environment
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().path

    static let binaries = environment["ROOST_BIN_DIR"] ?? "\(root)/.build/debug"
    static let guests = environment["ROOST_GUEST_DIR"] ?? "\(root)/.build/guest"
    static let python = environment["ROOST_PYTHON"]
    static let logs = environment["ROOST_TEST_LOGS"] ?? "\(root)/.build/integration-logs"

    static var roostd: String { "\(binaries)/roostd" }
    static var roost: String { "\(binaries)/roost" }
    /// The small guest, which boots in both generations.
    static var guest: String { "\(guests)/test-guest.qcow2" }

    /// The same with Debian's general kernel, which knows the VM-Generation ID.
    static var genericGuest: String { "\(guests)/test-guest-generic.qcow2" }

    /// Whether the long tests run whole.
    static let isSoak = environment["ROOST_SOAK"] == "1"

    /// The folder of a QEMU that is newer than the installed one, when there is one.
    static let newQEMU = environment["ROOST_QEMU_DIR"] ?? "\(root)/.build/qemu-new"

    /// Runs something with the newest QEMU that there is, where QEMU's user can reach it.
    static func withNewestQEMU(_ body: (_ path: String) async throws -> Void) async throws {
        guard Files.exists("\(newQEMU)/qemu-system-x86_64") else {
            return try await body("/usr/bin/qemu-system-x86_64")
        }
        let folder = unusedPath("/var/tmp/roost-qemu-")
        defer { try? Files.remove(folder) }
        try await tool("cp", "-R", newQEMU, folder)
        try await tool("chmod", "a+rx", folder)
        try await body("\(folder)/qemu-system-x86_64")
    }

    /// How many faults are injected; ROOST_FAULTS says another number.
    static let faultRounds = environment["ROOST_FAULTS"].flatMap { Int($0) } ?? (isSoak ? 200 : 12)

    /// Whether this machine is there for tests, and a setting of its kernel may change for a moment.
    static let mayChangeHost = isSoak || environment["CI"] == "true"

    /// The full Debian 12, which only `make soak` builds.
    static var debianGuest: String { "\(guests)/debian-guest.qcow2" }

    static let isRoot = geteuid() == 0
    static let qemuUser = "roost-qemu"

    /// A path below `/tmp` or another folder that nothing has yet, short enough for sockets.
    static func unusedPath(_ prefix: String) -> String {
        "\(prefix)\(String(UInt32.random(in: 0...UInt32.max), radix: 36))"
    }
}

/// What a test needed did not happen.
struct Failure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// Runs `body`, and ends it when it takes longer than `seconds`.
func within<Result: Sendable>(
    _ seconds: Double,
    _ what: @autoclosure @Sendable () -> String,
    _ body: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    try await withThrowingTaskGroup(of: Result?.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: .seconds(seconds))
            return nil
        }
        defer { group.cancelAll() }
        guard let first = try await group.next(), let result = first else {
            throw Failure("\(what()) did not happen within \(seconds) s")
        }
        return result
    }
}

/// Asks again and again whether something holds that nobody announces, until a deadline.
nonisolated(nonsending) func eventually(
    _ what: String,
    within seconds: Double = 10,
    _ condition: nonisolated(nonsending) () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < deadline {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(5))
    }
    throw Failure("\(what): not so within \(seconds) s")
}

/// Numbers that look random and are the same for the same seed.
struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        // SplitMix64.
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

/// Lets a program that shares nothing with Roost read files that Roost has written, at rest.
func otherReaderReads(_ paths: [String]) async throws {
    let python = try #require(Laboratory.python, "ROOST_PYTHON names no Python with dissect.hypervisor")
    try #require(!paths.isEmpty)
    for path in paths {
        let result = try await run(python, ["\(Laboratory.root)/scripts/vmcx_dissect.py", path])
        #expect(result.status == 0 && result.text.hasPrefix("["), "\(path): \(result.errors)")
    }
}
