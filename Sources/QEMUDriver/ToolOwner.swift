#if canImport(Glibc)
    import Glibc
#endif

/// Marks the helper programs of a roostd, so that the next one finds those that outlived it.
///
/// PR_SET_PDEATHSIG is no way: it follows the thread that forked, and threads of a pool come and go.
enum ToolOwner {
    private static let variable = "ROOST_TOOL_OF"

    /// The marker of this process's tools, for their environment; none where the process cannot be named for sure.
    static let own: [String] = {
        guard let own = ProcessIdentity.current(processID: getpid()), let space = processSpace else { return [] }
        return ["\(variable)=\(own.processID):\(own.startTicks):\(space)"]
    }()

    /// The space in which this process's numbers count: a container has its own (pid_namespaces(7)).
    private static let processSpace: UInt? = {
        var status = stat()
        return stat("/proc/self/ns/pid", &status) == 0 ? UInt(status.st_ino) : nil
    }()

    /// Whether an environment (NUL-separated, as proc(5) gives it) is that of a tool whose roostd has ended.
    static func hasEnded(_ environment: [UInt8]) -> Bool {
        for entry in environment.split(separator: 0) {
            let text = String(decoding: entry, as: UTF8.self)
            guard text.hasPrefix("\(variable)=") else { continue }
            let fields = text.dropFirst(variable.utf8.count + 1).split(separator: ":")
            guard fields.count == 3, let number = Int32(fields[0]), let ticks = UInt64(fields[1]),
                let space = UInt(fields[2]), space == processSpace
            else { return false }
            return ProcessIdentity.current(processID: number)?.startTicks != ticks
        }
        return false
    }
}

extension Tool {
    /// The same program, left to itself when roostd ends.
    var outliving: Tool {
        var copy = self
        copy.environment.removeAll { ToolOwner.own.contains($0) }
        return copy
    }

    /// Ends the helper programs of roostds that have ended, and waits until they are gone; returns their process ids.
    ///
    /// What they were making is for the caller to delete afterwards. Blocks for some milliseconds.
    package static func endOrphans() -> [Int32] {
        guard let processes = opendir("/proc") else { return [] }
        defer { closedir(processes) }
        var ended: [SpawnedProcess] = []
        while let entry = readdir(processes) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            // Without the right to read the environment it is nobody whom we started.
            guard let number = Int32(name), let identity = ProcessIdentity.current(processID: number),
                let environment = readSmallFile("/proc/\(name)/environ"), ToolOwner.hasEnded(environment),
                let process = SpawnedProcess.find(identity)
            else { continue }
            // One that keeps a guest from staying frozen thaws it first.
            process.signal(SIGTERM)
            ended.append(process)
        }
        for process in ended where !process.hasEnded(within: 1000) {
            process.signal(SIGKILL)
            // A process that hangs in the kernel (a dead network file system) is not waited for.
            _ = process.hasEnded(within: 5000)
        }
        return ended.map(\.identity.processID)
    }
}

extension SpawnedProcess {
    /// Ends it, and waits until it is gone, some seconds at most; blocks.
    package func endAndWait() {
        signal(SIGKILL)
        _ = hasEnded(within: 5000)
    }

    /// Whether it ends within some milliseconds; blocks for as long.
    fileprivate func hasEnded(within milliseconds: Int32) -> Bool {
        var waited = pollfd(fd: pidfd.number, events: Int16(POLLIN), revents: 0)
        return poll(&waited, 1, milliseconds) == 1
    }
}
