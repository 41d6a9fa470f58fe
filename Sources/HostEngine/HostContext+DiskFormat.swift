import QEMUDriver
import RoostAPI
import VMConfiguration

/// Refuses a path that is not absolute, or holds what no path of a sane host does.
func requireAbsolute(_ path: String) throws(APIError) {
    guard path.hasPrefix("/") else { throw APIError(.invalidArgument, "the path \(path) is not absolute") }
    guard !path.contains("//"), !path.split(separator: "/").contains(where: { $0 == "." || $0 == ".." }) else {
        throw APIError(.invalidArgument, "the path \(path) holds a //, /./ or /../: write it without")
    }
    guard path.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else {
        throw APIError(.invalidArgument, "the path \(path.debugDescription) holds a control character: rename the file")
    }
}

extension HostContext {
    /// The format as which a disk that somebody names is used.
    ///
    /// A guest decides what its disk's bytes look like: they must not turn a raw disk into an image that names files of
    /// the host. So a stated format counts before a recorded one, that before the looks, and looks that contradict the
    /// record, or that need another file, are refused unless the format is stated.
    ///
    /// - Parameters:
    ///   - stated: what the user says.
    ///   - recorded: what the disk was used as before.
    func formatOfDisk(
        _ path: String,
        stated: String?,
        recorded: RoostSettings.DiskFormat?
    ) async throws -> RoostSettings.DiskFormat {
        let known = RoostSettings.DiskFormat.allCases.map(\.rawValue).sorted().joined(separator: ", ")
        if let stated {
            guard let format = RoostSettings.DiskFormat(rawValue: stated) else {
                throw APIError(.invalidArgument, "\"\(stated)\" is no disk format: choose \(known)")
            }
            _ = try await images.info(path, format: stated)
            return format
        }
        let info = try await images.info(path)
        if let recorded, recorded.rawValue == info.format { return recorded }
        if let recorded {
            let isKnown = RoostSettings.DiskFormat(rawValue: info.format) != nil
            let other = isKnown ? ", or --format \(info.format) if you converted it" : ""
            throw APIError(
                .invalidArgument,
                "the disk \(path) was used as \(recorded.rawValue) and looks like \(info.format) now, which its guest may have "
                    + "brought about: say --format \(recorded.rawValue)\(other) ('roost vm create' calls it --disk-format)"
            )
        }
        guard let format = RoostSettings.DiskFormat(rawValue: info.format) else {
            throw APIError(
                .unsupported,
                "the disk \(path) is of the format \(info.format): convert it to \(known)"
            )
        }
        if let other = info.backingFile ?? info.dataFile {
            throw APIError(
                .invalidArgument,
                "the disk \(path) needs the file \(other): say --format \(info.format) if that is meant ('roost vm "
                    + "create' calls it --disk-format), or make one disk of both with 'qemu-img convert'"
            )
        }
        return format
    }
}
