/// Looks for the file of a drive whose configuration comes from another host.
package struct DiskSearch: Hashable, Sendable {
    /// A place where the file could be.
    package struct Candidate: Hashable, Sendable {
        /// The path, with the file's name as it is spelled there.
        package var path: String
        /// Whether a file is there that may be used.
        package var isUsable: Bool
        /// What is special about it: a name in other letters, or why the file may not be used.
        package var note: String?
    }

    /// The places in the order in which they count: the recorded path, then the folders.
    package var candidates: [Candidate]

    /// The file to use; nil when there is none.
    package var found: String? { candidates.first(where: \.isUsable)?.path }

    /// Looks for the file that a configuration calls by a path of Windows or of Linux.
    ///
    /// A path of Linux counts as it is. In the folders the file's name counts: as it is spelled, else, because Windows
    /// does not tell letters apart, the first name in alphabetical order that differs only in their case.
    package init(recordedPath: String, facts: ImportFacts) {
        candidates = []
        if recordedPath.hasPrefix("/") {
            candidates.append(
                Candidate(
                    path: recordedPath,
                    isUsable: facts.usablePaths.contains(recordedPath),
                    note: facts.refusedPaths[recordedPath]
                )
            )
        }
        let name = Self.fileName(of: recordedPath)
        guard !name.isEmpty else { return }
        for folder in facts.folders {
            let path = "\(folder.path)/\(name)"
            guard !candidates.contains(where: { $0.path == path && $0.isUsable }) else { continue }
            if folder.names.contains(name) {
                candidates.append(Candidate(path: path, isUsable: true))
            } else if let similar = Self.name(like: name, in: folder.names) {
                candidates.append(
                    Candidate(path: "\(folder.path)/\(similar)", isUsable: true, note: "written in other letters")
                )
            } else {
                candidates.append(Candidate(path: path, isUsable: false))
            }
        }
    }

    private static func name(like name: String, in names: [String]) -> String? {
        let folded = name.lowercased()
        return names.filter { $0.lowercased() == folded }.min()
    }

    /// The last part of a path of Windows or of Linux; empty when it names no file.
    package static func fileName(of path: String) -> String {
        // On Linux a backslash is a character like any other.
        let separators: [Character] = path.hasPrefix("/") ? ["/"] : ["\\", "/"]
        let name = path.split(omittingEmptySubsequences: false) { separators.contains($0) }.last.map(String.init) ?? ""
        return name == "." || name == ".." || name.utf8.contains(0) ? "" : name
    }
}

/// The format of a disk file that is to be imported, stated by its name and never guessed from what a guest wrote.
package enum ImportFormat: String, Hashable, Sendable, CaseIterable {
    case vhdx
    /// The format before VHDX, which QEMU calls `vpc`.
    case vhd
    case qcow2
    case raw

    /// The format that an extension stands for; nil for any other.
    package init?(fileName: String) {
        switch Self.fileExtension(of: fileName) {
        case "vhdx": self = .vhdx
        case "vhd": self = .vhd
        case "qcow2": self = .qcow2
        case "raw", "img", "iso": self = .raw
        default: return nil
        }
    }

    /// The name of QEMU's driver.
    package var driver: String { self == .vhd ? "vpc" : rawValue }

    /// The format as the configuration records it; nil for one that no virtual machine runs from.
    package var recorded: RoostSettings.DiskFormat? { RoostSettings.DiskFormat(rawValue: rawValue) }

    /// Whether a name is that of a checkpoint's disk, which holds only what differs from another file.
    package static func isDifferencing(fileName: String) -> Bool {
        ["avhdx", "avhd"].contains(fileExtension(of: fileName))
    }

    private static func fileExtension(of name: String) -> String {
        name.lastIndex(of: ".").map { name[name.index(after: $0)...].lowercased() } ?? ""
    }
}

/// What the end of a VHD file says; the format is described in Microsoft's "Virtual Hard Disk Image Format".
package enum VirtualHardDiskFooter {
    /// The footer's size in bytes.
    package static let size = 512

    /// Whether the last 512 bytes of a file say that the disk holds only what differs from another file.
    package static func isDifferencing(_ bytes: [UInt8]) -> Bool {
        guard bytes.count == size, bytes.starts(with: Array("conectix".utf8)) else { return false }
        return bytes[60..<64].elementsEqual([0, 0, 0, 4])
    }
}
