package import QMP
package import VMConfiguration

/// The options of a block node, for `-blockdev` and `blockdev-add`.
package struct BlockNodeOptions: Sendable, Hashable {
    package var name: String
    package var format: RoostSettings.DiskFormat
    package var path: String
    package var readOnly: Bool

    package init(name: String, format: RoostSettings.DiskFormat, path: String, readOnly: Bool) {
        self.name = name
        self.format = format
        self.path = path
        self.readOnly = readOnly
    }

    /// The options besides driver and node name.
    package var options: [String: JSONValue] {
        var options: [String: JSONValue] = [
            "file": [
                "driver": .string(path.hasPrefix("/dev/") ? "host_device" : "file"), "filename": .string(path),
                "aio": "threads",
            ],
            "read-only": .bool(readOnly),
        ]
        // Trimming in the guest gives space back to the host.
        if !readOnly { options["discard"] = "unmap" }
        return options
    }

    /// The driver's name.
    package var driver: String { format.rawValue }

    /// The options as JSON text with keys in order, so that the same node always gives the same text.
    package var json: String {
        var all = options
        all["driver"] = .string(driver)
        all["node-name"] = .string(name)
        return JSONValue.object(all).description
    }
}
