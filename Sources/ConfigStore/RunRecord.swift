import HyperVStorage
import RoostPrimitives
package import VMConfiguration

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
    /// Whether, and how, Roost keeps the guest's processors from running for a moment.
    package enum Standstill: String, Sendable {
        case none = ""
        /// They ran and are to run again.
        case running
        /// They were paused and stay so.
        case paused
    }

    /// What has to be finished before the guest's processors run.
    package var standstill = Standstill.none
    /// Whether the machine is off only because the host went down: it starts with the host again.
    package var isStoppedForHost = false
    /// Whether the machine is off and about to start by itself.
    package var isStartPending = false
    /// Whether the disks are as a guest leaves them that has shut down; false from its start to its shutdown.
    package var isAtRest = true

    /// The disks of a machine that is saved, as its memory knows them; empty when nobody has noted them.
    package var savedDisks: [CheckpointRecord.Disk] = []

    package init(phase: Phase) { self.phase = phase }

    private static let root = "configuration/roost/run"

    init?(tree: KeyNode) {
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
        standstill = Standstill(rawValue: string("standstill")) ?? .none
        // A record of a roostd that did not know the key says nothing of it.
        isAtRest = node["at_rest"]?.value != .bool(false)
        savedDisks = (node["saved_disks"]?.children ?? []).compactMap { disk in
            guard case .string(let path)? = disk["path"]?.value, case .uint(let size)? = disk["size"]?.value,
                case .int(let changed)? = disk["changed"]?.value
            else { return nil }
            return CheckpointRecord.Disk(path: path, sizeInBytes: size, changed: changed)
        }
    }

    func store(in tree: inout KeyNode) {
        let values: [(String, KeyValue)] = [
            ("phase", .string(phase.rawValue)), ("process_id", .int(Int64(processID))),
            ("start_ticks", .int(Int64(clamping: startTicks))), ("boot_id", .string(bootID)),
            ("qemu_path", .string(qemuPath)), ("qemu_version", .string(qemuVersion)),
            ("machine_type", .string(machineType)), ("accelerator", .string(accelerator)),
            ("processor_model", .string(processorModel)), ("started_at", .int(startedAt)),
            ("reason", .string(reason)), ("stopped_for_host", .bool(isStoppedForHost)),
            ("start_pending", .bool(isStartPending)), ("at_rest", .bool(isAtRest)),
            ("standstill", .string(standstill.rawValue)),
        ]
        for (name, value) in values { tree.set("\(Self.root)/\(name)", value) }
        tree.remove("\(Self.root)/saved_disks")
        for (number, disk) in savedDisks.enumerated() {
            let place = "\(Self.root)/saved_disks/disk\(number)"
            tree.set("\(place)/path", .string(disk.path))
            tree.set("\(place)/size", .uint(disk.sizeInBytes))
            tree.set("\(place)/changed", .int(disk.changed))
        }
    }
}
