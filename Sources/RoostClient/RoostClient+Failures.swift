import NIOCore
import NIOHTTP1
import RoostAPI

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

extension RoostClient {
    /// Why no connection could be made.
    func connectFailure(_ error: any Error) -> APIError {
        if error is CancellationError { return Self.cancelled }
        if let error = error as? IOError, error.errnoCode == EACCES || error.errnoCode == EPERM {
            return APIError(
                .permissionDenied,
                "the socket of roostd at \(socketPath) may not be opened: "
                    + "become a member of the group that owns it (usually roost), or ask as root",
                cause: String(describing: error)
            )
        }
        if error is SocketAddressError {
            return APIError(
                .invalidArgument,
                "the path of roostd's socket, \(socketPath), is longer than a Unix socket allows: "
                    + "name a run directory with a shorter path"
            )
        }
        return APIError(
            .unavailable,
            "roostd is not reachable at \(socketPath): is it running? "
                + "start it with \"systemctl start roostd\", or name its run directory with --run-dir",
            cause: (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? String(describing: error)
        )
    }

    /// Why an exchange failed after the connection was made.
    func failure(_ error: any Error, _ request: Request, _ deadline: Deadline) -> any Error {
        if let error = error as? CallerError { return error.error }
        if let error = error as? APIError { return error }
        if deadline.hasPassed {
            return APIError(.timeout, "roostd did not answer \(request.name) within \(deadline.seconds) seconds")
        }
        if error is CancellationError || Task.isCancelled { return Self.cancelled }
        if let error = error as? HTTPParserError, error != .invalidEOFState, error != .closedConnection {
            return APIError(
                .internal,
                "what answers at \(socketPath) does not speak HTTP: does the socket belong to roostd?",
                cause: String(describing: error)
            )
        }
        return APIError(
            .unavailable,
            "the connection to roostd ended before the answer to \(request.name) did: is roostd still running?",
            cause: error is ConnectionEnded ? nil : String(describing: error)
        )
    }

    private static var cancelled: APIError { APIError(.cancelled, "the request was cancelled") }
}

/// Carries an error of the caller's own closure through an exchange.
struct CallerError: Error {
    let error: any Error
}
