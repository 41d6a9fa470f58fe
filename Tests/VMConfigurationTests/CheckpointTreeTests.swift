import HyperVStorage
import RoostPrimitives
import Testing

@testable import VMConfiguration

@Suite struct CheckpointTreeTests {
    private func id(_ number: UInt8) -> GUID {
        GUID("00000000-0000-0000-0000-0000000000\(number < 16 ? "0" : "")\(String(number, radix: 16))") ?? .zero
    }

    private func place(_ number: UInt8, _ parent: UInt8?, at created: Int64) -> CheckpointTree.Place {
        CheckpointTree.Place(id: id(number), parent: parent.map(id), created: created)
    }

    @Test func rowsFollowTheirParentsInTheOrderOfTime() {
        let tree = CheckpointTree([
            place(4, 1, at: 40), place(1, nil, at: 10), place(3, 2, at: 30), place(2, 1, at: 20), place(5, nil, at: 50),
        ])
        #expect(tree.rows.map(\.id) == [1, 2, 3, 4, 5].map(id))
        #expect(tree.rows.map(\.depth) == [0, 1, 2, 1, 0])
        #expect(tree.parent(of: id(3)) == id(2))
        #expect(tree.children(of: id(1)) == [id(2), id(4)])
        #expect(tree.subtree(id(1)).last == id(1))
        #expect(Set(tree.subtree(id(1))) == Set([1, 2, 3, 4].map(id)))
    }

    @Test func missingParentCountsAsNone() {
        let tree = CheckpointTree([place(2, 1, at: 20), place(3, 2, at: 30)])
        #expect(tree.rows == [.init(id: id(2), depth: 0), .init(id: id(3), depth: 1)])
    }

    @Test(arguments: [1, 2, 5] as [UInt8])
    func circleIsCut(length: UInt8) {
        let circle = (1...length).map { place($0, $0 == 1 ? length : $0 - 1, at: Int64($0)) }
        let tree = CheckpointTree(circle + [place(9, 1, at: 9)])
        #expect(Set(tree.rows.map(\.id)) == Set((1...length).map(id) + [id(9)]))
        #expect(tree.rows.count == Int(length) + 1)
    }

    @Test func recordIsKeptInTheConfiguration() throws {
        var configuration = try VirtualMachineConfiguration.new(NewVirtualMachine(name: "web", version: .v8_0))
        let before = configuration.root
        #expect(configuration.checkpoint == nil && configuration.currentCheckpoint == nil)
        var receipt = CheckpointReceipt()
        receipt.consistency = .fileSystem
        receipt.reason = "the agent has no hooks"
        receipt.fileSystems = [
            .init(mountPoint: "/", type: "ext4"), .init(mountPoint: "/boot", type: "vfat", skipped: "x"),
        ]
        receipt.lease = .guestTimer
        receipt.freezeInMicroseconds = 31_000
        receipt.transactionInMicroseconds = 900
        receipt.agentVersion = "7.2.0"
        receipt.hasVariables = true
        var record = CheckpointRecord(
            machine: id(1),
            parent: id(2),
            name: "before / the update ü",
            kind: .production,
            created: 1_700_000_000,
            receipt: receipt
        )
        record.disks = [.init(path: "/a b.qcow2", sizeInBytes: 1 << 40, changed: -1)]
        configuration.checkpoint = record
        configuration.currentCheckpoint = id(3)
        let (file, bytes) = try StorageFile.create(tree: KeyNode("", children: [configuration.root]))
        #expect(try StorageFile(parsing: bytes).tree == file.tree)
        var read = try VirtualMachineConfiguration(root: try #require(file.tree["configuration"]))
        #expect(read.checkpoint == record)
        #expect(read.currentCheckpoint == id(3))
        // A second record takes the place of the first.
        record.parent = nil
        record.disks = []
        record.receipt = CheckpointReceipt()
        read.checkpoint = record
        #expect(read.checkpoint == record)
        read.checkpoint = nil
        read.currentCheckpoint = nil
        #expect(read.checkpoint == nil && read.currentCheckpoint == nil)
        var plain = before
        var rest = read.root
        for path in ["roost"] where rest[path]?.children.isEmpty == true { rest.remove(path) }
        for path in ["roost"] where plain[path]?.children.isEmpty == true { plain.remove(path) }
        #expect(rest.children == plain.children)
    }
}
