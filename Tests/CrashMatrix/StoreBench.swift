import ConfigStore
import DurableFiles
import RoostPrimitives
import VMConfiguration

#if canImport(Glibc)
    import Glibc
#endif

/// Measures what a change costs, and what reading many configurations costs; prints a line of JSON for each, in
/// seconds and bytes.
struct StoreBench {
    let folder: String
    let machines: Int

    func run() -> Int32 {
        var template = Array("\(folder)/roost-bench-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template).map({ String(cString: $0) }) else { return 1 }
        defer { KillTest.clean(made) }
        let directory = StateDirectory("\(made)/state")
        let store = ConfigurationStore(directory: directory, supportedVersions: ConfigurationVersion.known)
        do {
            try directory.prepare()
            try commits(store, made)
            try listing(store)
            return 0
        } catch {
            say("\(error)", to: 2)
            return 1
        }
    }

    /// Rounds of everything in turn, so that what else the host does spreads evenly.
    private func commits(_ store: ConfigurationStore, _ folder: String) throws {
        let machine = try VirtualMachineConfiguration.new(NewVirtualMachine(name: "bench", version: .v8_0))
        let path = try store.create(machine)
        let bare = try BareJournal("\(folder)/bare", size: 4096 + 512)
        var (settled, following, twice) = ([Double](), [Double](), [Double]())
        for round in 0..<400 {
            try store.settle(path: path)
            settled.append(
                try time { _ = try store.update(id: machine.id, path: path) { $0.notes = "a \(round % 90)" } }
            )
            following.append(
                try time { _ = try store.update(id: machine.id, path: path) { $0.notes = "b \(round % 90)" } }
            )
            twice.append(try time { try bare.change(UInt8(truncatingIfNeeded: round)) })
        }
        let reading = try time {
            for _ in 0..<400 { _ = try store.load(id: machine.id, path: path) }
        }
        say(
            """
            {"idle": \(median(settled)), "behindAnother": \(median(following)), "bare": \(median(twice)), \
            "reading": \(reading / 400)}
            """
        )
        try store.remove(path: path)
    }

    private func listing(_ store: ConfigurationStore) throws {
        let template = try VirtualMachineConfiguration.new(NewVirtualMachine(name: "bench", version: .v8_0))
        for number in 0..<machines {
            var machine = template
            machine.id = GUID.random()
            machine.name = "machine \(number)"
            _ = try store.create(machine)
        }
        let before = (processorTime(), residentBytes())
        var found: [StoredMachine] = []
        let files = try store.list()
        found.reserveCapacity(files.count)
        for file in files { found.append(store.inspect(id: file.id, path: file.path)) }
        let after = (processorTime(), residentBytes())
        let broken = found.count { if case .broken = $0 { true } else { false } }
        say(
            """
            {"machines": \(found.count), "broken": \(broken), "processorTime": \(after.0 - before.0), \
            "bytesEach": \((after.1 - before.1) / max(found.count, 1))}
            """
        )
    }

    // MARK: - Measuring

    private func time(_ body: () throws -> Void) rethrows -> Double {
        let start = now()
        try body()
        return now() - start
    }

    private func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private func processorTime() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private func residentBytes() -> Int { pages("/proc/self/statm") * 4096 }

    /// The second number of a file of `/proc`, whose size is said to be 0.
    private func pages(_ path: String) -> Int {
        let descriptor = open(path, O_RDONLY)
        guard descriptor >= 0 else { return 0 }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = read(descriptor, &buffer, buffer.count)
        let words = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self).split(separator: " ")
        return words.count > 1 ? Int(words[1]) ?? 0 : 0
    }

    private func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
}

/// The least that a journal can do: the bytes of a change written beside their place and synced, then in it and synced.
private final class BareJournal {
    private let descriptor: Int32
    private let size: Int

    init(_ path: String, size: Int) throws {
        self.size = size
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw StoreError(.failed, "cannot make \(path)") }
        for block in 0..<16 { try write(0, at: block * 4096) }
    }

    deinit { close(descriptor) }

    func change(_ byte: UInt8) throws {
        try write(byte, at: 0)
        try write(byte, at: 32768)
    }

    private func write(_ byte: UInt8, at offset: Int) throws {
        let bytes = [UInt8](repeating: byte, count: size)
        guard pwrite(descriptor, bytes, size, off_t(offset)) == size, fdatasync(descriptor) == 0 else {
            throw StoreError(.failed, "cannot write")
        }
    }
}
