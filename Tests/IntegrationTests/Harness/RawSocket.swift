import Foundation
import Glibc

/// A Unix socket without any protocol: for malformed requests, and for QEMU's sockets while no roostd holds them.
final class RawSocket: Sendable {
    private let descriptor: Int32

    init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { throw Failure("\(path) is too long") }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { throw Failure("cannot connect to \(path): \(String(cString: strerror(errno)))") }
    }

    deinit { close(descriptor) }

    /// Sends until everything is sent, the other side has gone, or does not read any more.
    ///
    /// - Parameter untilAnswered: Whether an answer ends it too: a server need not read a request to its end.
    func send(_ text: String, untilAnswered: Bool = false) {
        var rest = Array(text.utf8)[...]
        let wanted = Int16(untilAnswered ? POLLOUT | POLLIN : POLLOUT)
        while !rest.isEmpty {
            var ready = pollfd(fd: descriptor, events: wanted, revents: 0)
            guard poll(&ready, 1, 10_000) > 0, ready.revents & Int16(POLLIN) == 0 else { return }
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// Reads until `wanted` has come, or to the end when it is nil.
    @discardableResult
    func read(until wanted: String?, within seconds: Double = 30) async throws -> String {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async { [self] in
                continuation.resume(with: Result { try readBlocking(until: wanted, within: seconds) })
            }
        }
    }

    private func readBlocking(until wanted: String?, within seconds: Double) throws -> String {
        let deadline = ContinuousClock.now + .seconds(seconds)
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while ContinuousClock.now < deadline {
            var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&ready, 1, 200) > 0 else { continue }
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count <= 0 {
                if wanted == nil { return String(decoding: bytes, as: UTF8.self) }
                break
            }
            bytes += buffer[..<count]
            let text = String(decoding: bytes, as: UTF8.self)
            if let wanted, text.contains(wanted) { return text }
        }
        throw Failure(
            "\(wanted ?? "the end") did not come; there was: \(String(decoding: bytes, as: UTF8.self).suffix(2000))"
        )
    }
}

/// An HTTP answer, read by hand.
struct RawAnswer: Sendable {
    var status: Int
    var body: String

    /// Sends an HTTP request exactly as written.
    static func to(_ socketPath: String, _ method: String, _ target: String, body: String = "") async throws
        -> RawAnswer
    {
        let socket = try RawSocket(socketPath)
        socket.send(
            "\(method) \(target) HTTP/1.1\r\nHost: roost\r\nConnection: close\r\nContent-Type: application/json\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)",
            untilAnswered: true
        )
        let text = try await socket.read(until: nil)
        guard let status = text.split(separator: " ").dropFirst().first.flatMap({ Int($0) }),
            let head = text.range(of: "\r\n\r\n")
        else { throw Failure("no HTTP answer: \(text)") }
        return RawAnswer(status: status, body: String(text[head.upperBound...]))
    }
}
