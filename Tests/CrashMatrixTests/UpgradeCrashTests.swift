import ConfigStore
@testable import CrashMatrix
import DurableFiles
import HyperVStorage
import RoostPrimitives
import Testing
import VMConfiguration

/// Upgrades of the version, with the power cut behind each of their steps.
@Suite struct UpgradeCrashTests {
    @Test(arguments: [(ConfigurationVersion.v5_0, false), (.v6_0, false), (.v6_0, true)])
    func upgradeLeavesTheOldOrTheNewVersionWhole(from: ConfigurationVersion, isSecond: Bool) throws {
        let upgrade = try Upgrade(from: from, to: .v8_0, isSecond: isSecond)
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
    /// What an earlier upgrade of the same machine has sealed.
    var sealedBefore: [UInt8]?
    /// The keys of what this upgrade seals.
    let sealedKeys: KeyNode?

    init(from: ConfigurationVersion, to: ConfigurationVersion, isSecond: Bool) throws {
        disk = SimulatedDisk(
            folders: ["/", "/state", directory.virtualMachines, directory.copies, directory.snapshots, directory.cache]
        )
        var random = MatrixRandom(seed: 7)
        let store = Self.store(directory, disk)
        let made = try VirtualMachineConfiguration.new(NewVirtualMachine(name: "web", version: from), using: &random)
        if isSecond {
            var earlier = made
            earlier.notes = "as it was at first"
            let first = try store.create(earlier)
            let path = try store.replace(
                id: made.id,
                path: first,
                version: from,
                with: store.load(id: made.id, path: first).converted(to: to).configuration
            )
            try store.remove(path: path)
            sealedBefore = try disk.contents(of: directory.sealed(made.id, from), limit: 1 << 20)
        }
        let path = try store.create(made)
        sealedKeys = Self.keys(disk, path)
        old = try store.load(id: made.id, path: path)
        new = try old.converted(to: to).configuration
    }

    private static func store(_ directory: StateDirectory, _ disk: SimulatedDisk) -> ConfigurationStore {
        ConfigurationStore(directory: directory, supportedVersions: ConfigurationVersion.known, files: disk)
    }

    /// The keys of a file but for its generation; nil when it cannot be read.
    private static func keys(_ disk: SimulatedDisk, _ path: String) -> KeyNode? {
        guard let bytes = try? disk.contents(of: path, limit: 1 << 20) else { return nil }
        var tree =
            path.contains(".xml")
            ? (try? ConfigurationXML.parse(bytes)).map { KeyNode("", children: [$0.root]) }
            : (try? StorageFile(parsing: bytes))?.tree
        tree?.remove("configuration/roost/generation")
        return tree
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
        if let sealedBefore {
            let all = try store.sealed(old.id)
            guard all.contains(where: { (try? disk.contents(of: $0.path, limit: 1 << 20)) == sealedBefore }) else {
                throw Violation(text: "what was sealed before is gone")
            }
            // Throws for one that is damaged.
            for item in all { _ = try store.scrubSealed(item) }
        }
        if configuration.version != old.version {
            let keys = try store.sealed(old.id).last.flatMap { Self.keys(disk, $0.path) }
            guard keys != nil, keys == sealedKeys else { throw Violation(text: "what was sealed differs") }
        }
        guard configuration.version != old.version else {
            guard configuration == old else { throw Violation(text: "the old version differs") }
            return old.version
        }
        guard configuration == new else { throw Violation(text: "the new version differs") }
        let sealed = try store.sealed(old.id)
        guard sealed.count == (sealedBefore == nil ? 1 : 2), sealed.allSatisfy({ $0.version == old.version }) else {
            throw Violation(text: "sealed are \(sealed.map(\.path))")
        }
        return new.version
    }
}

/// The host's own file, made anew from what is known, with the power cut behind each step.
@Suite struct HostRecordCrashTests {
    private static let directory = StateDirectory("/state")

    private static func store(_ disk: SimulatedDisk) -> ConfigurationStore {
        ConfigurationStore(directory: directory, supportedVersions: [], files: disk)
    }

    private static func violation(
        on disk: SimulatedDisk,
        _ known: HostRecord,
        _ wanted: HostRecord,
        isDone: Bool
    ) -> String? {
        let store = store(disk)
        do {
            do throws(StoreError) {
                let found = try store.hostRecord()
                if found == wanted { return nil }
                if isDone || found != known { return "found \(found)" }
            } catch {
                if isDone || error.code != .corrupt { return "\(error)" }
            }
            try store.save(wanted, known: known)
            return try store.hostRecord() == wanted ? nil : "the second attempt did nothing"
        } catch {
            return "\(error)"
        }
    }

    @Test func whatIsMadeAnewIsAsBeforeOrAsWantedAndCanBeMadeAnewAgain() throws {
        let directory = Self.directory
        let disk = SimulatedDisk(folders: ["/", "/state", directory.copies])
        var (known, wanted) = (HostRecord(), HostRecord())
        known.bootID = "known"
        wanted.bootID = "wanted"
        try Self.store(disk).save(known)
        for path in [directory.hostFile, directory.copy(of: directory.hostFile)] {
            disk.mutate(path) { bytes in for index in bytes.indices { bytes[index] ^= 0x5A } }
        }
        let explorer = Explorer(.short, seed: 1)
        let (from, to) = (known, wanted)
        explorer.expect { disk, _ in Self.violation(on: disk, from, to, isDone: false) }
        disk.afterEachStep { explorer.explore($0) }
        try Self.store(disk).save(to, known: from)
        disk.afterEachStep(nil)
        explorer.expect { disk, _ in Self.violation(on: disk, from, to, isDone: true) }
        explorer.explore(disk)
        let tally = explorer.tally
        #expect(tally.tried > 20)
        #expect(tally.lost == 0, "\(tally.findings)")
    }

    @Test func whatIsFoundBehindAFailedAttemptIsDurableInBothPlaces() throws {
        let directory = Self.directory
        var wanted = HostRecord()
        wanted.bootID = "wanted"
        var (found, failed) = (0, 0)
        for call in 1..<40 {
            let disk = SimulatedDisk(folders: ["/", "/state", directory.copies])
            disk.faults.fail(call: call, with: .ioError)
            if (try? Self.store(disk).save(wanted)) == nil { failed += 1 }
            _ = disk.faults.heal()
            guard try Self.store(disk).hostRecord() == wanted else { continue }
            found += 1
            let state = disk.state
            let cut = PowerCut(arrives: state.pending.map { _ in false })
            let after = SimulatedDisk.cut(state, cut, faults: Faults())
            #expect(after.exists(directory.hostFile) && after.exists(directory.copy(of: directory.hostFile)), "\(call)")
        }
        #expect(failed > 5 && found > 0)
    }
}

private struct Violation: Error, CustomStringConvertible {
    var text: String
    var description: String { text }
}
