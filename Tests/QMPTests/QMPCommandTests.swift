import RoostPrimitives
import Testing

@testable import QMP

/// Answers as QEMU 7.2 gave them, shortened.
@Suite struct QMPCommandTests {
    private func read<Command: QMPCommand>(
        _ command: Command.Type,
        _ text: String
    ) throws -> Command.Response {
        try Command.response(from: try JSONValue(parsing: text.utf8))
    }

    @Test func machineAnswersAreRead() throws {
        let version = try read(
            QMPCommands.QueryVersion.self,
            #"{"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"}"#
        )
        #expect(version == QMPVersion(major: 7, minor: 2, micro: 22, package: "Debian"))
        #expect(version > QMPVersion(major: 5, minor: 9, micro: 30))
        let status = try read(
            QMPCommands.QueryStatus.self,
            #"{"status": "prelaunch", "singlestep": false, "running": false}"#
        )
        #expect(status == MachineStatus(state: .prelaunch, isRunning: false))
        #expect(try read(QMPCommands.QueryName.self, "{}") == nil)
        let uuid = try read(QMPCommands.QueryUUID.self, #"{"UUID": "ac6b8dc1-3257-4a70-b1b2-a9c9215659ad"}"#)
        #expect(uuid == GUID("AC6B8DC1-3257-4A70-B1B2-A9C9215659AD"))
        try read(QMPCommands.Stop.self, "{}")
    }

    @Test func hostAnswersAreRead() throws {
        let machines = try read(
            QMPCommands.QueryMachines.self,
            #"""
            [{"hotpluggable-cpus": true, "name": "pc-q35-7.2", "numa-mem-supported": false, "alias": "q35",
              "default-cpu-type": "qemu64-x86_64-cpu", "cpu-max": 288, "deprecated": false,
              "default-ram-id": "pc.ram"},
             {"hotpluggable-cpus": false, "name": "none", "cpu-max": 1, "is-default": true}]
            """#
        )
        #expect(machines.map(\.name) == ["pc-q35-7.2", "none"])
        #expect(machines.map(\.alias) == ["q35", nil])
        #expect(machines.map(\.processorLimit) == [288, 1])
        #expect(machines.map(\.isDefault) == [false, true])
        let models = try read(
            QMPCommands.QueryCPUDefinitions.self,
            #"""
            [{"name": "host", "typename": "host-x86_64-cpu", "unavailable-features": ["kvm"], "static": false,
              "migration-safe": false, "deprecated": false},
             {"name": "qemu64", "typename": "t", "unavailable-features": [], "alias-of": "qemu64-v1",
              "static": false, "migration-safe": true}]
            """#
        )
        #expect(models.map(\.unavailableFeatures) == [["kvm"], []])
        #expect(models.map(\.aliasOf) == [nil, "qemu64-v1"])
        #expect(models.map(\.isMigrationSafe) == [false, true])
        let kvm = try read(QMPCommands.QueryKVM.self, #"{"enabled": false, "present": true}"#)
        #expect(kvm == KVMStatus(isEnabled: false, isPresent: true))
        let properties = try read(
            QMPCommands.DeviceListProperties.self,
            #"[{"default-value": -1, "name": "addr", "description": "Slot", "type": "int32"}]"#
        )
        #expect(properties.map(\.defaultValue) == [-1])
    }

    @Test func devicesBehindBridgesAreFound() throws {
        let buses = try read(
            QMPCommands.QueryPCI.self,
            #"""
            [{"bus": 0, "devices": [{"bus": 0, "pci_bridge": {"bus": {"number": 1, "secondary": 0, "subordinate": 0},
              "devices": [{"bus": 1, "qdev_id": "net0", "slot": 0, "function": 0, "id": {"device": 4161,
              "vendor": 6900}, "class_info": {"class": 512}, "regions": []}]}, "qdev_id": "rp0", "slot": 1,
              "class_info": {"class": 1540}, "id": {"device": 12, "vendor": 6966}, "function": 0, "regions": []}]}]
            """#
        )
        #expect(buses.first?.devices.first?.id == "rp0")
        #expect(buses.first?.devices.first?.devicesBehind.map(\.id) == ["net0"])
        #expect(buses.first?.devices.first?.devicesBehind.map(\.vendorID) == [6900])
    }

    @Test func diskAnswersAreRead() throws {
        let node = #"""
            {"iops_rd": 0, "image": {"virtual-size": 1048576, "filename": "f", "format": "qcow2", "actual-size": 7},
             "ro": false, "node-name": "n0", "backing_file_depth": 1, "backing_file": "base", "drv": "qcow2",
             "encrypted": false, "file": "f"}
            """#
        let nodes = try read(QMPCommands.QueryNamedBlockNodes.self, "[\(node)]")
        #expect(nodes.map(\.name) == ["n0"])
        #expect(nodes.map(\.virtualSizeInBytes) == [1 << 20])
        #expect(nodes.map(\.actualSizeInBytes) == [7])
        #expect(nodes.map(\.backingFile) == ["base"])
        let devices = try read(
            QMPCommands.QueryBlock.self,
            #"[{"device": "", "qdev": "d0", "removable": true, "locked": false, "tray_open": true, "type": "u"},"#
                + #"{"device": "", "io-status": "ok", "removable": false, "locked": false, "inserted": \#(node)}]"#
        )
        #expect(devices.map(\.isTrayOpen) == [true, nil])
        #expect(devices.map(\.inserted) == [nil, nodes.first])
    }

    @Test func consoleAndMigrationAnswersAreRead() throws {
        let off = try read(QMPCommands.QueryVNC.self, #"{"enabled": false}"#)
        #expect(off == VNCStatus(isEnabled: false, clientCount: 0))
        let socket = try read(
            QMPCommands.QueryVNC.self,
            #"{"enabled": true, "auth": "none", "family": "unix", "host": "", "service": "/run/vnc", "clients": [{}]}"#
        )
        #expect(socket.service == "/run/vnc")
        #expect(socket.clientCount == 1)
        let devices = try read(
            QMPCommands.QueryChardev.self,
            #"[{"frontend-open": true, "filename": "stdio", "label": "compat_monitor0"}]"#
        )
        #expect(devices == [CharacterDevice(label: "compat_monitor0", filename: "stdio", isFrontendOpen: true)])
        #expect(try read(QMPCommands.QueryMigrate.self, "{}").state == nil)
        let migration = try read(
            QMPCommands.QueryMigrate.self,
            #"{"status": "completed", "downtime": 33, "ram": {"transferred": 5, "remaining": 0, "total": 9}}"#
        )
        #expect(migration.state?.isFinal == true)
        #expect(migration.downtimeInMilliseconds == 33)
        #expect(migration.memory?.totalInBytes == 9)
    }

    @Test func argumentsAreNamedAsOnTheWire() {
        #expect(
            QMPCommands.DeviceAdd(driver: "virtio-net-pci", id: "n", bus: "rp0", properties: ["mac": "m"]).arguments
                == ["driver": "virtio-net-pci", "id": "n", "bus": "rp0", "mac": "m"]
        )
        #expect(QMPCommands.NetdevAdd(type: "user", id: "n").arguments == ["type": "user", "id": "n"])
        #expect(
            QMPCommands.BlockdevAdd(driver: "raw", nodeName: "n", options: ["read-only": true]).arguments
                == ["driver": "raw", "node-name": "n", "read-only": true]
        )
        #expect(
            QMPCommands.BlockResize(nodeName: "n", sizeInBytes: .max).arguments
                == ["node-name": "n", "size": .uint64(.max)]
        )
        #expect(QMPCommands.Screendump(filename: "f").arguments == ["filename": "f"])
        #expect(QMPCommands.Screendump(filename: "f", format: .png).arguments == ["filename": "f", "format": "png"])
        #expect(QMPCommands.SetLink(id: "n", isUp: false).arguments == ["name": "n", "up": false])
        #expect(
            QMPCommands.ObjectAdd(type: "memory-backend-ram", id: "m", properties: ["size": 1]).arguments
                == ["qom-type": "memory-backend-ram", "id": "m", "size": 1]
        )
        #expect(
            QMPCommands.BlockdevChangeMedium(id: "cd", filename: "f", format: "raw").arguments
                == ["id": "cd", "filename": "f", "format": "raw", "read-only-mode": "read-only"]
        )
        #expect(
            QMPCommands.MigrateSetCapabilities(["b": false, "a": true]).arguments
                == ["capabilities": [["capability": "a", "state": true], ["capability": "b", "state": false]]]
        )
    }

    @Test func whatIsAddedIsRemovedUnderTheSameName() {
        #expect(QMPCommands.DeviceAdd.name == "device_add")
        #expect(QMPCommands.DeviceDelete.name == "device_del")
        #expect(QMPCommands.DeviceDelete(id: "n").arguments == ["id": "n"])
        #expect(QMPCommands.NetdevAdd.name == "netdev_add")
        #expect(QMPCommands.NetdevDelete.name == "netdev_del")
        #expect(QMPCommands.NetdevDelete(id: "n").arguments == ["id": "n"])
        #expect(QMPCommands.ObjectAdd.name == "object-add")
        #expect(QMPCommands.ObjectDelete.name == "object-del")
        #expect(QMPCommands.ObjectDelete(id: "m").arguments == ["id": "m"])
        #expect(QMPCommands.BlockdevAdd.name == "blockdev-add")
        #expect(QMPCommands.BlockdevDelete.name == "blockdev-del")
        #expect(QMPCommands.BlockdevDelete(nodeName: "n").arguments == ["node-name": "n"])
    }

    @Test(arguments: [
        (#"{"running": true}"#, "read reply of query-status: 'status' is not a value"),
        (#"{"running": 1, "status": "x"}"#, "read reply of query-status: 'running' is not true or false"),
        ("[]", "read reply of query-status: the result is not an object"),
    ])
    func answersOfAnotherShapeAreNamed(text: String, message: String) {
        let error = QMPError(.unexpectedReply, message, command: "query-status")
        #expect(throws: error) { try read(QMPCommands.QueryStatus.self, text) }
    }
}
