import Foundation

/// Files that tests make and look at.
enum Files {
    static func write(_ data: Data, _ path: String) throws { try data.write(to: URL(fileURLWithPath: path)) }
    static func write(_ text: String, _ path: String) throws { try write(Data(text.utf8), path) }
    static func read(_ path: String) -> Data? { FileManager.default.contents(atPath: path) }
    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
    static func move(_ path: String, _ target: String) throws {
        try FileManager.default.moveItem(atPath: path, toPath: target)
    }
    static func remove(_ path: String) throws { try FileManager.default.removeItem(atPath: path) }

    /// Makes a folder that QEMU's user can pass through.
    static func makeFolder(_ path: String) throws {
        try FileManager.default.createDirectory(
            atPath: path,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o711]
        )
    }

    /// A file that is nothing but a hole.
    static func makeSparse(_ path: String, size: UInt64) throws {
        try write(Data(), path)
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.truncate(atOffset: size)
        try handle.close()
    }
}
