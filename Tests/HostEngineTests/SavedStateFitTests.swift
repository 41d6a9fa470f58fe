import ConfigStore
import QEMUDriver
import RoostPrimitives
import Testing
import VMConfiguration

@testable import HostEngine

@Suite struct SavedStateFitTests {
    private let fit = SavedStateFit(
        machine: .random(),
        machineType: "pc-q35-7.2",
        processorModel: "qemu64",
        accelerator: "tcg",
        memoryMiB: 512,
        processors: 2,
        qemu: QEMUVersion(7, 2, 22)
    )

    private var info: SavedStateInfo {
        var info = SavedStateInfo(machine: fit.machine, created: 0)
        (info.machineType, info.processorModel, info.accelerator) = ("pc-q35-7.2", "qemu64", "tcg")
        (info.memoryMiB, info.processors, info.qemuVersion) = (512, 2, "7.2.22")
        return info
    }

    @Test(arguments: [
        (size: UInt64(7), changed: Int64(5_000_000_123), isKnown: true),
        // A program that keeps whole seconds.
        (7, 5_000_000_000, true), (7, 5_000_000_124, false), (7, 6_000_000_000, false), (8, 5_000_000_123, false),
    ])
    func diskIsKnownByItsSizeAndItsTime(size: UInt64, changed: Int64, isKnown: Bool) {
        let disk = CheckpointRecord.Disk(path: "/disk", sizeInBytes: 7, changed: 5_000_000_123)
        #expect(disk.isAsKnown((size, changed)) == isKnown)
        #expect(!disk.isAsKnown(nil))
    }

    @Test func stateOfThisMachineAndOfAnOlderQEMUFits() {
        #expect(fit.problem(with: info) == nil)
        var older = info
        older.qemuVersion = "5.2.0"
        #expect(fit.problem(with: older) == nil)
        // Nobody knows better than QEMU itself.
        older.qemuVersion = "unknown"
        #expect(fit.problem(with: older) == nil)
    }

    @Test func featuresThatTheGuestHadAreNamedWhenTheHostLacksThem() {
        var info = info
        info.missingFeatures = ["pcid", "invpcid"]
        #expect(SavedStateFit.lacking(info, ["avx2", "invpcid", "pcid", "rdseed"]) == ["avx2", "rdseed"])
        // One that it did without may be there.
        #expect(SavedStateFit.lacking(info, ["pcid"]).isEmpty)
        #expect(SavedStateFit.lacking(info, nil).isEmpty)
        info.missingFeatures = nil
        #expect(SavedStateFit.lacking(info, ["avx2"]).isEmpty)
    }

    typealias Change = @Sendable (inout SavedStateInfo) -> Void

    static let changes: [(String, Change)] = [
        ("virtual machine", { $0.machine = .random() }),
        ("virtual hardware pc-q35-5.2", { $0.machineType = "pc-q35-5.2" }),
        ("processor model Haswell, and this is qemu64", { $0.processorModel = "Haswell" }),
        ("accelerator kvm", { $0.accelerator = "kvm" }),
        ("memory in MiB 1024, and this is 512", { $0.memoryMiB = 1024 }),
        ("number of processors 4", { $0.processors = 4 }),
        ("QEMU 10.0.2 or newer, and this host has 7.2.22", { $0.qemuVersion = "10.0.2" }),
    ]

    @Test(arguments: changes) func whatDiffersIsNamed(words: String, change: Change) {
        var other = info
        change(&other)
        #expect(fit.problem(with: other)?.hasPrefix(words) == true, "\(fit.problem(with: other) ?? "fits")")
    }
}
