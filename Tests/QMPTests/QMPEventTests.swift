import Testing

@testable import QMP

@Suite struct QMPEventTests {
    private func kind(_ name: String, _ data: String = "{}") throws -> QMPEvent.Kind {
        let time = QMPEvent.Timestamp(seconds: 0, microseconds: 0)
        return QMPEvent(name: name, data: try JSONValue(parsing: data.utf8), timestamp: time, sequence: 0).kind
    }

    @Test(arguments: [
        (
            "SHUTDOWN", #"{"guest": true, "reason": "guest-shutdown"}"#,
            QMPEvent.Kind.shutdown(isGuestInitiated: true, reason: "guest-shutdown")
        ),
        (
            "RESET", #"{"guest": false, "reason": "host-qmp-system-reset"}"#,
            .reset(isGuestInitiated: false, reason: "host-qmp-system-reset")
        ),
        ("STOP", "{}", .stop), ("RESUME", "{}", .resume), ("POWERDOWN", "{}", .powerdown),
        ("SUSPEND", "{}", .suspend), ("SUSPEND_DISK", "{}", .suspendToDisk), ("WAKEUP", "{}", .wakeup),
        ("GUEST_PANICKED", #"{"action": "pause"}"#, .guestPanicked(action: "pause")),
        ("MIGRATION", #"{"status": "completed"}"#, .migration(status: "completed")),
        ("RTC_CHANGE", #"{"offset": -78, "qom-path": "/machine/rtc"}"#, .realTimeClockChange(offsetInSeconds: -78)),
        ("BALLOON_CHANGE", #"{"actual": 944766976}"#, .balloonChange(actualInBytes: 944_766_976)),
        ("WATCHDOG", #"{"action": "reset"}"#, .watchdog(action: "reset")),
    ])
    func machineEventsAreRead(name: String, data: String, expected: QMPEvent.Kind) throws {
        #expect(try kind(name, data) == expected)
    }

    @Test(arguments: [
        (
            "DEVICE_DELETED", #"{"device": "b0", "path": "/machine/peripheral/b0"}"#,
            QMPEvent.Kind.deviceDeleted(id: "b0", path: "/machine/peripheral/b0")
        ),
        (
            "DEVICE_DELETED", #"{"path": "/machine/peripheral/b0/virtio-backend"}"#,
            .deviceDeleted(id: nil, path: "/machine/peripheral/b0/virtio-backend")
        ),
        ("DEVICE_UNPLUG_GUEST_ERROR", #"{"device": "d", "path": "/p"}"#, .deviceUnplugGuestError(id: "d", path: "/p")),
        ("VSERPORT_CHANGE", #"{"id": "agent0", "open": true}"#, .serialPortChange(id: "agent0", isOpen: true)),
        ("NIC_RX_FILTER_CHANGED", #"{"name": "n0", "path": "/p"}"#, .networkFilterChanged(id: "n0", path: "/p")),
        (
            "MEMORY_DEVICE_SIZE_CHANGE", #"{"id": "vm0", "size": 1073741824, "qom-path": "/p"}"#,
            .memoryDeviceSizeChange(id: "vm0", sizeInBytes: 1 << 30, path: "/p")
        ),
        (
            "DEVICE_TRAY_MOVED", #"{"device": "", "id": "cd0", "tray-open": true}"#,
            .trayMoved(device: "", id: "cd0", isOpen: true)
        ),
        (
            "ACPI_DEVICE_OST",
            #"{"info": {"device": "d1", "slot": "0", "slot-type": "DIMM", "source": 1, "status": 0}}"#,
            .acpiDeviceStatus(
                QMPEvent.ACPIDeviceStatus(device: "d1", slot: "0", slotType: "DIMM", source: 1, status: 0)
            )
        ),
    ])
    func deviceEventsAreRead(name: String, data: String, expected: QMPEvent.Kind) throws {
        #expect(try kind(name, data) == expected)
    }

    @Test(arguments: [
        (
            "BLOCK_IO_ERROR",
            #"{"device": "", "node-name": "n0", "operation": "write", "action": "stop", "nospace": true, "reason": "x"}"#,
            QMPEvent.Kind.blockIOError(
                QMPEvent.BlockIOError(
                    device: "",
                    nodeName: "n0",
                    operation: "write",
                    action: "stop",
                    isOutOfSpace: true,
                    reason: "x"
                )
            )
        ),
        (
            "BLOCK_JOB_COMPLETED", #"{"device": "j", "type": "mirror", "error": "No space"}"#,
            .blockJobCompleted(device: "j", error: "No space")
        ),
        ("BLOCK_JOB_CANCELLED", #"{"device": "j"}"#, .blockJobCancelled(device: "j")),
        ("BLOCK_JOB_READY", #"{"device": "j"}"#, .blockJobReady(device: "j")),
        (
            "BLOCK_JOB_ERROR", #"{"device": "j", "operation": "read", "action": "report"}"#,
            .blockJobError(device: "j", operation: "read", action: "report")
        ),
        ("JOB_STATUS_CHANGE", #"{"id": "j", "status": "concluded"}"#, .jobStatusChange(id: "j", status: "concluded")),
    ])
    func diskEventsAreRead(name: String, data: String, expected: QMPEvent.Kind) throws {
        #expect(try kind(name, data) == expected)
    }

    @Test(arguments: [
        ("SHUTDOWN", "{}"), ("SHUTDOWN", #"{"guest": 1}"#), ("VSERPORT_CHANGE", #"{"id": "x"}"#), ("RTC_CHANGE", "[]"),
        ("NEW_EVENT", "{}"), ("BALLOON_CHANGE", #"{"actual": -1}"#), ("ACPI_DEVICE_OST", #"{"info": []}"#),
    ])
    func eventsOfAnotherShapeKeepTheirName(name: String, data: String) throws {
        #expect(try kind(name, data) == .other(name: name))
    }
}
