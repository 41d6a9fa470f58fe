extension QMPEvent {
    /// The event with the data that this package uses, by QEMU's `qapi/*.json`.
    package enum Kind: Hashable, Sendable {
        /// QEMU is about to exit or, with `-no-shutdown`, to stop; the reason is such as `guest-shutdown`.
        case shutdown(isGuestInitiated: Bool, reason: String)
        /// The machine was reset.
        case reset(isGuestInitiated: Bool, reason: String)
        /// The virtual processors stopped.
        case stop
        /// The virtual processors run again.
        case resume
        /// The power button was pressed for the guest.
        case powerdown
        /// The guest entered a sleep state.
        case suspend
        /// The guest entered hibernation.
        case suspendToDisk
        /// The guest left a sleep state.
        case wakeup
        /// The guest's kernel panicked; the action is what QEMU did then, such as `pause`.
        case guestPanicked(action: String)
        /// A device is gone; the identifier is nil for a device made without one.
        case deviceDeleted(id: String?, path: String)
        /// The guest refused to let a device go.
        case deviceUnplugGuestError(id: String?, path: String)
        /// A disk operation failed.
        case blockIOError(BlockIOError)
        /// A block job ended; the error is nil when it succeeded.
        case blockJobCompleted(device: String, error: String?)
        /// A block job was cancelled.
        case blockJobCancelled(device: String)
        /// A block job can be completed.
        case blockJobReady(device: String)
        /// A block job met an error of its disks.
        case blockJobError(device: String, operation: String, action: String)
        /// A job changed its status, such as `concluded`.
        case jobStatusChange(id: String, status: String)
        /// The migration changed its status, such as `completed`.
        case migration(status: String)
        /// The guest opened or closed a virtio-serial port.
        case serialPortChange(id: String, isOpen: Bool)
        /// The guest changed the receive filter of a network adapter.
        case networkFilterChanged(id: String?, path: String)
        /// The guest set its clock; the offset in seconds is against the clock it was given.
        case realTimeClockChange(offsetInSeconds: Int64)
        /// The guest reported on a hot-plug slot.
        case acpiDeviceStatus(ACPIDeviceStatus)
        /// A virtio-mem device has another size, in bytes.
        case memoryDeviceSizeChange(id: String?, sizeInBytes: UInt64, path: String)
        /// A tray of a removable drive opened or closed.
        case trayMoved(device: String, id: String, isOpen: Bool)
        /// The guest changed the size of its memory balloon.
        case balloonChange(actualInBytes: UInt64)
        /// A watchdog expired; the action is what QEMU does, such as `reset`.
        case watchdog(action: String)
        /// An event not listed here, or with data of another shape than documented.
        case other(name: String)
    }

    /// A failed disk operation.
    package struct BlockIOError: Hashable, Sendable {
        /// The block back end; empty for one without a name.
        package var device: String
        package var nodeName: String?
        /// `read` or `write`.
        package var operation: String
        /// What QEMU does: `ignore`, `report` or `stop`.
        package var action: String
        /// Whether the disk of the host is full.
        package var isOutOfSpace: Bool
        /// The system's sentence, for people.
        package var reason: String
    }

    /// The guest's report on a hot-plug slot (ACPI `_OST`).
    package struct ACPIDeviceStatus: Hashable, Sendable {
        package var device: String?
        package var slot: String
        package var slotType: String
        package var source: Int64
        package var status: Int64
    }

    /// The event with its data read.
    package var kind: Kind {
        let reader = ReplyReader(data, of: "event \(name)")
        do throws(QMPError) {
            if let kind = try machineKind(reader) { return kind }
            if let kind = try deviceKind(reader) { return kind }
            if let kind = try blockKind(reader) { return kind }
            return .other(name: name)
        } catch {
            return .other(name: name)
        }
    }

    private func machineKind(_ data: ReplyReader) throws(QMPError) -> Kind? {
        switch name {
        case "SHUTDOWN": .shutdown(isGuestInitiated: try data.bool("guest"), reason: try reason(data))
        case "RESET": .reset(isGuestInitiated: try data.bool("guest"), reason: try reason(data))
        case "STOP": .stop
        case "RESUME": .resume
        case "POWERDOWN": .powerdown
        case "SUSPEND": .suspend
        case "SUSPEND_DISK": .suspendToDisk
        case "WAKEUP": .wakeup
        case "GUEST_PANICKED": .guestPanicked(action: try data.string("action"))
        case "MIGRATION": .migration(status: try data.string("status"))
        case "RTC_CHANGE": .realTimeClockChange(offsetInSeconds: try data.int("offset"))
        case "BALLOON_CHANGE": .balloonChange(actualInBytes: try data.uint64("actual"))
        case "WATCHDOG": .watchdog(action: try data.string("action"))
        default: nil
        }
    }

    private func reason(_ data: ReplyReader) throws(QMPError) -> String {
        try data.optionalString("reason") ?? "none"
    }

    private func deviceKind(_ data: ReplyReader) throws(QMPError) -> Kind? {
        switch name {
        case "DEVICE_DELETED":
            return .deviceDeleted(id: try data.optionalString("device"), path: try data.string("path"))
        case "DEVICE_UNPLUG_GUEST_ERROR":
            return .deviceUnplugGuestError(id: try data.optionalString("device"), path: try data.string("path"))
        case "VSERPORT_CHANGE":
            return .serialPortChange(id: try data.string("id"), isOpen: try data.bool("open"))
        case "NIC_RX_FILTER_CHANGED":
            return .networkFilterChanged(id: try data.optionalString("name"), path: try data.string("path"))
        case "MEMORY_DEVICE_SIZE_CHANGE":
            return .memoryDeviceSizeChange(
                id: try data.optionalString("id"),
                sizeInBytes: try data.uint64("size"),
                path: try data.string("qom-path")
            )
        case "ACPI_DEVICE_OST":
            let info = try data.member("info")
            return .acpiDeviceStatus(
                ACPIDeviceStatus(
                    device: try info.optionalString("device"),
                    slot: try info.string("slot"),
                    slotType: try info.string("slot-type"),
                    source: try info.int("source"),
                    status: try info.int("status")
                )
            )
        case "DEVICE_TRAY_MOVED":
            return .trayMoved(
                device: try data.string("device"),
                id: try data.string("id"),
                isOpen: try data.bool("tray-open")
            )
        default: return nil
        }
    }

    private func blockKind(_ data: ReplyReader) throws(QMPError) -> Kind? {
        switch name {
        case "BLOCK_IO_ERROR":
            return .blockIOError(
                BlockIOError(
                    device: try data.string("device"),
                    nodeName: try data.optionalString("node-name"),
                    operation: try data.string("operation"),
                    action: try data.string("action"),
                    isOutOfSpace: try data.optionalBool("nospace") ?? false,
                    reason: try data.optionalString("reason") ?? ""
                )
            )
        case "BLOCK_JOB_COMPLETED":
            return .blockJobCompleted(device: try data.string("device"), error: try data.optionalString("error"))
        case "BLOCK_JOB_CANCELLED": return .blockJobCancelled(device: try data.string("device"))
        case "BLOCK_JOB_READY": return .blockJobReady(device: try data.string("device"))
        case "BLOCK_JOB_ERROR":
            return .blockJobError(
                device: try data.string("device"),
                operation: try data.string("operation"),
                action: try data.string("action")
            )
        case "JOB_STATUS_CHANGE":
            return .jobStatusChange(id: try data.string("id"), status: try data.string("status"))
        default: return nil
        }
    }
}
