import RoostAPI

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Thrown when the reader of a pipe has gone, as after `roost vm list | head -1`.
struct BrokenPipe: Error {}

/// One of the process's standard streams, written without buffering: one call for one text.
struct FileDescriptor: Sendable {
    let number: Int32

    static let standardInput = FileDescriptor(number: 0)
    static let standardOutput = FileDescriptor(number: 1)
    static let standardError = FileDescriptor(number: 2)

    /// Writes a whole text.
    func write(_ text: String) throws {
        var text = text
        try text.withUTF8 { try write(UnsafeRawBufferPointer($0)) }
    }

    /// Writes all bytes.
    func write(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try write($0) }
    }

    private func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = systemWrite(number, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if written >= 0 {
                rest = rest.dropFirst(written)
            } else if errno == EAGAIN {
                var poll = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
                _ = systemPoll(&poll, 1, -1)
            } else if errno == EPIPE {
                throw BrokenPipe()
            } else if errno != EINTR {
                throw APIError(.internal, "the output cannot be written", cause: String(cString: strerror(errno)))
            }
        }
    }

    /// Whether the stream is a terminal.
    var isTerminal: Bool { isatty(number) == 1 }

    /// The terminal's width in columns; nil when the stream is no terminal.
    var terminalWidth: Int? {
        guard isTerminal else { return nil }
        var size = winsize()
        guard ioctl(number, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}

private let systemWrite = write(_:_:_:)
private let systemPoll = poll(_:_:_:)
