import RoostPrimitives

/// Which files are put over a virtual machine's disks when they branch.
///
/// Hard disks branch; DVDs and floppies, which are not part of what a virtual machine has written, do not.
package struct BranchPlan: Hashable, Sendable {
    /// One disk: the file that its writes went to, and the one that they are going to.
    package struct Branch: Hashable, Sendable {
        package var location: DriveLocation
        /// The file that stays as it is from then on.
        package var base: String
        package var baseFormat: RoostSettings.DiskFormat
        /// The new qcow2 file that stands on it.
        package var overlay: String
    }

    package private(set) var branches: [Branch] = []

    /// Plans a branch of every hard disk.
    ///
    /// - Throws: ``ConfigurationError`` with the code `invalidValue` for a disk that cannot branch: a device of the host,
    ///   which has no place beside it for a file.
    package init(
        _ configuration: VirtualMachineConfiguration,
        using generator: inout some RandomNumberGenerator
    ) throws(ConfigurationError) {
        let formats = configuration.roost.diskFormats
        var taken: Set<String> = []
        for drive in configuration.drives where drive.kind == .hardDisk {
            guard let base = drive.path else { continue }
            guard base.hasPrefix("/"), !base.hasPrefix("/dev/") else {
                throw ConfigurationError(
                    .invalidValue,
                    "the disk \(base) of \(configuration.name) at \(drive.location) is no file: a checkpoint needs one, "
                        + "since what is written later goes to a file beside it"
                )
            }
            var overlay: String
            repeat { overlay = Self.overlayPath(over: base, using: &generator) } while !taken.insert(overlay).inserted
            let format = formats[base] ?? .qcow2
            branches.append(Branch(location: drive.location, base: base, baseFormat: format, overlay: overlay))
        }
    }

    /// The path of a file over another one: the name of the first below, eight random digits, `.qcow2`.
    static func overlayPath(over base: String, using generator: inout some RandomNumberGenerator) -> String {
        let split = base.lastIndex(of: "/").map { base.index(after: $0) } ?? base.startIndex
        var stem = base[split...]
        if let dot = stem.lastIndex(of: "."), dot > stem.startIndex { stem = stem[..<dot] }
        // A file that is over another one already has digits, which the next one's replace.
        if let dot = stem.lastIndex(of: "."), dot > stem.startIndex, isDigits(stem[stem.index(after: dot)...]) {
            stem = stem[..<dot]
        }
        // A name has at most 255 bytes, 15 of which are the new ending.
        while stem.utf8.count > 240 { stem = stem.dropLast() }
        let digits = String(UInt32.random(in: 0...UInt32.max, using: &generator), radix: 16)
        return "\(base[..<split])\(stem).\(String(repeating: "0", count: 8 - digits.utf8.count))\(digits).qcow2"
    }

    /// Whether a path is such as ``overlayPath(over:using:)`` makes.
    package static func isOverlay(_ path: String) -> Bool {
        let parts = path.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count >= 3 && parts[parts.count - 1] == "qcow2" && isDigits(parts[parts.count - 2])
    }

    /// A path without the digits that ``overlayPath(over:using:)`` has put into it.
    package static func trunk(of path: String) -> String {
        guard isOverlay(path) else { return path }
        // `.12345678.qcow2`
        return String(path.dropLast(15)) + ".qcow2"
    }

    private static func isDigits(_ text: Substring) -> Bool {
        text.utf8.count == 8 && text.utf8.allSatisfy { 0x30...0x39 ~= $0 || 0x61...0x66 ~= $0 }
    }
}

extension VirtualMachineConfiguration {
    /// Lets the drives go on with the files of a plan.
    ///
    /// - Throws: ``ConfigurationError`` when a drive of the plan is not there any more.
    package mutating func branch(_ plan: BranchPlan) throws(ConfigurationError) {
        try useDisks(Dictionary(plan.branches.map { ($0.base, $0.overlay) }) { first, _ in first })
    }

    /// Lets hard disks use other files.
    ///
    /// - Parameters:
    ///   - replacements: the new files by the old ones.
    ///   - format: what the new ones are.
    package mutating func useDisks(
        _ replacements: [String: String],
        format: RoostSettings.DiskFormat = .qcow2
    ) throws(ConfigurationError) {
        var formats = roost.diskFormats
        for var drive in drives where drive.kind == .hardDisk {
            guard let old = drive.path, let new = replacements[old] else { continue }
            drive.path = new
            try setDrive(drive)
            formats[new] = format
            formats[old] = nil
        }
        roost.diskFormats = formats
    }
}
