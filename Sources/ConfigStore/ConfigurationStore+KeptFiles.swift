import DurableFiles
import RoostPrimitives

/// Whether a file's bytes can be what they should be, as far as anybody can tell without its copy.
package typealias SoundnessCheck = @Sendable ([UInt8]) -> Bool

/// Second copies of UEFI variables and seeds; one caller at a time per file.
extension ConfigurationStore {
    /// Takes a file's present bytes into its second copy, durably; QEMU must not have it open.
    ///
    /// A file that cannot be read, or is not sound, does not take the place of a copy that is whole: the file is made anew
    /// as it was when it was kept last, and reported. A file that is missing has no copy afterwards.
    ///
    /// - Throws: `StoreError` `.corrupt` when the copy cannot help.
    package func keep(_ path: String, isSound: SoundnessCheck = { _ in true }) throws(StoreError) {
        let copyPath = directory.copy(of: path)
        guard files.exists(path) else {
            return try asStore { () throws(FileError) in
                if files.exists(copyPath) { try files.removeDurably(copyPath) }
            }
        }
        let found = try asStore { () throws(FileError) in
            try files.readableContents(of: path, limit: KeptCopy.largest)
        }
        var problems = Self.unreadable(found.unreadable)
        if problems.isEmpty, !isSound(found.bytes) { problems.append("its contents make no sense") }
        guard problems.isEmpty else {
            problems.append("what a guest has changed since the file was last kept is lost")
            return try restore(path, copy(of: path), problems)
        }
        try write(copyOf: found.bytes, path)
    }

    /// Compares a file that nobody uses with its second copy, and puts right what is damaged.
    ///
    /// A file that differs although nobody has changed it is damaged. One that another program has changed counts as it
    /// is, as far as it is sound. So does a file whose copy was last told that QEMU uses it, or that has none, as far as it is sound. A file that
    /// is made anew belongs to roostd's user.
    ///
    /// - Throws: `StoreError` `.corrupt` when both are damaged.
    package func checkKept(_ path: String, isSound: SoundnessCheck = { _ in true }) throws(StoreError) {
        guard files.exists(directory.copy(of: path)) else { return try keep(path, isSound: isSound) }
        if let copy = copy(of: path) {
            // In use: the guest has ended while no roostd ran.
            guard copy.state == .atRest else { return try keep(path, isSound: isSound) }
            return try compare(path, copy, isSound)
        }
        guard files.exists(path) else { return try restore(path, nil, ["the file is missing"]) }
        // Whatever it said, it can say again.
        try keep(path, isSound: isSound)
        note(.copyRefreshed, path, ["the second copy is damaged"])
    }

    /// The same, with what was found.
    package func scrubKept(
        _ path: String,
        isSound: SoundnessCheck = { _ in true }
    ) throws(StoreError) -> [StorageReport] {
        let (store, found) = noting()
        try store.checkKept(path, isSound: isSound)
        return found.reports
    }

    /// What can be read of a file's copy; nil when that is nothing.
    private func copy(of path: String) -> KeptCopy? {
        let read = try? files.readableContents(of: directory.copy(of: path), limit: 3 * KeptCopy.largest)
        return read.flatMap { KeptCopy($0.bytes) }
    }

    private func write(copyOf bytes: [UInt8], _ path: String) throws(StoreError) {
        try asStore { () throws(FileError) in
            // What the copy says must be true of what is on the disk.
            var file = try DurableFile(path, for: .reading(followingLinks: true), in: files)
            try file.sync(withTime: true)
            let copy = KeptCopy(of: bytes, changed: files.timeOfChange(of: path))
            try files.replace(directory.copy(of: path), with: copy.encoded())
        }
    }

    private static func unreadable(_ ranges: [Range<Int>]) -> [String] {
        ranges.map { "the device cannot read \($0.count) bytes at \(hexadecimal($0.lowerBound))" }
    }

    /// Notes that QEMU is about to change a file: its copy says nothing of it until the next ``keep(_:)``.
    package func beginUse(of path: String) throws(StoreError) {
        let copyPath = directory.copy(of: path)
        try asStore { () throws(FileError) in
            guard files.exists(path), files.exists(copyPath) else { return }
            let bytes = try files.contents(of: copyPath, limit: 3 * KeptCopy.largest)
            guard let header = KeptCopy.inUse(bytes) else { return try files.removeDurably(copyPath) }
            var file = try DurableFile(copyPath, for: .writing, in: files)
            try file.write(header, at: 0)
            try file.sync()
        }
    }

