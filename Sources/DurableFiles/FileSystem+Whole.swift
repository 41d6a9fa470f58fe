/// Operations on whole files: each is on stable storage when it returns, and leaves the old or the new state when it
/// throws.
extension FileSystem {
    /// Reads a whole regular file of at most `limit` bytes.
    package func contents(
        of path: String,
        limit: Int,
        followingLinks: Bool = true
    ) throws(FileError) -> [UInt8] {
        let file = try DurableFile(path, for: .reading(followingLinks: followingLinks), in: self)
        let size = try file.size()
        guard size <= limit else {
            throw FileError(.unusable, "\(path) has \(size) bytes, more than the \(limit) allowed")
        }
        return try file.read(at: 0, count: size)
    }

    /// Reads a file that the device cannot read as a whole: what is unreadable is zero, and named by its range.
    package func readableContents(
        of path: String,
        limit: Int
    ) throws(FileError) -> (bytes: [UInt8], unreadable: [Range<Int>]) {
        let file = try DurableFile(path, for: .reading(followingLinks: true), in: self)
        let size = min(try file.size(), limit)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(size)
        var unreadable: [Range<Int>] = []
        while bytes.count < size {
            let start = bytes.count
            let count = min(4096, size - start)
            do {
                bytes += try file.read(at: UInt64(start), count: count)
            } catch  where error.code == .unreadable {
                if let last = unreadable.last, last.upperBound == start {
                    unreadable[unreadable.count - 1] = last.lowerBound..<start + count
                } else {
                    unreadable.append(start..<start + count)
                }
            }
            // A file that has become shorter reads as if it were zero there.
            bytes.append(contentsOf: repeatElement(0, count: start + count - bytes.count))
        }
        return (bytes, unreadable)
    }

    /// Makes or replaces a file as a whole: a temporary file of a new name, synced, renamed, and the folder synced.
    ///
    /// - Parameters:
    ///   - replacing: false makes an existing file an error.
    ///   - withTime: whether the time of its change is to be on stable storage, too.
    ///   - beforeRename: called with the path of the new file, complete and on stable storage, before it takes the name.
    package func replace(
        _ path: String,
        with bytes: [UInt8],
        mode: UInt32 = 0o600,
        replacing: Bool = true,
        withTime: Bool = false,
        beforeRename: (String) throws(FileError) -> Void = { (_) throws(FileError) in }
    ) throws(FileError) {
        if !replacing && exists(path) { throw FileError(.exists, "\(path) exists already") }
        let temporary = temporaryName(for: path)
        do throws(FileError) {
            try make(temporary, bytes, mode: mode, withTime: withTime)
            try beforeRename(temporary)
            try rename(temporary, to: path, replacing: replacing)
        } catch {
            // Best effort: a leftover of this name is deleted at the next start.
            _ = try? remove(temporary)
            throw error
        }
        try syncFolder(parentFolder(of: path))
    }

    /// Makes a file and syncs its bytes, not its name.
    package func make(_ path: String, _ bytes: [UInt8], mode: UInt32, withTime: Bool = false) throws(FileError) {
        var file = try DurableFile(path, for: .making(mode: mode), in: self)
        try file.write(bytes, at: 0)
        try file.sync(withTime: withTime)
    }

    /// Deletes a file when it exists.
    package func removeDurably(_ path: String) throws(FileError) {
        do {
            try remove(path)
        } catch  where error.code == .notFound {
            // An earlier call may have deleted it without getting as far as the sync.
            guard isFolder(parentFolder(of: path)) else { return }
        }
        try syncFolder(parentFolder(of: path))
    }

    /// Renames a file; both names must be in one file system.
    package func moveDurably(_ path: String, to target: String) throws(FileError) {
        try rename(path, to: target, replacing: true)
        let (from, to) = (parentFolder(of: path), parentFolder(of: target))
        try syncFolder(to)
        if from != to { try syncFolder(from) }
    }

    /// Makes a folder and those above it as far as they are missing.
    package func makeFolders(_ path: String, mode: UInt32) throws(FileError) {
        do {
            try makeFolder(path, mode: mode)
            return try syncFolder(parentFolder(of: path))
        } catch {
            switch error.code {
            case .exists:
                guard isFolder(path) else { throw FileError(.failed, "\(path) is not a folder") }
            case .notFound:
                let parent = parentFolder(of: path)
                guard parent != path else { throw error }
                try makeFolders(parent, mode: 0o755)
                try makeFolders(path, mode: mode)
            default: throw error
            }
        }
    }

    /// Deletes the temporary files that writers left which were cut off; nobody may be writing in the folder.
    package func removeLeftovers(in folder: String) throws(FileError) {
        for name in try names(in: folder) where isTemporaryName(name) {
            try remove("\(folder)/\(name)")
        }
    }
}

/// The folder that a path is in.
package func parentFolder(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
}

/// A name beside `path` that nobody else uses: `path`, 16 random hexadecimal digits, `.new`.
func temporaryName(for path: String) -> String {
    let digits = String(UInt64.random(in: 0...UInt64.max), radix: 16)
    return "\(path).\(String(repeating: "0", count: 16 - digits.utf8.count))\(digits).new"
}

/// Whether a file's name is one that ``temporaryName(for:)`` gives.
func isTemporaryName(_ name: String) -> Bool {
    guard name.hasSuffix(".new"), name.utf8.count > 21 else { return false }
    let digits = name.utf8.dropLast(4).suffix(17)
    return digits.first == UInt8(ascii: ".")
        && digits.dropFirst().allSatisfy { 0x30...0x39 ~= $0 || 0x61...0x66 ~= $0 }
}
