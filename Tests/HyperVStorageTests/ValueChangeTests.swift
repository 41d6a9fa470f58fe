import Testing

@testable import HyperVStorage

@Suite struct ValueChangeTests {
    @Test func valuesThatFitAreStoredJustAsAPlanOfTheWholeFileStoresThem() throws {
        var taken = 0
        for seed in 0..<60 as Range<UInt64> {
            var maker = TreeMaker(seed: seed)
            var (one, bytes) = try StorageFile.create(tree: maker.tree(keys: 40 + Int(seed) * 5))
            for round in 0..<6 {
                var next = one.tree
                edit(&next, modulus: 7 + Int(seed % 5), offset: round)
                var other = one
                let planned = try other.commitPlan(of: next, syncsLog: true)
                guard let actions = one.commitValues(of: next) else {
                    one = other
                    StorageAction.apply(planned, to: &bytes)
                    continue
                }
                taken += 1
                #expect(actions == planned)
                #expect(one.tree == other.tree)
                #expect(places(one.tree) == places(other.tree))
                #expect(one.image == other.image)
                StorageAction.apply(actions, to: &bytes)
                #expect(try StorageFile(parsing: bytes).tree == next)
            }
        }
        #expect(taken > 100)
    }

    @Test func otherChangesAreLeftToThePlan() throws {
        var tree = KeyNode("")
        tree.set("a/number", .int(1))
        tree.set("a/text", .string("four"))
        tree.set("a/large", .array(Array(repeating: 7, count: 4000)))
        var (file, _) = try StorageFile.create(tree: tree)
        let changes: [(inout KeyNode) -> Void] = [
            { $0.set("a/text", .string(String(repeating: "long", count: 40))) },
            { $0.set("a/large", .array(Array(repeating: 8, count: 4000))) },
            { $0.set("a/text", .string(String(repeating: "t", count: 1100))) },
            { $0.set("a/number", .uint(1)) },
            { $0.set("a/more", .int(2)) },
            { $0.remove("a/number") },
            { $0.children[0].children.swapAt(0, 1) },
            { $0.children[0].name = "b" },
            { $0.children[0].flags = 2 },
        ]
        for change in changes {
            var next = file.tree
            change(&next)
            #expect(file.commitValues(of: next) == nil)
        }
        var next = file.tree
        next.set("a/number", .int(2))
        #expect(file.commitValues(of: next) != nil)
    }

    @Test func aLogThatIsKeptElsewhereIsWrittenAgainAtOnce() throws {
        var tree = KeyNode("")
        tree.set("a/number", .int(1))
        var (file, bytes) = try StorageFile.create(tree: tree)
        for number in 2...5 as ClosedRange<Int64> {
            tree.set("a/number", .int(number))
            let actions = try file.commit(tree, keptElsewhere: number % 2 == 1)
            // The first finds an empty log.
            #expect(actions.count { $0 == .sync } == (number == 4 ? 2 : 1))
            StorageAction.apply(actions, to: &bytes)
            #expect(try StorageFile(parsing: bytes).tree == tree)
        }
        // What an earlier process left in the log is made safe first.
        var again = try StorageFile(parsing: bytes)
        tree.set("a/number", .int(6))
        #expect(try again.commit(tree, keptElsewhere: true).count { $0 == .sync } == 2)
    }

    @Test func aLogThatIsWrittenAtOnceIsWholeWithoutThePlacesOfTheOneBefore() throws {
        for seed in 0..<10 as Range<UInt64> {
            var maker = TreeMaker(seed: seed)
            var (file, disk) = try StorageFile.create(tree: maker.tree(keys: 120))
            var underWay: [StorageAction] = []
            for round in 0..<12 {
                var next = file.tree
                // Different tables from one change to the next, and now and then new keys.
                edit(&next.children[round % next.children.count], modulus: 1, offset: 0)
                if round % 5 == 4 { next.set("more/\(round)", .int(Int64(round))) }
                let actions = try file.commit(next, keptElsewhere: true)
                guard let last = actions.lastIndex(of: .sync) else { continue }
                let before = Array(actions[..<last])
                // The log has reached the disk whole, and nothing that an earlier sync has not seen to.
                var lost = disk
                if before.contains(.sync) { StorageAction.apply(underWay, to: &lost) }
                StorageAction.apply(before, to: &lost)
                #expect(try StorageFile(parsing: lost).tree == next)
                StorageAction.apply(underWay + before, to: &disk)
                underWay = Array(actions[(last + 1)...])
            }
        }
    }

    @Test func aLogWithoutRoomForTheOneBeforeIsWrittenBehindASync() throws {
        var tree = KeyNode("")
        let value = { (number: Int) in KeyValue.array(Array(repeating: UInt8(number), count: 900)) }
        for key in 0..<120 { tree.set("values/\(key)", value(1)) }
        var (file, disk) = try StorageFile.create(tree: tree)
        // Whole tables first, then only the beginning of each, which does not cover them.
        for (round, step) in [1, 4, 1].enumerated() {
            for key in stride(from: 0, to: 120, by: step) { tree.set("values/\(key)", value(round + 2)) }
            let actions = try file.commit(tree, keptElsewhere: true)
            #expect(actions.count { $0 == .sync } == (round == 1 ? 2 : 1))
            StorageAction.apply(actions, to: &disk)
            #expect(try StorageFile(parsing: disk).tree == tree)
        }
    }

    /// Changes some of the values, most of them without a change of size.
    private func edit(_ node: inout KeyNode, modulus: Int, offset: Int) {
        for index in node.children.indices {
            edit(&node.children[index], modulus: modulus, offset: offset + index)
        }
        guard offset % modulus == 0 else { return }
        switch node.value {
        case .int(let value): node.value = .int(value &+ 1)
        case .uint(let value): node.value = .uint(value &* 3 &+ 1)
        case .double(let bits): node.value = .double(bitPattern: bits ^ 1)
        case .bool(let value): node.value = .bool(!value)
        case .string(let text) where !text.isEmpty: node.value = .string(String(text.dropLast()))
        case .array(let bytes) where !bytes.isEmpty: node.value = .array(bytes.reversed())
        default: break
        }
    }

    private func places(_ node: KeyNode) -> [KeyOrigin?] { [node.origin] + node.children.flatMap(places) }
}

extension StorageFile {
    /// Carries out a change of values only; nil when it is another one.
    fileprivate mutating func commitValues(of next: KeyNode) -> [StorageAction]? {
        ValueChange(from: tree, to: next).flatMap { commitValues($0, to: next, syncsLog: true) }
    }
}
