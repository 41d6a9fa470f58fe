import HyperVStorage
import RoostPrimitives
import VMConfiguration

/// What is known of a machine's last start, kept in its `.vmrs` so that the next roostd finds the guest again.
///
/// Stored below `/configuration/roost/run`; other keys of the file are left as they are.
package struct RunRecord: Sendable, Hashable {
    /// How far the machine was when the record was written.
    package enum Phase: String, Sendable {
        /// QEMU is being started; its process id is not known yet.
        case starting
        /// QEMU runs, with the processors running or paused.
        case running
        /// QEMU is being ended, as wanted.
        case stopping
        /// The machine ended as wanted.
        case off
        /// QEMU ended without being asked to.
        case crashed
    }

    package var phase: Phase
    package var processID: Int32 = 0
    /// Start time of the process in clock ticks since the host started.
    package var startTicks: UInt64 = 0
    /// The host's run in which the process was started.
    package var bootID = ""
    package var qemuPath = ""
    package var qemuVersion = ""
    package var machineType = ""
    package var accelerator = ""
    package var processorModel = ""
    /// When the guest was started, in seconds since the epoch, UTC.
    package var startedAt: Int64 = 0
    /// Why the machine crashed.
    package var reason = ""
    /// Whether the machine is off only because the host went down: it starts with the host again.
    package var isStoppedForHost = false
    /// Whether the machine is off and about to start by itself.
    package var isStartPending = false

    package init(phase: Phase) { self.phase = phase }

    private static let root = "configuration/roost/run"

    private init?(tree: KeyNode) {
        guard let node = tree.descendant(Self.root), case .string(let text)? = node["phase"]?.value,
            let phase = Phase(rawValue: text)
        else { return nil }
        self.init(phase: phase)
        func string(_ name: String) -> String {
            if case .string(let value)? = node[name]?.value { value } else { "" }
        }
        func integer(_ name: String) -> Int64 {
            if case .int(let value)? = node[name]?.value { value } else { 0 }
        }
        processID = Int32(exactly: integer("process_id")) ?? 0
        startTicks = UInt64(exactly: integer("start_ticks")) ?? 0
        bootID = string("boot_id")
        qemuPath = string("qemu_path")
        qemuVersion = string("qemu_version")
        machineType = string("machine_type")
        accelerator = string("accelerator")
        processorModel = string("processor_model")
        startedAt = integer("started_at")
        reason = string("reason")
        isStoppedForHost = node["stopped_for_host"]?.value == .bool(true)
        isStartPending = node["start_pending"]?.value == .bool(true)
    }

    private func store(in tree: inout KeyNode) {
        let values: [(String, KeyValue)] = [
            ("phase", .string(phase.rawValue)), ("process_id", .int(Int64(processID))),
            ("start_ticks", .int(Int64(clamping: startTicks))), ("boot_id", .string(bootID)),
            ("qemu_path", .string(qemuPath)), ("qemu_version", .string(qemuVersion)),
            ("machine_type", .string(machineType)), ("accelerator", .string(accelerator)),
            ("processor_model", .string(processorModel)), ("started_at", .int(startedAt)),
            ("reason", .string(reason)), ("stopped_for_host", .bool(isStoppedForHost)),
            ("start_pending", .bool(isStartPending)),
        ]
        for (name, value) in values { tree.set("\(Self.root)/\(name)", value) }
    }

    /// Reads the record of a machine; nil when it never started.
    ///
    /// - Throws: `StoreError` `.corrupt` when the file is damaged.
    package static func load(_ path: String) throws(StoreError) -> RunRecord? {
        let bytes: [UInt8]
        do throws(StoreError) {
            bytes = try FileAccess.read(path)
        } catch  where error.code == .notFound {
            return nil
        }
        do throws(StorageError) {
            return RunRecord(tree: try StorageFile(parsing: bytes).tree)
        } catch {
            throw StoreError(.corrupt, "cannot read \(path)", cause: error.message)
        }
    }

    /// Writes the record, durably; a damaged file is kept beside it as `.vmrs.damaged`.
    package func save(_ path: String, version: Int) throws(StoreError) {
        let existing: [UInt8]?
        do throws(StoreError) {
            existing = try FileAccess.read(path)
        } catch  where error.code == .notFound {
            existing = nil
        }
        if let existing {
            if let actions = try? changes(to: existing) { return try FileAccess.perform(actions, on: path) }
            try FileAccess.move(path, to: "\(path).damaged")
        }
        var tree = KeyNode("")
        tree.set("configuration/properties/version", .int(Int64(version)))
        store(in: &tree)
        let bytes: [UInt8]
        do throws(StorageError) {
            bytes = try StorageFile.create(tree: tree).bytes
        } catch {
            throw StoreError(.failed, "cannot make \(path)", cause: error.message)
        }
        try FileAccess.write(bytes, to: path)
    }

    private func changes(to bytes: [UInt8]) throws(StorageError) -> [StorageAction] {
        var file = try StorageFile(parsing: bytes)
        var tree = file.tree
        store(in: &tree)
        return try file.commit(tree)
    }
}
