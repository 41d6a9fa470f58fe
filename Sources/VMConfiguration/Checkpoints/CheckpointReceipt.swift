import HyperVStorage

/// What was consistent when a checkpoint was taken, and what taking it cost the guest; measured, never assumed.
package struct CheckpointReceipt: Hashable, Sendable {
    /// In which state applications find the disks.
    package enum Consistency: String, Hashable, Sendable, CaseIterable {
        /// Applications had written out what they held: the guest had shut down, or VSS of Windows asked them.
        case application
        /// All file systems that can be frozen were frozen.
        case fileSystem
        /// The memory is kept with the disks: programs go on where they were.
        case memory
        /// As after a power cut.
        case crash
    }

    /// One of the guest's mounted file systems.
    package struct FileSystem: Hashable, Sendable {
        package var mountPoint: String
        /// `ext4`, `vfat`.
        package var type: String
        /// Why it was not frozen; nil when it was.
        package var skipped: String?

        package init(mountPoint: String, type: String, skipped: String? = nil) {
            self.mountPoint = mountPoint
            self.type = type
            self.skipped = skipped
        }
    }

    /// Who ends a freeze when nobody else does.
    package enum Lease: String, Hashable, Sendable, CaseIterable {
        /// A timer in the guest.
        case guestTimer
        /// A process on the host, since the guest forbids the timer.
        case watchdog
    }

    /// What a start of a throw-away copy has shown.
    package struct Verification: Hashable, Sendable {
        /// When it ended, in seconds since 1970.
        package var time: Int64
        package var passed: Bool
        /// What was looked at, and what was found wrong.
        package var detail: String
        /// From the start of the copy until its guest agent answered, in milliseconds; nil when it did not.
        package var bootInMilliseconds: Int64?

        package init(time: Int64, passed: Bool, detail: String, bootInMilliseconds: Int64? = nil) {
            self.time = time
            self.passed = passed
            self.detail = detail
            self.bootInMilliseconds = bootInMilliseconds
        }
    }

    package var consistency = Consistency.crash
    /// Why it is not better; nil when there is nothing to say.
    package var reason: String?
    package var fileSystems: [FileSystem] = []
    package var lease: Lease?
    /// From the request to freeze to the answer that all is thawed, in microseconds; nil when nothing was frozen.
    package var freezeInMicroseconds: Int64?
    /// How long QEMU took to branch the disks, in microseconds; nil when the guest was off.
    package var transactionInMicroseconds: Int64?
    /// The version of the guest agent; nil when it did not take part.
    package var agentVersion: String?
    /// Whether the UEFI variables are part of it.
    package var hasVariables = false
    /// How much the file with the memory takes, in bytes; nil when the memory is not kept.
    package var memoryInBytes: Int64?
    /// How long the guest's processors stood still for the memory, in microseconds.
    package var pauseInMicroseconds: Int64?
    /// What the last verification has shown; nil when there was none.
    package var verification: Verification?

    /// How long what the guest writes was held up at most, in microseconds: while it was frozen, else while its processors
    /// stood still, else while QEMU branched the disks; nil when it was off.
    package var stalledInMicroseconds: Int64? {
        freezeInMicroseconds ?? pauseInMicroseconds ?? transactionInMicroseconds
    }

    /// The receipt of a checkpoint of which nothing is known.
    package init() {}
}

extension CheckpointReceipt {
    init(_ node: KeyNode) {
        let text = { (name: String) in node[name]?.value.asString }
        consistency = text("consistency").flatMap(Consistency.init(rawValue:)) ?? .crash
        reason = text("reason")
        fileSystems = (node["file_systems"]?.children ?? []).compactMap { row in
            guard row.name == "file_system", let mountPoint = row["mount_point"]?.value.asString else { return nil }
            return FileSystem(
                mountPoint: mountPoint,
                type: row["type"]?.value.asString ?? "",
                skipped: row["skipped"]?.value.asString
            )
        }
        lease = text("lease").flatMap(Lease.init(rawValue:))
        freezeInMicroseconds = node["freeze"]?.value.asInteger
        transactionInMicroseconds = node["transaction"]?.value.asInteger
        agentVersion = text("agent_version")
        hasVariables = node["variables"]?.value.asBool ?? false
        memoryInBytes = node["memory"]?.value.asInteger
        pauseInMicroseconds = node["pause"]?.value.asInteger
        verification = node["verification"].flatMap(Verification.init)
    }

    var node: KeyNode {
        var node = KeyNode("receipt")
        let add = { (name: String, value: KeyValue?) in
            if let value { node.children.append(KeyNode(name, value)) }
        }
        add("consistency", .string(consistency.rawValue))
        add("reason", reason.map(KeyValue.string))
        add("lease", lease.map { .string($0.rawValue) })
        add("freeze", freezeInMicroseconds.map(KeyValue.int))
        add("transaction", transactionInMicroseconds.map(KeyValue.int))
        add("agent_version", agentVersion.map(KeyValue.string))
        add("variables", .bool(hasVariables))
        add("memory", memoryInBytes.map(KeyValue.int))
        add("pause", pauseInMicroseconds.map(KeyValue.int))
        let rows = fileSystems.map { system in
            var row = KeyNode("file_system", children: [KeyNode("mount_point", .string(system.mountPoint))])
            row.children.append(KeyNode("type", .string(system.type)))
            if let reason = system.skipped { row.children.append(KeyNode("skipped", .string(reason))) }
            return row
        }
        if !rows.isEmpty { node.children.append(KeyNode("file_systems", children: rows)) }
        if let verification { node.children.append(verification.node) }
        return node
    }
}

extension CheckpointReceipt.Verification {
    fileprivate init?(_ node: KeyNode) {
        guard let time = node["time"]?.value.asInteger, let passed = node["passed"]?.value.asBool else { return nil }
        self.init(
            time: time,
            passed: passed,
            detail: node["detail"]?.value.asString ?? "",
            bootInMilliseconds: node["boot"]?.value.asInteger
        )
    }

    fileprivate var node: KeyNode {
        var node = KeyNode(
            "verification",
            children: [
                KeyNode("time", .int(time)), KeyNode("passed", .bool(passed)), KeyNode("detail", .string(detail)),
            ]
        )
        if let bootInMilliseconds { node.children.append(KeyNode("boot", .int(bootInMilliseconds))) }
        return node
    }
}
