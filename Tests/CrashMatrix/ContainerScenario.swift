import DurableFiles
import HyperVStorage

/// One HyperVStorage file on a simulated disk, without a second copy.
final class ContainerScenario {
    private let disk: SimulatedDisk
    private let explorer: Explorer
    private var maker: ModelMaker
    private var model: ModelKey
    private let path = "/state/file.vmcx"

    init(seed: UInt64, keys: Int, scale: Int, _ explorer: Explorer, faults: Faults.Planted? = nil) throws {
        maker = ModelMaker(random: MatrixRandom(seed: seed), scale: scale)
        self.explorer = explorer
        disk = SimulatedDisk(folders: ["/", "/state"])
        model = maker.tree(keys: keys)
        let made = try StorageFile.create(tree: KeyNode("", children: [model.stored]))
        try disk.replace(path, with: made.bytes)
        disk.faults.planted = faults
    }

    private static func open(_ disk: SimulatedDisk, _ path: String) throws -> StorageFile {
        try StorageFile(parsing: try disk.contents(of: path, limit: 1 << 28))
    }

    private func perform(_ actions: [StorageAction], on disk: SimulatedDisk) throws {
        var file = try DurableFile(path, for: .writing, in: disk)
        for action in actions {
            switch action {
            case .write(let offset, let bytes): try file.write(bytes, at: offset)
            case .sync: try file.sync()
            }
        }
    }

    private func expect(_ allowed: [ModelKey]) {
        let path = path
        explorer.expect { disk, _ in
            do {
                var file = try Self.open(disk, path)
                let matches = { (tree: KeyNode) in
                    tree.children.count == 1 && allowed.contains { $0.matches(tree.children[0]) }
                }
                guard matches(file.tree) else { return "the keys are of neither state" }
                let tree = file.tree
                var writer = try DurableFile(path, for: .writing, in: disk)
                for action in file.takeRecoveryActions() {
                    switch action {
                    case .write(let offset, let bytes): try writer.write(bytes, at: offset)
                    case .sync: try writer.sync()
                    }
                }
                let again = try Self.open(disk, path)
                guard again.tree == tree else { return "recovery changed the keys" }
                return again.recovery.isClean ? nil : "recovery left something to recover"
            } catch {
                return "\(error)"
            }
        }
    }

    /// Changes the file, with power cuts behind each step.
    func change(_ kind: ModelMaker.Change, settling: Bool) throws {
        var next = model
        maker.apply(kind, to: &next)
        try store(next, settling: settling)
    }

    /// Adds `count` values outside the tables, so that object tables are chained.
    func addLargeValues(_ count: Int) throws {
        var next = model
        for _ in 0..<count { next.children.append(ModelKey(name: "large", value: maker.large())) }
        try store(next, settling: false)
    }

    private func store(_ next: ModelKey, settling: Bool) throws {
        var file = try Self.open(disk, path)
        let actions = try file.commit(KeyNode("", children: [next.stored]))
        expect([model, next])
        disk.afterEachStep { [explorer] in explorer.explore($0) }
        try perform(actions, on: disk)
        model = next
        expect([next])
        explorer.explore(disk)
        if settling { try perform(file.settle(), on: disk) }
        disk.afterEachStep(nil)
    }
}
