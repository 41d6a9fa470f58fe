/// An open file of a ``FileSystem``.
package struct FileNumber: Hashable, Sendable {
    package let rawValue: Int32

    package init(_ rawValue: Int32) { self.rawValue = rawValue }
}

/// What a file is opened for.
package enum FileOpening: Hashable, Sendable {
    /// Reading a file that exists; without `followingLinks` a symbolic link is an error.
    case reading(followingLinks: Bool)
    /// Writing to a file that exists.
    case writing
    /// Writing to a file that must not exist yet.
    case making(mode: UInt32)
}

/// The few operations of a file system that durable storage is made of; each is about one system call.
///
/// What POSIX promises of them, and no more: a write may be short; nothing is on stable storage before ``sync(_:)``
/// has returned, and no name before ``syncFolder(_:)`` has; what a failed sync was to store may be lost for good,
/// although reading still shows it. Interrupted calls are repeated by the implementation.
package protocol FileSystem: Sendable {
    /// Opens a file; the caller closes it.
    func open(_ path: String, for opening: FileOpening) throws(FileError) -> FileNumber
    /// Closes a file; durability is the business of ``sync(_:)``.
    func close(_ file: FileNumber)
    /// The size of a regular file in bytes.
    ///
    /// - Throws: `FileError` `.unusable` for anything else.
    func size(of file: FileNumber, path: String) throws(FileError) -> Int
    /// When a file's bytes were last changed, in nanoseconds since 1970; 0 when nobody can tell.
    func timeOfChange(of path: String) -> Int64
    /// Reads up to the buffer's size; 0 at the file's end.
    func read(_ file: FileNumber, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(FileError)
        -> Int
    /// Writes some of the bytes, at least one; returns how many.
    func write(_ bytes: UnsafeRawBufferPointer, to file: FileNumber, at offset: UInt64) throws(FileError) -> Int
    /// Tells the device to begin with what is to be synced soon; promises nothing.
    func startWriting(_ file: FileNumber)
    /// Waits until the file's bytes and its size are on stable storage.
    func sync(_ file: FileNumber) throws(FileError)
    /// The same for the time of its change too, which ``sync(_:)`` may leave behind.
    func syncWithTime(_ file: FileNumber) throws(FileError)
    /// Renames a file inside one file system; without `replacing`, a file of the new name is an error.
    func rename(_ path: String, to target: String, replacing: Bool) throws(FileError)
    /// Gives a file a second name, which must be new.
    func link(_ path: String, to target: String) throws(FileError)
    /// Deletes a name.
    func remove(_ path: String) throws(FileError)
    /// Makes one folder with exactly this mode.
    func makeFolder(_ path: String, mode: UInt32) throws(FileError)
    /// Deletes an empty folder.
    ///
    /// - Throws: `FileError` `.exists` when something is in it.
    func removeFolder(_ path: String) throws(FileError)
    /// Whether a path is a folder.
    func isFolder(_ path: String) -> Bool
    /// The names in a folder, without `.` and `..`, unsorted.
    func names(in folder: String) throws(FileError) -> [String]
    /// Waits until the names in a folder are on stable storage.
    func syncFolder(_ folder: String) throws(FileError)
    /// Whether something is at a path.
    func exists(_ path: String) -> Bool
}
