import QEMUDriver

#if canImport(Glibc)
    import Glibc
#endif

/// A folder of its own for a test, deleted with its files at the end.
final class TemporaryFolder: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/roost-driver-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/nonexistent"
        // Passable for QEMU's user, as a run directory is.
        chmod(path, 0o711)
    }

    deinit { Self.remove(path) }

    private static func remove(_ path: String) {
        guard let handle = opendir(path) else { return }
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name != "." && name != ".." else { continue }
            if unlink("\(path)/\(name)") != 0 { remove("\(path)/\(name)") }
        }
        closedir(handle)
        rmdir(path)
    }

    /// Writes a file and returns its path.
    @discardableResult
    func write(_ name: String, _ text: String, mode: UInt32 = 0o644) -> String {
        let file = "\(path)/\(name)"
        let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        defer { close(descriptor) }
        _ = Array(text.utf8).withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        fchmod(descriptor, mode)
        return file
    }

    /// Writes a shell script that can be executed.
    ///
    /// A program of its own writes it: had this process the file open while another test forks, the child would hold it,
    /// and a file that is open for writing cannot be executed.
    func script(_ name: String, _ body: String) async throws -> String {
        let file = "\(path)/\(name)"
        _ = try await Tool(path: "/bin/sh", user: Tool.ownUser).run(
            ["-c", "cat > \"$0\" && chmod 755 \"$0\"", file],
            input: Array("#!/bin/sh\n\(body)\n".utf8)
        )
        return file
    }
}

/// The programs that tests need, as `make setup` installs them.
enum Host {
    static let qemu = "/usr/bin/qemu-system-x86_64"
    /// The user that QEMU runs as: roost-qemu for root, else the user of the tests.
    static func user() throws -> QEMUUser { try QEMUUser.resolve(name: "roost-qemu") }
}

/// The numbers of the descriptors that this process has open.
func openDescriptors() -> [String] {
    guard let handle = opendir("/proc/self/fd") else { return [] }
    defer { closedir(handle) }
    var links: [String] = []
    while let entry = readdir(handle) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
            pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        links.append(name)
    }
    return links
}
