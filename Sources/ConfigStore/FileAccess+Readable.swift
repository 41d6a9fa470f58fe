import DurableFiles

extension FileAccess {
    /// Reads what the device can read of a regular file; the rest is zero.
    package static func readable(_ path: String) throws(StoreError) -> [UInt8] {
        try asStore { () throws(FileError) in try system.readableContents(of: path, limit: sizeLimit).bytes }
    }
}
