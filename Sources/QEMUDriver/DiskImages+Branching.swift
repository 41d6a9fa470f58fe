import QMP

extension DiskImages {
    /// Makes an empty qcow2 file that stands on another file: what is not in it is read from there.
    ///
    /// Durable when it returns; nothing is left when it throws. The file below must not change from then on, but by
    /// ``merge(_:format:into:onProgress:)``.
    ///
    /// - Parameters:
    ///   - base: the file below, by its absolute path.
    ///   - baseFormat: its format as QEMU names it, which is noted so that nobody guesses it.
    ///   - temporary: the file's name until it is complete, for whoever deletes it after a crash.
    ///   - owner: whom it belongs to from the start.
    /// - Throws: `EngineError` `.exists` when there is a file of that name.
    package func createOverlay(
        _ path: String,
        over base: String,
        format baseFormat: String,
        temporary: String? = nil,
        owner: QEMUUser? = nil
    ) async throws {
        // qemu-img opens the base to learn its size, and would also take one that is missing.
        try requireFile(base)
        try await makingFile(path, temporary, owner: owner) { temporary in
            let result = try await tool.run([
                "create", "-q", "-f", "qcow2", "-F", baseFormat, "-b", Self.reference(to: base, from: path), "--",
                temporary,
            ])
            guard result.succeeded else { throw failure("cannot make the disk \(path) over \(base)", result) }
        }
    }

    /// Writes what a qcow2 file holds into the file that it stands on, durably; the guest is off.
    ///
    /// The upper file stays as it is, and reads the same before, in the middle of and behind it: it can be repeated. A
    /// lower file that is smaller grows to the upper one's size.
    ///
    /// - Parameter onProgress: Called with fractions from 0 to 1.
    package func merge(
        _ upper: String,
        into lower: String,
        onProgress: @escaping @Sendable (Double) -> Void = { _ in }
    ) async throws {
        try requireFile(upper)
        try requireFile(lower)
        // The file's header decides where it goes, so it must say the same.
        let below = try await info(upper, format: "qcow2").backingFile
        guard below == lower else {
            throw EngineError(
                .corrupt,
                "the disk \(upper) stands on \(below ?? "no other file"), not on \(lower), into which it was to be merged"
            )
        }
        let result = try await tool.run(
            ["commit", "-p", "-d", "-t", "writeback", "-f", "qcow2", "--", upper],
            deadline: .seconds(24 * 3600)
        ) { bytes in
            if let fraction = Self.fraction(in: bytes) { onProgress(fraction) }
        }
        guard result.succeeded else { throw failure("cannot merge the disk \(upper) into \(lower)", result) }
        try syncFile(lower)
    }

    /// Notes that a qcow2 file stands on another file from now on, which must hold the same as what it stood on.
    ///
    /// One write of the file's header; durable when it returns.
    package func changeBase(_ path: String, to base: String, format baseFormat: String) async throws {
        try requireFile(path)
        try requireFile(base)
        let result = try await tool.outliving.run([
            "rebase", "-u", "-q", "-f", "qcow2", "-F", baseFormat, "-b", Self.reference(to: base, from: path), "--",
            path,
        ])
        guard result.succeeded else { throw failure("cannot put the disk \(path) onto \(base)", result) }
        try syncFile(path)
    }

    /// Whether anything has been written into a qcow2 file since it was made.
    package func holdsData(_ path: String) async throws -> Bool {
        try requireFile(path)
        let result = try await tool.run(["map", "--output=json", "-f", "qcow2", "--", path], deadline: .seconds(600))
        guard result.succeeded, let value = try? JSONValue(parsing: result.output), let rows = value.arrayValue else {
            throw failure("cannot look into the disk \(path)", result)
        }
        // What stands in the file itself has depth 0, and is present there; QEMU before 6.1 does not say the latter.
        return rows.contains { $0["depth"]?.uint64Value == 0 && $0["present"]?.boolValue != false }
    }

    /// What is wrong with the structures of a qcow2 file that is not in use; nil when nothing is.
    ///
    /// Space that is reserved and not used is no damage.
    package func problem(with path: String, format: String) async throws -> String? {
        try requireFile(path)
        guard format == "qcow2" else { return nil }
        let result = try await tool.run(["check", "-f", format, "--", path], deadline: .seconds(24 * 3600))
        // 0 all is well, 2 corrupt, 3 leaked clusters only.
        switch result.end {
        case .exited(0), .exited(3): return nil
        default:
            let error = failure("cannot use the disk \(path)", result)
            return error.cause ?? error.message
        }
    }

    /// How a file names the one below it: by its name alone when both are in one folder, which can then be moved.
    package static func reference(to base: String, from path: String) -> String {
        let folder = path[...(path.lastIndex(of: "/") ?? path.startIndex)]
        guard base.hasPrefix(folder), !base.dropFirst(folder.count).contains("/") else { return base }
        // Without the dot, a name with a colon would be taken for a protocol.
        return "./\(base.dropFirst(folder.count))"
    }

    /// The fraction in "    (12.34/100%)", which qemu-img writes again and again with a carriage return.
    static func fraction(in bytes: [UInt8]) -> Double? {
        let text = String(decoding: bytes, as: UTF8.self)
        guard let open = text.lastIndex(of: "("), let slash = text[open...].firstIndex(of: "/") else { return nil }
        return Double(text[text.index(after: open)..<slash]).map { $0 / 100 }
    }
}
