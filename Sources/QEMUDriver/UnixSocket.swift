#if canImport(Glibc)
    import Glibc
#endif

/// The longest path that a Unix socket may have, in bytes: NIO, which connects to them, takes 4 fewer than Linux.
package let unixSocketPathMaximum = 103

/// Binds and listens on a Unix socket that only its owner can connect to, replacing what is at the path.
///
/// - Throws: `EngineError` `.invalidArgument` for a path that is too long.
///
/// - Parameter inOwnFolder: whether nobody else can put something at the path meanwhile; else roostd's umask has to do.
package func listenOnUnixSocket(
    _ path: String,
    backlog: Int32 = 4,
    inOwnFolder: Bool = true
) throws(EngineError) -> OwnedDescriptor {
    guard path.utf8.count <= unixSocketPathMaximum else {
        throw EngineError(
            .invalidArgument,
            "the socket path \(path) has \(path.utf8.count) bytes, more than the \(unixSocketPathMaximum) that a socket "
                + "may have: choose a shorter --run-dir"
        )
    }
    let number = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard number >= 0 else { throw EngineError(.failed, "cannot make a socket", cause: systemErrorText(errno)) }
    let owned = OwnedDescriptor(number)
    unlink(path)
    let bound = withUnixAddress(path) { bind(number, $0, $1) }
    guard bound == 0, !inOwnFolder || chmod(path, 0o600) == 0, listen(number, backlog) == 0 else {
        throw EngineError(.failed, "cannot listen on \(path)", cause: systemErrorText(errno))
    }
    return owned
}

/// Gives `body` the address of a Unix socket, whose path is short enough.
func withUnixAddress(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
}
