import QEMUDriver

#if canImport(Glibc)
    import Glibc
#endif

/// A disk to be copied, perhaps into another format.
struct DiskCopy: Sendable {
    var source: String
    /// The source's format as QEMU names it.
    var format: String
    /// Whether the source is a VHDX whose log holds changes that are not in their place yet.
    var isDirty: Bool
    /// Whether the file is copied byte by byte.
    var keepsBytes: Bool
    var target: String
    /// The copy's format as QEMU names it.
    var targetFormat: String

    /// A copy of the source as it is, in which the log's changes are put in their place.
    private static func replayed(_ target: String) -> String { "\(target).replayed" }

    /// Every path that making the copy uses, for whoever deletes what is left of one that was cut off.
    static func paths(_ target: String) -> [String] {
        [replayed(target), "\(replayed(target)).partial", target, "\(target).partial"]
    }

    fileprivate var replayedPath: String { Self.replayed(target) }
}

extension DiskImages {
    /// Makes copies one after the other; their sources stay as they are.
    ///
    /// What is made of a copy that fails is left to its caller's journal.
    func make(_ copies: [DiskCopy], _ reporter: JobCenter.Reporter) async throws {
        let sizes = copies.map { max(1, allocatedBytes($0.source)) }
        let total = sizes.reduce(0.0, +)
        var done = 0.0
        let (progress, continuation) = AsyncStream.makeStream(of: Double.self, bufferingPolicy: .bufferingNewest(1))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { for await fraction in progress { await reporter.progress(fraction) } }
            defer { continuation.finish() }
            for (copy, size) in zip(copies, sizes) {
                try Task.checkCancellation()
                let before = done
                try await make(copy) { continuation.yield((before + $0 * size) / total) }
                done += size
                continuation.yield(done / total)
            }
        }
    }

    private func make(_ copy: DiskCopy, _ onProgress: @escaping @Sendable (Double) -> Void) async throws {
        if copy.keepsBytes {
            try await copyFile(copy.source, to: copy.target)
            if copy.isDirty { try await repair(copy.target, format: copy.format) }
            return
        }
        var source = copy.source
        if copy.isDirty {
            source = copy.replayedPath
            try await copyFile(copy.source, to: source)
            try await repair(source, format: copy.format)
        }
        try await convert(
            source,
            format: copy.format,
            to: copy.target,
            format: copy.targetFormat,
            onProgress: onProgress
        )
        if copy.isDirty { unlink(source) }
    }
}

/// The bytes that a file takes on its disk; 0 for one that is not there.
private func allocatedBytes(_ path: String) -> Double {
    var status = stat()
    return stat(path, &status) == 0 ? Double(status.st_blocks) * 512 : 0
}