    /// Deletes a file with its second copy.
    package func removeKept(_ path: String) throws(StoreError) {
        try asStore { () throws(FileError) in
            for file in [directory.copy(of: path), path] where files.exists(file) { try files.removeDurably(file) }
        }
    }

    private func compare(_ path: String, _ copy: KeptCopy, _ isSound: SoundnessCheck) throws(StoreError) {
        let found: (bytes: [UInt8], unreadable: [Range<Int>])
        do throws(FileError) {
            found = try files.readableContents(of: path, limit: KeptCopy.largest)
        } catch  where error.code == .notFound {
            return try restore(path, copy, ["the file is missing"])
        } catch {
            throw StoreError(error)
        }
        let checksums = KeptCopy.checksums(of: found.bytes)
        var problems = Self.unreadable(found.unreadable)
        let isChanged = files.timeOfChange(of: path) != copy.changed
        if problems.isEmpty, checksums == copy.checksums, found.bytes.count == copy.size {
            // Touched at most. A copy whose contents are damaged is written anew while the file is known to be whole.
            if copy.contents == nil { note(.copyRefreshed, path, ["the second copy is damaged"]) }
            if copy.contents == nil || isChanged { try write(copyOf: found.bytes, path) }
            return
        }
        if isChanged {
            // Nobody means that: the device, or a program that went wrong.
            if problems.isEmpty, !isSound(found.bytes) { problems.append("its contents make no sense") }
            guard problems.isEmpty else {
                problems.append("what another program has changed since the file was last kept is lost")
                return try restore(path, copy, problems)
            }
            try write(copyOf: found.bytes, path)
            return note(.changeAccepted, path, [])
        }
        for block in 0..<max(checksums.count, copy.checksums.count) where problems.count < 8 {
            guard checksums.at(block) != copy.checksums.at(block) else { continue }
            problems.append("the block at \(hexadecimal(block * KeptCopy.blockSize)) differs")
        }
        try restore(path, copy, problems)
    }

    private func restore(_ path: String, _ copy: KeptCopy?, _ problems: [String]) throws(StoreError) {
        guard let contents = copy?.contents else {
            let remedy =
                Self.isSealed(path)
                ? "or delete both: no machine needs them, they are the way it was before an upgrade"
                : "or delete both, and UEFI variables are made anew at the next start, without boot entries and keys that "
                    + "the guest has added"
            throw StoreError(
                .corrupt,
                "\(path) is damaged, and its second copy cannot help: put a backup in its place and delete "
                    + "\(directory.copy(of: path)); \(remedy)",
                cause: problems.joined(separator: "; ")
            )
        }
        var kept: String?
        if files.exists(path) { kept = try mirrored(path).keepAside() }
        try asStore { () throws(FileError) in
            try files.replace(path, with: contents, mode: Self.isSealed(path) ? 0o400 : 0o600)
        }
        try write(copyOf: contents, path)
        note(.restored(keptAs: kept), path, problems)
    }

    /// Whether a file is a configuration as it was before an upgrade: nobody writes it.
    private static func isSealed(_ path: String) -> Bool {
        let name = path[(path.lastIndex(of: "/") ?? path.startIndex)...]
        return name.contains(".sealed-") || name.hasSuffix(".sealed")
    }

    private func note(_ action: StorageReport.Action, _ path: String, _ problems: [String]) {
        report(StorageReport(path: path, action: action, problems: problems, generation: 0))
    }
}

extension KeptCopy {
    /// The header of a copy with the state "in use"; nil when the copy's own is damaged.
    fileprivate static func inUse(_ bytes: [UInt8]) -> [UInt8]? {
        guard KeptCopy(bytes) != nil else { return nil }
        var header = Array(bytes.prefix(headerSize))
        header[16] = UInt8(truncatingIfNeeded: State.inUse.rawValue)
        header.replaceSubrange(8..<12, with: [0, 0, 0, 0])
        let checksum = CRC32.checksum(header)
        for byte in 0..<4 { header[8 + byte] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * byte)) }
        return header
    }
}

extension [UInt32] {
    fileprivate func at(_ index: Int) -> UInt32? { indices.contains(index) ? self[index] : nil }
}

private func hexadecimal(_ value: Int) -> String { "0x\(String(value, radix: 16, uppercase: true))" }
