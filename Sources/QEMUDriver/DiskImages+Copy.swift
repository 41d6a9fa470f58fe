extension DiskImages {
    /// Whether an error is QEMU's refusal to read a VHDX file whose log holds changes that are not in their place yet.
    package static func saysLogIsDirty(_ error: EngineError) -> Bool {
        error.cause?.contains(dirtyLogWords) == true
    }

    /// What QEMU says of such a file.
    static let dirtyLogWords = "contains a log that needs to be replayed"

    /// Copies a file as it is, sparsely and durably; nothing is left when this throws.
    package func copyFile(_ source: String, to path: String) async throws {
        try requireFile(source)
        guard let cp = Tool.find("cp") else { throw EngineError(.notFound, "cp is not installed") }
        try await makingFile(path) { temporary in
            let result = try await Tool(path: cp, user: Tool.ownUser).run(
                ["--sparse=always", "--reflink=auto", "--", source, temporary],
                deadline: .seconds(24 * 3600)
            )
            guard result.succeeded else { throw failure("cannot copy the file \(source) to \(path)", result) }
        }
    }

    /// Repairs a disk that is not in use, and puts the changes of its log in their place; durable when it returns.
    package func repair(_ path: String, format: String) async throws {
        try requireFile(path)
        let result = try await tool.run(
            ["check", "-q", "-r", "all", "-f", format, "--", path],
            deadline: .seconds(24 * 3600)
        )
        guard result.succeeded else { throw failure("cannot repair the disk \(path)", result) }
        try syncFile(path)
    }
}
