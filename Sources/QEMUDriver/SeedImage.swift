#if canImport(Glibc)
    import Glibc
#endif

/// Makes the image from which cloud-init reads a machine's first settings (NoCloud: an ISO 9660 volume `cidata`).
package enum SeedImage {
    /// The largest user-data text, in bytes.
    package static let userDataLimit = 1 << 20

    /// Writes the image; nothing is left when this throws.
    ///
    /// - Parameters:
    ///   - instanceID: cloud-init runs its first-boot work once for each value.
    ///   - folder: A folder for temporary files.
    package static func make(
        _ path: String,
        userData: String,
        instanceID: String,
        hostName: String,
        folder: String
    ) async throws {
        guard userData.utf8.count <= userDataLimit else {
            throw EngineError(.invalidArgument, "the cloud-init user-data is larger than \(userDataLimit) bytes")
        }
        guard let program = Tool.find("genisoimage", "xorrisofs", "mkisofs") else {
            throw EngineError(
                .notFound,
                "cloud-init seeds need genisoimage or xorriso (Debian: apt-get install genisoimage)"
            )
        }
        let staging = "\(folder)/seed-\(instanceID)"
        let user = "\(staging)/user-data"
        let meta = "\(staging)/meta-data"
        defer {
            unlink(user)
            unlink(meta)
            rmdir(staging)
        }
        guard mkdir(staging, 0o700) == 0 || errno == EEXIST else {
            throw EngineError(.failed, "cannot make the folder \(staging)", cause: systemErrorText(errno))
        }
        try write(userData, to: user)
        try write("instance-id: \(instanceID)\nlocal-hostname: \(hostName)\n", to: meta)
        let temporary = "\(path).partial"
        let result = try await Tool(path: program, user: Tool.ownUser).run(
            ["-quiet", "-output", temporary, "-volid", "cidata", "-joliet", "-rock", user, meta])
        do throws(EngineError) {
            guard result.succeeded else { throw EngineError(.failed, "the program failed", cause: result.errors) }
            try syncFile(temporary)
            guard rename(temporary, path) == 0 else {
                throw EngineError(.failed, "cannot rename \(temporary)", cause: systemErrorText(errno))
            }
            try syncFolder(of: path)
        } catch {
            unlink(temporary)
            throw EngineError(error.code, "cannot make the cloud-init seed \(path)", cause: error.description)
        }
    }

    /// Deletes the temporary files that a roostd left which was killed while it made a seed.
    package static func sweep(folder: String) {
        guard let entries = opendir(folder) else { return }
        defer { closedir(entries) }
        while let entry = readdir(entries) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name.hasPrefix("seed-") else { continue }
            unlink("\(folder)/\(name)/user-data")
            unlink("\(folder)/\(name)/meta-data")
            rmdir("\(folder)/\(name)")
        }
    }

    /// A host name made from a machine's name: letters, digits and hyphens, at most 63 of them.
    package static func hostName(_ name: String) -> String {
        let characters = name.lowercased().unicodeScalars.map { scalar -> Character in
            let isKept = ("a"..."z").contains(scalar) || ("0"..."9").contains(scalar)
            return isKept ? Character(scalar) : "-"
        }
        let trimmed = String(characters.prefix(63)).drop { $0 == "-" }
        var result = String(trimmed)
        while result.hasSuffix("-") { result.removeLast() }
        return result.isEmpty ? "vm" : result
    }

    private static func write(_ text: String, to path: String) throws(EngineError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw EngineError(.failed, "cannot write \(path)", cause: systemErrorText(errno))
        }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        guard count == bytes.count else {
            throw EngineError(.failed, "cannot write \(path)", cause: systemErrorText(errno))
        }
    }
}
