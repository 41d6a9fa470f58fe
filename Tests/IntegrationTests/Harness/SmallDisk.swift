import Foundation
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// A small file system in memory, for what becomes of things when it is full; needs root.
struct SmallDisk {
    let folder: String
    private var filler: String { "\(folder)/filler" }

    /// Takes all room but some bytes.
    func fill(leaving bytes: UInt64 = 0) async throws {
        try await eventually("the disk is full") {
            try free()
            var status = statvfs()
            try #require(statvfs(folder, &status) == 0)
            let room = UInt64(status.f_bavail) * UInt64(status.f_frsize)
            try #require(room > bytes, "there are only \(room) bytes")
            // A guest may have taken some of it meanwhile.
            return (try? await tool("fallocate", "-l", "\(room - bytes)", filler)) != nil
        }
    }

    /// Gives the room back.
    func free() throws { if Files.exists(filler) { try Files.remove(filler) } }
}

/// Runs a test with a roostd whose files lie on a small disk.
func withSmallDisk(
    _ name: String,
    mebibytes: Int,
    _ body: (Roostd, SmallDisk) async throws -> Void
) async throws {
    let disk = SmallDisk(folder: Laboratory.unusedPath("/var/tmp/roost-test-full-"))
    try Files.makeFolder(disk.folder)
    try await tool("mount", "-t", "tmpfs", "-o", "size=\(mebibytes)m,mode=711", "tmpfs", disk.folder)
    let outcome: Result<Void, any Error>
    do {
        let roostd = try Roostd(name, stateDirectory: "\(disk.folder)/state")
        do {
            try await roostd.start()
            outcome = .success(try await body(roostd, disk))
        } catch {
            outcome = .failure(error)
        }
        await roostd.tearDown()
    } catch {
        outcome = .failure(error)
    }
    // A process that has just been killed holds its files a moment longer.
    try await eventually("\(disk.folder) is unmounted") { (try? await tool("umount", disk.folder)) != nil }
    try Files.remove(disk.folder)
    try outcome.get()
}
