import CRoostLinux

#if canImport(Glibc)
    import Glibc
#endif

/// The host's file systems.
package struct KernelFileSystem: FileSystem {
    package init() {}

    package func open(_ path: String, for opening: FileOpening) throws(FileError) -> FileNumber {
        let number: Int32 =
            switch opening {
            // Without O_NONBLOCK a pipe in the file's place would keep us waiting for ever.
            case .reading(let followingLinks):
                repeating { Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (followingLinks ? 0 : O_NOFOLLOW)) }
            case .writing: repeating { Glibc.open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK) }
            case .making(let mode):
                repeating { Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode) }
            }
        guard number >= 0 else { throw FileError("cannot open \(path)", number: errno) }
        if case .making(let mode) = opening, fchmod(number, mode) != 0 {
            let error = FileError("cannot set the mode of \(path)", number: errno)
            Glibc.close(number)
            unlink(path)
            throw error
        }
        return FileNumber(number)
    }

    package func close(_ file: FileNumber) { Glibc.close(file.rawValue) }

    package func size(of file: FileNumber, path: String) throws(FileError) -> Int {
        var size: UInt64 = 0
        let result = roost_file_size(file.rawValue, &size)
        guard result != -EINVAL else { throw FileError(.unusable, "\(path) is not a regular file") }
        guard result == 0 else { throw FileError("cannot inspect \(path)", number: -result) }
        return Int(clamping: size)
    }

    package func timeOfChange(of path: String) -> Int64 {
        var status = stat()
        guard stat(path, &status) == 0 else { return 0 }
        // Behind the year 2262 nobody can tell.
        let (time, overflows) = Int64(status.st_mtim.tv_sec).multipliedReportingOverflow(by: 1_000_000_000)
        return overflows || time > .max - 1_000_000_000 ? 0 : time + Int64(status.st_mtim.tv_nsec)
    }

    package func read(
        _ file: FileNumber,
        at offset: UInt64,
        into buffer: UnsafeMutableRawBufferPointer
    ) throws(FileError) -> Int {
        let count = repeating { pread(file.rawValue, buffer.baseAddress, buffer.count, off_t(clamping: offset)) }
        guard count >= 0 else { throw FileError("cannot read", number: errno) }
        return count
    }

    package func write(
        _ bytes: UnsafeRawBufferPointer,
        to file: FileNumber,
        at offset: UInt64
    ) throws(FileError) -> Int {
        let count = repeating { pwrite(file.rawValue, bytes.baseAddress, bytes.count, off_t(clamping: offset)) }
        guard count > 0 else { throw FileError("cannot write", number: count == 0 ? EIO : errno) }
        return count
    }

    package func startWriting(_ file: FileNumber) { roost_start_writing(file.rawValue) }

    package func syncWithTime(_ file: FileNumber) throws(FileError) {
        guard repeating({ fsync(file.rawValue) }) == 0 else { throw FileError("cannot sync", number: errno) }
    }

    package func sync(_ file: FileNumber) throws(FileError) {
        guard repeating({ fdatasync(file.rawValue) }) == 0 else { throw FileError("cannot sync", number: errno) }
    }

    package func rename(_ path: String, to target: String, replacing: Bool) throws(FileError) {
        let message = "cannot rename \(path) to \(target)"
        if replacing {
            guard Glibc.rename(path, target) == 0 else { throw FileError(message, number: errno) }
        } else {
            let result = roost_rename_new(path, target)
            guard result == 0 else { throw FileError(message, number: -result) }
        }
    }

    package func link(_ path: String, to target: String) throws(FileError) {
        guard Glibc.link(path, target) == 0 else { throw FileError("cannot link \(path) to \(target)", number: errno) }
    }

    package func remove(_ path: String) throws(FileError) {
        guard unlink(path) == 0 else { throw FileError("cannot delete \(path)", number: errno) }
    }

    package func makeFolder(_ path: String, mode: UInt32) throws(FileError) {
        guard mkdir(path, mode) == 0 else { throw FileError("cannot make the folder \(path)", number: errno) }
        chmod(path, mode)
    }

    package func removeFolder(_ path: String) throws(FileError) {
        guard rmdir(path) == 0 else {
            let number = errno
            throw FileError("cannot delete the folder \(path)", number: number == ENOTEMPTY ? EEXIST : number)
        }
    }

    package func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    package func names(in folder: String) throws(FileError) -> [String] {
        guard let handle = opendir(folder) else { throw FileError("cannot read the folder \(folder)", number: errno) }
        defer { closedir(handle) }
        var names: [String] = []
        errno = 0
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
            errno = 0
        }
        // A folder that can be read in part only must not look like one with fewer files.
        guard errno == 0 else { throw FileError("cannot read the folder \(folder)", number: errno) }
        return names
    }

    package func syncFolder(_ folder: String) throws(FileError) {
        let descriptor = repeating { Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw FileError("cannot open the folder \(folder)", number: errno) }
        defer { Glibc.close(descriptor) }
        guard repeating({ fsync(descriptor) }) == 0 else {
            throw FileError(.notDurable, "cannot sync the folder \(folder)", cause: String(cString: strerror(errno)))
        }
    }

    package func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Repeats a call that a signal has interrupted.
    private func repeating<Result: SignedInteger>(_ call: () -> Result) -> Result {
        while true {
            let result = call()
            if result >= 0 || errno != EINTR { return result }
        }
    }
}
