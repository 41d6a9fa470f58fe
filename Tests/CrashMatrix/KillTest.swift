import ConfigStore
import DurableFiles
import RoostPrimitives
import VMConfiguration

#if canImport(Glibc)
    import Glibc
#endif

/// A process that changes a machine as fast as it can, and says so each time that a change has been acknowledged.
struct KillWriter {
    let folder: String

    /// Runs until it is killed.
    func run() -> Int32 {
        let directory = StateDirectory(folder)
        let store = ConfigurationStore(directory: directory, supportedVersions: ConfigurationVersion.known)
        do {
            guard let (id, path) = try store.list().first else { return 2 }
            var number = Int(try store.load(id: id, path: path).notes.prefix { $0 != " " }) ?? 0
            while true {
                number += 1
                let notes = KillTest.notes(number)
                _ = try store.update(id: id, path: path) { $0.notes = notes }
                var line = Array("\(number)\n".utf8)
                if write(1, &line, line.count) < 0 { return 0 }
                if number % 7 == 0 { try store.settle(path: path) }
            }
        } catch {
            say("\(error)", to: 2)
            return 3
        }
    }
}

/// Writes a line to a descriptor at once.
func say(_ line: String, to descriptor: Int32 = 1) {
    var bytes = Array("\(line)\n".utf8)[...]
    while !bytes.isEmpty {
        let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        guard count > 0 else { return }
        bytes = bytes.dropFirst(count)
    }
}

/// Kills a writing process at random times, and reads what it leaves.
struct KillTest {
    let folder: String
    let kills: Int

    /// The notes of a change: of changing length, and with its number in front.
    static func notes(_ number: Int) -> String {
        "\(number) " + String(repeating: "\(number) ", count: number &* 37 % 900)
    }

    func run() -> Tally {
        var tally = Tally()
        var template = Array("\(folder)/roost-kill-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template).map({ String(cString: $0) }) else { return failure("no folder \(folder)") }
        defer { Self.clean(made) }
        let directory = StateDirectory("\(made)/state")
        let store = ConfigurationStore(directory: directory, supportedVersions: ConfigurationVersion.known)
        do {
            try directory.prepare()
            let machine = try VirtualMachineConfiguration.new(NewVirtualMachine(name: "0", version: .v8_0))
            let path = try store.create(machine)
            var random = MatrixRandom(seed: 1)
            var last = 0
            for round in 0..<kills {
                let acknowledged = max(last, try writeUntilKilled(directory.root, microseconds: random.below(12000)))
                tally.tried += 1
                let notes = try store.load(id: machine.id, path: path).notes
                let found = Int(notes.prefix { $0 != " " }) ?? 0
                if found >= acknowledged, found <= acknowledged + 1, found == 0 || notes == Self.notes(found) {
                    tally.survived += 1
                } else {
                    tally.findings.append("kill \(round): acknowledged \(acknowledged), found \(found)")
                }
                last = found
            }
        } catch {
            tally.tried += 1
            tally.findings.append("\(error)")
        }
        return tally
    }

    private func failure(_ message: String) -> Tally {
        var tally = Tally()
        (tally.tried, tally.findings) = (1, [message])
        return tally
    }

    /// Starts a writer, kills it, and returns the last change that it said was durable; 0 for none.
    private func writeUntilKilled(_ state: String, microseconds: Int) throws -> Int {
        var pipes: [Int32] = [0, 0]
        guard pipe(&pipes) == 0 else { throw StoreError(.failed, "cannot make a pipe") }
        defer { close(pipes[0]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, pipes[1], 1)
        posix_spawn_file_actions_addclose(&actions, pipes[0])
        var process = pid_t()
        let words: [String] = ["crash-matrix", "--writer", state]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { (word: String) in strdup(word) } + [nil]
        defer { for argument in arguments { free(argument) } }
        let result = posix_spawn(&process, "/proc/self/exe", &actions, nil, &arguments, environ)
        close(pipes[1])
        guard result == 0 else { throw StoreError(.failed, "cannot start the writer") }
        // Wait for the first change, so that the kill falls into the writing.
        var output: [UInt8] = []
        readSome(pipes[0], &output)
        usleep(UInt32(microseconds))
        kill(process, SIGKILL)
        while readSome(pipes[0], &output) {}
        var status: Int32 = 0
        waitpid(process, &status, 0)
        return String(decoding: output, as: UTF8.self).split(separator: "\n").compactMap { Int($0) }.last ?? 0
    }

    @discardableResult
    private func readSome(_ descriptor: Int32, _ output: inout [UInt8]) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = read(descriptor, &buffer, buffer.count)
        guard count > 0 else { return false }
        output += buffer[..<count]
        return true
    }

    /// Deletes a folder with all that is in it.
    static func clean(_ path: String) {
        let files = KernelFileSystem()
        for name in (try? files.names(in: path)) ?? [] where unlink("\(path)/\(name)") != 0 { clean("\(path)/\(name)") }
        rmdir(path)
    }
}
