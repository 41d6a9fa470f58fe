import RoostPrimitives
import Testing

@testable import VMConfiguration

@Suite struct BranchPlanTests {
    private func machine(_ paths: [String]) throws -> VirtualMachineConfiguration {
        var machine = try makeConfiguration(.two, .v8_0)
        for path in paths {
            let location = try #require(machine.nextFreeLocation(for: .hardDisk))
            try machine.addDrive(Drive(location: location, kind: .hardDisk, path: path))
        }
        return machine
    }

    private func plan(_ machine: VirtualMachineConfiguration) throws -> BranchPlan {
        var generator = SystemRandomNumberGenerator()
        return try BranchPlan(machine, using: &generator)
    }

    @Test func hardDisksBranchAndOtherDrivesDoNot() throws {
        var machine = try machine(["/disks/web.qcow2", "/disks/data.vhdx"])
        var settings = machine.roost
        settings.diskFormats = ["/disks/data.vhdx": .vhdx, "/disks/web.qcow2": .qcow2]
        machine.roost = settings
        let location = try #require(machine.nextFreeLocation(for: .dvd))
        try machine.addDrive(Drive(location: location, kind: .dvd, path: "/media/debian.iso"))
        let plan = try plan(machine)
        #expect(plan.branches.map(\.base) == ["/disks/web.qcow2", "/disks/data.vhdx"])
        #expect(plan.branches.map(\.baseFormat) == [.qcow2, .vhdx])

        let before = machine.drives
        try machine.branch(plan)
        #expect(machine.drives.prefix(2).map(\.path) == plan.branches.map(\.overlay))
        #expect(machine.drives.last == before.last && machine.drives.map(\.location) == before.map(\.location))
        #expect(
            machine.roost.diskFormats == Dictionary(uniqueKeysWithValues: plan.branches.map { ($0.overlay, .qcow2) })
        )
        // And back, to a file of which somebody else has to say the format.
        try machine.useDisks([plan.branches[0].overlay: "/disks/web.qcow2"])
        #expect(machine.drives[0] == before[0])
    }

    @Test(arguments: [
        ("/disks/web.qcow2", "/disks/web."), ("/disks/web.0123abcd.qcow2", "/disks/web."),
        ("/disks/.hidden", "/disks/.hidden."), ("/disks/a.b c.raw", "/disks/a.b c."), ("/web", "/web."),
        ("/disks/web.0123ABCD.img", "/disks/web.0123ABCD."), ("/disks/.0123abcd.qcow2", "/disks/.0123abcd."),
        ("/disks/" + String(repeating: "é", count: 125) + ".raw", "/disks/" + String(repeating: "é", count: 120) + "."),
    ])
    func newFileIsBesideTheOldOneAndNamedAfterTheFirst(base: String, stem: String) throws {
        let overlay = try plan(machine([base])).branches[0].overlay
        #expect(overlay.hasPrefix(stem) && overlay.hasSuffix(".qcow2"))
        let digits = overlay.dropFirst(stem.count).dropLast(".qcow2".count)
        #expect(digits.count == 8 && digits.allSatisfy { $0.isHexDigit && !$0.isUppercase })
        #expect(try #require(overlay.split(separator: "/").last).utf8.count <= 255)
    }

    @Test func deviceOfTheHostIsRefused() throws {
        let machine = try machine(["/dev/sdb"])
        let error = #expect(throws: ConfigurationError.self) { _ = try plan(machine) }
        #expect(error?.code == .invalidValue && error?.message.contains("/dev/sdb") == true)
        #expect(try plan(try makeConfiguration(.one, .v5_0)).branches.isEmpty)
    }

    @Test func onlyPathsWithEightDigitsAreOverlays() {
        for path in ["/a/web.0123abcd.qcow2", "/a/b.c.ffffffff.qcow2"] { #expect(BranchPlan.isOverlay(path)) }
        for path in [
            "/a/web.qcow2", "/a/web.0123abcd.img", "/a/web.0123ABCD.qcow2", "/a/web.0123abc.qcow2", "/a/qcow2",
        ] {
            #expect(!BranchPlan.isOverlay(path))
            #expect(BranchPlan.trunk(of: path) == path)
        }
        #expect(BranchPlan.trunk(of: "/a/b.c.ffffffff.qcow2") == "/a/b.c.qcow2")
    }
}
