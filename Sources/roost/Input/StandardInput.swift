import Dispatch
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Reads a descriptor chunk by chunk, off the threads that tasks share, and gives up at once when cancelled.
///
/// One reader at a time; standard input itself is never made non-blocking, as other processes share it.
final class StandardInput: Sendable {
    private let descriptor: Int32
    private let wakeUp: (read: Int32, write: Int32)
    private let queue = DispatchQueue(label: "roost.input")

    init(descriptor: Int32 = STDIN_FILENO) {
        var pipe: [Int32] = [-1, -1]
        _ = systemPipe(&pipe)
        wakeUp = (pipe[0], pipe[1])
        self.descriptor = descriptor
    }

    deinit {
        close(wakeUp.read)
        close(wakeUp.write)
    }

    /// The next bytes; nil at the end of the input, when it cannot be read, and when the task is cancelled.
    func next() async -> [UInt8]? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                queue.async { continuation.resume(returning: self.read()) }
            }
        } onCancel: {
            _ = systemWrite(wakeUp.write, [0], 1)
        }
    }

    private func read() -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            var polls = [
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wakeUp.read, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&polls, 2, -1) >= 0 || errno == EINTR else { return nil }
            if polls[1].revents != 0 { return nil }
            guard polls[0].revents != 0 else { continue }
            let count = systemRead(descriptor, &buffer, buffer.count)
            if count > 0 { return Array(buffer[..<count]) }
            guard count < 0, errno == EINTR || errno == EAGAIN else { return nil }
        }
    }
}

private let systemRead = read(_:_:_:)
private let systemWrite = write(_:_:_:)
private let systemPipe = pipe(_:)
