import HyperVStorage
package import RoostPrimitives

/// What a saved state is of, and what a host must have to resume it.
package struct SavedStateInfo: Sendable, Hashable {
    /// The machine.
    package var machine: GUID
    /// When it was saved, in seconds since the epoch, UTC.
    package var created: Int64
    /// QEMU's version then, as `7.2.22`.
    package var qemuVersion = ""
    package var machineType = ""
    package var accelerator = ""
    package var processorModel = ""
    /// The features of that model which the host did not have; nil when nobody knows.
    package var missingFeatures: [String]?
    package var memoryMiB: UInt64 = 0
    package var processors = 0
    /// Whether the guest's processors ran, and are to run again.
    package var wasRunning = true
    /// How many bytes QEMU's stream has.
    package internal(set) var streamSize: UInt64 = 0
    /// How many chunks hold them.
    package internal(set) var chunks: UInt64 = 0
    /// What tells its chunks from those of another file.
    var stamp: UInt64 = 0

    package init(machine: GUID, created: Int64) { (self.machine, self.created) = (machine, created) }

    private static let root = "savedstate/roost"
    /// The version of this layout.
    private static let format: Int64 = 1
    /// What the keys with the stream are called, with a number from 0.
    static let segment = "stream"

    /// The keys; those with the stream are placed.
    func tree(segments: Int) -> KeyNode {
        var tree = KeyNode("")
        // What a reader of Hyper-V's saved states looks for first.
        tree.set("savedstate/type", .string("Normal"))
        let values: [(String, KeyValue)] = [
            ("format", .int(Self.format)), ("stamp", .uint(stamp)), ("machine", .string(machine.uppercased)),
            ("created", .int(created)), ("qemu_version", .string(qemuVersion)), ("machine_type", .string(machineType)),
            ("accelerator", .string(accelerator)), ("processor_model", .string(processorModel)),
            ("memory_mib", .uint(memoryMiB)), ("processors", .int(Int64(processors))),
            ("was_running", .bool(wasRunning)), ("stream_size", .uint(streamSize)), ("chunks", .uint(chunks)),
            ("segments", .int(Int64(segments))),
        ]
        if let missingFeatures {
            tree.set("\(Self.root)/missing_features", .string(missingFeatures.joined(separator: ",")))
        }
        for (name, value) in values { tree.set("\(Self.root)/\(name)", value) }
        for number in 0..<segments { tree.set("\(Self.root)/\(Self.segment)\(number)", .array([])) }
        return tree
    }

    /// Reads the keys; nil when they are none of a saved state of this layout.
    init?(tree: KeyNode) {
        guard let node = tree.descendant(Self.root), node["format"]?.value == .int(Self.format),
            case .uint(let stamp)? = node["stamp"]?.value, case .string(let text)? = node["machine"]?.value,
            let machine = GUID(text), case .int(let created)? = node["created"]?.value,
            case .uint(let streamSize)? = node["stream_size"]?.value, case .uint(let chunks)? = node["chunks"]?.value
        else { return nil }
        self.init(machine: machine, created: created)
        (self.stamp, self.streamSize, self.chunks) = (stamp, streamSize, chunks)
        func string(_ name: String) -> String {
            if case .string(let value)? = node[name]?.value { value } else { "" }
        }
        qemuVersion = string("qemu_version")
        machineType = string("machine_type")
        accelerator = string("accelerator")
        processorModel = string("processor_model")
        if case .string(let text)? = node["missing_features"]?.value {
            missingFeatures = text.split(separator: ",").map(String.init)
        }
        if case .uint(let size)? = node["memory_mib"]?.value { memoryMiB = size }
        if case .int(let count)? = node["processors"]?.value { processors = Int(clamping: count) }
        wasRunning = node["was_running"]?.value != .bool(false)
    }

    /// The number of keys with the stream; nil when that is none that could be.
    static func segments(in tree: KeyNode) -> Int? {
        guard case .int(let count)? = tree.descendant("\(root)/segments")?.value, (0...1024).contains(count) else {
            return nil
        }
        return Int(count)
    }
}
