import ConfigStore
import Foundation
import HyperVStorage
import RoostPrimitives
import VMConfiguration

@testable import roost

/// A folder of its own for a test, deleted at the end, with a state directory that holds one machine.
final class FileFixture: Sendable {
    let folder: String
    let directory: StateDirectory
    let path: String
    var copy: String { directory.copy(of: path) }

    init(_ version: ConfigurationVersion = .v8_0) throws {
        folder = NSTemporaryDirectory() + "/roost-file-\(String(UInt64.random(in: 0...UInt64.max), radix: 36))"
        directory = StateDirectory("\(folder)/state")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try directory.prepare()
        let store = ConfigurationStore(directory: directory, supportedVersions: [.v5_0, .v8_0])
        let machine = NewVirtualMachine(name: "web", version: version)
        let configuration = try VirtualMachineConfiguration.new(machine)
        path = try store.create(configuration)
        _ = try store.update(id: configuration.id, path: path) {
            $0.notes = String(repeating: "long notes ", count: 600)
        }
        try store.settle(path: path)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func bytes(_ path: String) throws -> [UInt8] { try FileAccess.read(path) }

    /// Writes a file into the folder; returns its path.
    func write(_ bytes: some Sequence<UInt8>, _ name: String) throws -> String {
        try FileAccess.write(Array(bytes), to: "\(folder)/\(name)")
        return "\(folder)/\(name)"
    }

    /// Fills a block with nonsense.
    func garble(_ path: String, block: Int) throws {
        var bytes = try bytes(path)
        for index in block * 4096..<min(bytes.count, block * 4096 + 4096) {
            bytes[index] = UInt8(truncatingIfNeeded: index &* 7 &+ 1)
        }
        try FileAccess.write(bytes, to: path)
    }

    /// The names and contents of every file below the folder.
    func everything() throws -> [String: Data] {
        var found: [String: Data] = [:]
        for name in try FileManager.default.subpathsOfDirectory(atPath: folder) {
            found[name] = FileManager.default.contents(atPath: "\(folder)/\(name)")
        }
        return found
    }
}

/// How a run of the built `roost` ended.
struct RoostRun: CustomStringConvertible {
    var status: Int32
    var output: Data
    var errors: String

    var text: String { String(decoding: output, as: UTF8.self) }
    var description: String { "\(status), output: \(text.prefix(2000)), errors: \(errors.prefix(2000))" }

    func json<Value: Decodable>(_: Value.Type = Value.self) throws -> Value {
        try JSONDecoder().decode(Value.self, from: output)
    }
}

/// Runs the `roost` that was built beside the tests, with no daemon anywhere and nothing on standard input.
func roost(_ arguments: String...) throws -> RoostRun { try roost(arguments) }

func roost(_ arguments: [String]) throws -> RoostRun {
    let folder = NSTemporaryDirectory() + "/roost-run-\(String(UInt64.random(in: 0...UInt64.max), radix: 36))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let handles = try ["output", "errors"].map { name in
        try Data().write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
        return try FileHandle(forWritingTo: URL(fileURLWithPath: "\(folder)/\(name)"))
    }
    defer { for handle in handles { try? handle.close() } }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "\(binaries)/roost")
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(["ROOST_RUN_DIR": "\(folder)/none"]) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = handles[0]
    process.standardError = handles[1]
    try process.run()
    process.waitUntilExit()
    return RoostRun(
        status: process.terminationStatus,
        output: try Data(contentsOf: URL(fileURLWithPath: "\(folder)/output")),
        errors: try String(contentsOfFile: "\(folder)/errors", encoding: .utf8)
    )
}

private let binaries: String = {
    let environment = ProcessInfo.processInfo.environment["ROOST_BIN_DIR"]
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path
    return environment ?? "\(root)/.build/debug"
}()

/// What `roost file verify --output json` prints, as a script reads it.
struct VerifiedFile: Decodable {
    struct Finding: Decodable {
        var severity: String
        var structure: String
        var offset: Int?
        var detail: String
    }

    var path: String
    var form: String
    var bytes: Int
    var keys: Int?
    var secondCopy: String?
    var copyGeneration: Int?
    var isSound: Bool
    var findings: [Finding]
}

/// What `roost file repair --output json` prints.
struct RepairedFile: Decodable {
    struct Source: Decodable {
        var kind: String
        var generation: Int?
        var mayLoseChanges: Bool
    }

    var isSound: Bool
    var isRepaired: Bool
    var problems: [String]
    var copyProblems: [String]
    var sources: [Source]
    var chosen: Int?
    var keptAs: String?
}
