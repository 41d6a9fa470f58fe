/// An open file with whole reads and writes, which is not trusted any more once a sync of it has failed.
///
/// The kernel reports a failed sync once, and then takes the lost bytes for stored: syncing again would succeed and
/// mean nothing. So after one failure each further write and sync of the handle fails with `notDurable`, and its owner
/// has to write the contents to another file.
package struct DurableFile: ~Copyable {
    private let system: any FileSystem
    private let number: FileNumber
    /// Where the file was when it was opened.
    package let path: String
    /// Whether no sync of this handle has failed.
    package private(set) var isTrusted = true

    /// Opens a file; it is closed with the value.
    package init(_ path: String, for opening: FileOpening, in system: any FileSystem) throws(FileError) {
        self.system = system
        self.path = path
        number = try system.open(path, for: opening)
    }

    deinit { system.close(number) }

    /// The size in bytes.
    package func size() throws(FileError) -> Int { try system.size(of: number, path: path) }

    /// Reads `count` bytes, fewer where the file ends before.
    package func read(at offset: UInt64, count: Int) throws(FileError) -> [UInt8] {
        var result: Result<Void, FileError> = .success(())
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, done in
            result = fill(UnsafeMutableRawBufferPointer(buffer), at: offset, &done)
        }
        do { try result.get() } catch { throw about(error, "cannot read \(path)") }
        return bytes
    }

    /// Whether a file of at most `limit` bytes holds what is looked for; false for one that cannot be read.
    package func holds(_ isWanted: ([UInt8]) -> Bool, limit: Int) -> Bool {
        guard let size = try? size(), size <= limit, let bytes = try? read(at: 0, count: size) else { return false }
        return isWanted(bytes)
    }

    private func fill(
        _ buffer: UnsafeMutableRawBufferPointer,
        at offset: UInt64,
        _ done: inout Int
    ) -> Result<Void, FileError> {
        do throws(FileError) {
            while done < buffer.count {
                let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
                let count = try system.read(number, at: offset + UInt64(done), into: rest)
                if count == 0 { break }
                done += count
            }
            return .success(())
        } catch {
            return .failure(error)
        }
    }

    /// Writes all bytes.
    package mutating func write(_ bytes: [UInt8], at offset: UInt64) throws(FileError) {
        guard isTrusted else { throw distrust() }
        var done = 0
        while done < bytes.count {
            let result = bytes.withUnsafeBytes { buffer -> Result<Int, FileError> in
                let rest = UnsafeRawBufferPointer(rebasing: buffer[done...])
                do throws(FileError) {
                    return .success(try system.write(rest, to: number, at: offset + UInt64(done)))
                } catch {
                    return .failure(error)
                }
            }
            do { done += try result.get() } catch { throw about(error, "cannot write \(path)") }
        }
    }

    /// Lets the device begin with what the next sync will wait for.
    package func startWriting() { system.startWriting(number) }

    /// Waits until everything written is on stable storage.
    ///
    /// - Parameter withTime: whether the time of the last change is to be there too.
    /// - Throws: `FileError` `.notDurable` when that is not so, now and at each further call.
    package mutating func sync(withTime: Bool = false) throws(FileError) {
        guard isTrusted else { throw distrust() }
        do {
            if withTime { try system.syncWithTime(number) } else { try system.sync(number) }
        } catch {
            isTrusted = false
            throw FileError(.notDurable, "cannot sync \(path)", cause: error.cause)
        }
    }

    private func distrust() -> FileError {
        FileError(.notDurable, "\(path) is not written any more, as a sync of it has failed")
    }

    private func about(_ error: FileError, _ message: String) -> FileError {
        FileError(error.code, message, cause: error.cause)
    }
}
