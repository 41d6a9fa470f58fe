import CRoostLinux
import Dispatch
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// What a helper program left behind.
package struct ToolResult: Sendable {
    package var end: ProcessEnd
    package var output: [UInt8]
    /// What it wrote on standard error, cut at 64 KiB.
    package var errors: String

    package var succeeded: Bool { end == .exited(0) }
}

/// Runs helper programs (`qemu-img`, `ip`, …) without blocking a task, ended when the caller's task is cancelled.
package struct Tool: Sendable {
    package var path: String
    package var user: QEMUUser
    package var environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"] + ToolOwner.own

    package init(path: String, user: QEMUUser) {
        self.path = path
        self.user = user
    }

    /// roostd's own user, for tools that need its rights.
    package static let ownUser = QEMUUser(
        name: "",
        userID: geteuid(),
        groupID: getegid(),
        groups: [],
        isOther: false
    )

    /// The first of some programs that exists in the usual folders.
    package static func find(_ names: String...) -> String? {
        for name in names {
            for folder in ["/usr/local/bin", "/usr/bin", "/usr/sbin", "/bin", "/sbin"]
            where access("\(folder)/\(name)", X_OK) == 0 {
                return "\(folder)/\(name)"
            }
        }
        return nil
    }

    /// Runs the program to its end.
    ///
    /// - Parameters:
    ///   - input: What it reads on standard input.
    ///   - deadline: How long it may take; it is killed then.
    ///   - onOutput: Called with each piece of standard output as it comes; without it the output is collected,
    ///     at most 64 MiB of it.
    /// - Throws: `EngineError` `.notFound`, `.timeout`, `.cancelled`; a failing program is a result, not an error.
    package func run(
        _ arguments: [String],
        input: [UInt8] = [],
        deadline: Duration = .seconds(60),
        onOutput: (@Sendable ([UInt8]) -> Void)? = nil
    ) async throws -> ToolResult {
        var standardInput: [Int32] = [-1, -1]
        var standardOutput: [Int32] = [-1, -1]
        var standardError: [Int32] = [-1, -1]
        guard roost_pipe(&standardInput) == 0, roost_pipe(&standardOutput) == 0,
            roost_pipe(&standardError) == 0
        else {
            let cause = systemErrorText(errno)
            for number in standardInput + standardOutput + standardError where number >= 0 { close(number) }
            throw EngineError(.insufficientResources, "cannot make a pipe to \(path)", cause: cause)
        }
        let output = PipeCollector(descriptor: standardOutput[0], limit: 64 << 20, onData: onOutput)
        let errors = PipeCollector(descriptor: standardError[0], limit: 64 << 10, onData: nil)
        let request = SpawnRequest(
            path: path,
            arguments: arguments,
            environment: environment,
            directory: "/",
            descriptors: [standardInput[0], standardOutput[1], standardError[1]],
            user: user
        )
        let process: SpawnedProcess
        do {
            defer { for number in standardInput + [standardOutput[1], standardError[1]] { close(number) } }
            // Far below a pipe's capacity (64 KiB), so that writing before there is a reader does not block.
            precondition(input.count < 32768)
            _ = input.withUnsafeBytes { write(standardInput[1], $0.baseAddress, $0.count) }
            process = try spawn(request)
        }

        let timer = DispatchSource.makeTimerSource()
        let timedOut = Mutex(false)
        timer.setEventHandler {
            // One that has ended already is only waiting for somebody to notice.
            if process.signal(SIGKILL) { timedOut.withLock { $0 = true } }
        }
        timer.schedule(deadline: .now() + .milliseconds(Int(deadline / .milliseconds(1))))
        timer.activate()
        defer { timer.cancel() }
        let end = await withTaskCancellationHandler {
            // Killed on cancellation, so that this ends soon in any case.
            await process.end()
        } onCancel: {
            process.signal(SIGKILL)
        }
        if timedOut.withLock({ $0 }) {
            throw EngineError(.timeout, "\(path) did not finish within \(deadline)")
        }
        if Task.isCancelled { throw EngineError(.cancelled, "\(path) was cancelled") }
        let errorBytes = await errors.finish()
        return ToolResult(
            end: end,
            output: await output.finish(),
            errors: String(decoding: errorBytes, as: UTF8.self)
        )
    }
}

/// Collects what comes through a pipe until its other end is closed.
private final class PipeCollector: Sendable {
    private struct State {
        var bytes: [UInt8] = []
        var isFinished = false
        var waiter: CheckedContinuation<[UInt8], Never>?
    }

    private let state = Mutex(State())

    /// Takes the descriptor over.
    init(descriptor: Int32, limit: Int, onData: (@Sendable ([UInt8]) -> Void)?) {
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        _ = ReadWatch(OwnedDescriptor(descriptor)) { [self] descriptor in
            var buffer = [UInt8](repeating: 0, count: 65536)
            while true {
                let count = read(descriptor, &buffer, buffer.count)
                if count > 0 {
                    take(Array(buffer[0..<count]), limit: limit, onData)
                } else if count < 0 && errno == EINTR {
                    continue
                } else if count < 0 && errno == EAGAIN {
                    return .goOn
                } else {
                    finished()
                    return .end
                }
            }
        }
    }

    private func finished() {
        let (waiter, bytes) = state.withLock { state in
            state.isFinished = true
            return (state.waiter, state.bytes)
        }
        waiter?.resume(returning: bytes)
    }

    private func take(_ piece: [UInt8], limit: Int, _ onData: (@Sendable ([UInt8]) -> Void)?) {
        if let onData {
            onData(piece)
        } else {
            state.withLock { if $0.bytes.count < limit { $0.bytes += piece } }
        }
    }

    func finish() async -> [UInt8] {
        await withCheckedContinuation { continuation in
            let bytes: [UInt8]? = state.withLock { state in
                if state.isFinished { return state.bytes }
                state.waiter = continuation
                return nil
            }
            if let bytes { continuation.resume(returning: bytes) }
        }
    }
}
