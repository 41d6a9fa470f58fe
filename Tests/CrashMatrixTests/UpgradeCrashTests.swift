import ConfigStore
@testable import CrashMatrix
import DurableFiles
import RoostPrimitives
import Testing
import VMConfiguration

/// Upgrades of the version, with the power cut behind each of their steps.
@Suite struct UpgradeCrashTests {
    @Test(arguments: [
        (ConfigurationVersion.v5_0, ConfigurationVersion.v8_0), (ConfigurationVersion.v6_0, ConfigurationVersion.v8_0),
    ]) func upgradeLeavesTheOldOrTheNewVersionWhole(from: ConfigurationVersion, to: ConfigurationVersion) throws {
        let upgrade = try Upgrade(from: from, to: to)
        let explorer = Explorer(.short, seed: 1)
        explorer.expect { disk, _ in upgrade.violation(on: disk, mayBeOld: true) }
        upgrade.disk.afterEachStep { explorer.explore($0) }
        try upgrade.run(on: upgrade.disk)
        upgrade.disk.afterEachStep(nil)
        explorer.expect { disk, _ in upgrade.violation(on: disk, mayBeOld: false) }
        explorer.explore(upgrade.disk)
        let tally = explorer.tally
        #expect(tally.tried > 20)
        #expect(tally.lost == 0, "\(tally.findings)")
    }
}

/// A machine on a simulated disk, and what an upgrade makes of it.
private struct Upgrade: Sendable {
    let directory = StateDirectory("/state")
    let disk: SimulatedDisk
    let old: VirtualMachineConfiguration
    let new: VirtualMachineConfiguration

    init(from: ConfigurationVersion, to: ConfigurationVersion) throws {
        disk = SimulatedDisk(
            folders: ["/", "/state", directory.virtualMachines, directory.copies, directory.snapshots, directory.cache]
        )
        var random = MatrixRandom(seed: 7)
        let store = Self.store(directory, disk)
        let made = try VirtualMachineConfiguration.new(NewVirtualMachine(name: "web", version: from), using: &random)
        let path = try store.create(made)
        old = try store.load(id: made.id, path: path)
        new = try old.converted(to: to).configuration
    }

    private static func store(_ directory: StateDirectory, _ disk: SimulatedDisk) -> ConfigurationStore {
        ConfigurationStore(directory: directory, supportedVersions: ConfigurationVersion.known, files: disk)
    }

    func run(on disk: SimulatedDisk) throws {
        let path = directory.configuration(old.id, old.version.fileFormat)
        _ = try Self.store(directory, disk).replace(id: old.id, path: path, version: old.version, with: new)
    }

    /// What is wrong with a disk after a power cut, once the store has been opened on it.
    func violation(on disk: SimulatedDisk, mayBeOld: Bool) -> String? {
        do {
            let version = try versionFound(on: disk)
            if version == new.version { return nil }
            guard mayBeOld else { return "a finished upgrade is gone" }
            try run(on: disk)
            return try versionFound(on: disk) == new.version ? nil : "a second upgrade did nothing"
        } catch {
            return "\(error)"
        }
    }

    /// The version of the one machine, which is whole.
    private func versionFound(on disk: SimulatedDisk) throws -> ConfigurationVersion {
        let store = Self.store(directory, disk)
        _ = try store.finishUpgrades()
        let found = try store.list()
        guard found.count == 1, found[0].id == old.id else { throw Violation(text: "found \(found)") }
        let configuration = try store.load(id: old.id, path: found[0].path)
        guard configuration.version != old.version else {
            guard configuration == old else { throw Violation(text: "the old version differs") }
            return old.version
        }
        guard configuration == new else { throw Violation(text: "the new version differs") }
        guard store.sealed(old.id).map(\.version) == [old.version] else { throw Violation(text: "no sealed file") }
        return new.version
    }
}

private struct Violation: Error, CustomStringConvertible {
    var text: String
    var description: String { text }
}
