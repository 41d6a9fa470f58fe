import CRoostLinux
import QMP
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// What a disk file is.
package struct DiskImageInfo: Sendable, Hashable {
    /// The format as qemu-img names it.
    package var format: String
    package var virtualSizeBytes: UInt64
    package var actualSizeBytes: UInt64
    package var backingFile: String?
    /// The format that the file names for ``backingFile``; nil when it leaves that open.
    package var backingFormat: String?
    /// Another file that holds the data, or part of it (qcow2 `data-file`, VMDK extents).
    package var dataFile: String?
}

/// Makes, converts, resizes and inspects disk files through qemu-img.
///
/// It runs with roostd's own rights, because users name files that QEMU's user cannot reach.
package struct DiskImages: Sendable {
    let tool: Tool

    /// - Throws: `EngineError` `.notFound` when qemu-img is not installed.
    package init() throws(EngineError) {
        guard let path = Tool.find("qemu-img") else {
            throw EngineError(.notFound, "qemu-img is not installed (Debian: apt-get install qemu-utils)")
        }
        tool = Tool(path: path, user: Tool.ownUser)
    }

    /// Inspects a file that may be in use.
    ///
    /// - Parameter format: the format it is known to have; nil guesses it from bytes that a guest may have written.
    /// - Throws: `EngineError` `.notFound`, `.corrupt`.
    package func info(_ path: String, format: String? = nil) async throws -> DiskImageInfo {
        try requireFile(path)
        let known = format.map { ["-f", $0] } ?? []
        let result = try await tool.run(["info", "--output=json", "-U"] + known + ["--", path])
        guard result.succeeded, let value = try? JSONValue(parsing: result.output),
            let format = value["format"]?.stringValue, let size = value["virtual-size"]?.uint64Value
        else {
            var error = failure("cannot inspect the disk \(path)", result)
            // The file is there and may be read, so what qemu-img stumbles over is its contents.
            if error.code == .failed { error.code = .corrupt }
            throw error
        }
        return DiskImageInfo(
            format: format,
            virtualSizeBytes: size,
            actualSizeBytes: value["actual-size"]?.uint64Value ?? 0,
            backingFile: value["backing-filename"]?.stringValue.map { name in
                // QEMU leaves the dot of a name beside the file's own in the full one.
                // One with a colon names a protocol, unless it begins as a path does.
                let isPath = name.hasPrefix("/") || name.hasPrefix("./") || !name.contains(":")
                return isPath
                    ? resolvedBackingFile(name, of: path) : value["full-backing-filename"]?.stringValue ?? name
            },
            backingFormat: value["backing-filename-format"]?.stringValue,
            dataFile: value["format-specific"]?["data"]?["data-file"]?.stringValue
        )
    }

    /// Makes an empty disk, durably; nothing is left when this throws.
    ///
    /// - Parameters:
    ///   - temporary: the file's name until it is complete, for whoever deletes it after a crash.
    ///   - owner: whom it belongs to from the start.
    /// - Throws: `EngineError` `.exists` when there is a file of that name.
    package func create(
        _ path: String,
        sizeBytes: UInt64,
        format: String,
        temporary: String? = nil,
        owner: QEMUUser? = nil
    ) async throws {
        try await makingFile(path, temporary, owner: owner) { temporary in
            let result = try await tool.run(["create", "-q", "-f", format, "--", temporary, "\(sizeBytes)"])
            guard result.succeeded else { throw failure("cannot make the disk \(path)", result) }
        }
    }

    /// Copies a disk into another format, durably; the source stays as it is, and nothing is left when this throws.
    ///
    /// - Parameter onProgress: Called with fractions from 0 to 1.
    package func convert(
        _ source: String,
        format sourceFormat: String,
        to path: String,
        format: String,
        onProgress: @escaping @Sendable (Double) -> Void
    ) async throws {
        try requireFile(source)
        try await makingFile(path) { temporary in
            let result = try await tool.run(
                ["convert", "-p", "-t", "writeback", "-f", sourceFormat, "-O", format, "--", source, temporary],
                deadline: .seconds(24 * 3600)
            ) { bytes in
                if let fraction = Self.fraction(in: bytes) { onProgress(fraction) }
            }
            guard result.succeeded else { throw failure("cannot copy the disk \(source) to \(path)", result) }
        }
    }

    /// Gives a disk that is not in use another size.
    package func resize(_ path: String, format: String, sizeBytes: UInt64, shrink: Bool) async throws {
        try requireFile(path)
        // Nobody could undo what it does to a disk, so it runs to its end even when roostd does not.
        let result = try await tool.outliving.run(
            ["resize", "-q", "-f", format] + (shrink ? ["--shrink"] : []) + ["--", path, "\(sizeBytes)"],
            deadline: .seconds(600)
        )
        guard result.succeeded else { throw failure("cannot resize the disk \(path)", result) }
        try syncFile(path)
    }

    /// The name of a file while it is made, such as nobody else uses.
    package static func temporaryName(for path: String) -> String {
        "\(path).\(String(UInt64.random(in: 0...UInt64.max), radix: 36)).partial"
    }

    func makingFile(
        _ path: String,
        _ name: String? = nil,
        owner: QEMUUser? = nil,
        _ make: (_ temporary: String) async throws -> Void
    ) async throws {
        guard !fileExists(path) else { throw EngineError(.exists, "the file \(path) exists already") }
        let temporary = name ?? "\(path).partial"
        guard !fileExists(temporary) else { throw EngineError(.exists, "the file \(temporary) exists already") }
        do {
            try await make(temporary)
            try owner?.takeOwnership(of: temporary)
            try syncFile(temporary)
            let result = roost_rename_new(temporary, path)
            guard result != -EEXIST else { throw EngineError(.exists, "the file \(path) exists already") }
            guard result == 0 else {
                throw EngineError(.failed, "cannot rename \(temporary)", cause: systemErrorText(-result))
            }
            do {
                try syncFolder(of: path)
            } catch {
                unlink(path)
                throw error
            }
        } catch {
            unlink(temporary)
            throw error
        }
    }

    func requireFile(_ path: String) throws(EngineError) {
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw EngineError(.notFound, "there is no disk \(path)", cause: systemErrorText(errno))
        }
        guard status.st_mode & S_IFMT == S_IFREG || status.st_mode & S_IFMT == S_IFBLK else {
            throw EngineError(.invalidArgument, "\(path) is neither a file nor a block device")
        }
    }

    func failure(_ message: String, _ result: ToolResult) -> EngineError {
        let lines = result.errors.split(separator: "\n").map(String.init)
        // Of this message the last line is the remedy.
        let words = lines.first { $0.contains(Self.dirtyLogWords) } ?? lines.last ?? "\(result.end)"
        let code: EngineError.Code =
            words.contains("No space left")
            ? .insufficientResources
            : words.contains("Failed to get") && words.contains("lock")
                ? .busy
                : words.contains("Permission denied")
                    ? .permissionDenied
                    : words.contains("No such file")
                        ? .notFound
                        : words.contains("too large") || words.contains("too big")
                            ? .invalidArgument
                            : words.contains("not in") && words.contains("format") ? .corrupt : .failed
        return EngineError(code, message, cause: words)
    }
}
