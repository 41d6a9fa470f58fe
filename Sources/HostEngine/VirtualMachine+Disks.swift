import ConfigStore
import Logging
import QEMUDriver
import QMP
package import RoostAPI
import VMConfiguration

extension VirtualMachine {
    /// The drives as the API shows them, without a look into the files.
    func drives(_ configuration: VirtualMachineConfiguration) -> [DriveInfo] {
        configuration.drives.map { drive in
            DriveInfo(
                controllerType: drive.location.controllerType.rawValue,
                controllerNumber: drive.location.controllerNumber,
                slot: drive.location.slot,
                kind: drive.kind.word,
                path: drive.path,
                problem: drive.path.flatMap { fileExists($0) ? nil : "the file does not exist" }
            )
        }
    }

    /// The drives with what their files are.
    package func inspectDrives() async throws -> [DriveInfo] {
        let configuration = try await load()
        let formats = configuration.roost.diskFormats
        var result = drives(configuration)
        for index in result.indices {
            guard let path = result[index].path, result[index].problem == nil else { continue }
            do {
                let info = try await host.images.info(path, format: formats[path]?.rawValue)
                result[index].disk = DiskInfo(
                    path: path,
                    format: info.format,
                    virtualSizeBytes: info.virtualSizeBytes,
                    actualSizeBytes: info.actualSizeBytes,
                    backingFile: info.backingFile,
                    attachedTo: [name]
                )
            } catch {
                result[index].problem = APIError(translating: error).description
            }
        }
        return result
    }

    /// Attaches a file; a running machine takes it on a SCSI controller.
    ///
    /// - Parameter recorded: what a machine has used the file as.
    func attach(_ request: AttachDiskRequest, recorded: RoostSettings.DiskFormat?) async throws -> DriveInfo {
        let kind = try Drive.Kind(word: request.kind, path: request.path)
        let wanted = try request.location.map { try parseLocation($0) }
        let drive = try await gate.run {
            try requireUsable("attach a disk to")
            try requireDisksAtRest("attach a disk to")
            try requireNoSavedState("attach a disk to")
            try await settleCheckpoints()
            return try await addDrive(kind, request, at: wanted, recorded: recorded)
        }
        host.events.publish(
            "vm.changed",
            virtualMachine: id,
            subject: name,
            message: "\(name): \(drive.location) attached"
        )
        return DriveInfo(
            controllerType: drive.location.controllerType.rawValue,
            controllerNumber: drive.location.controllerNumber,
            slot: drive.location.slot,
            kind: kind.word,
            path: drive.path
        )
    }

    /// Adds a drive to the configuration and to the QEMU that runs, or to neither; to be called within the gate.
    private func addDrive(
        _ kind: Drive.Kind,
        _ request: AttachDiskRequest,
        at wanted: DriveLocation?,
        recorded: RoostSettings.DiskFormat?
    ) async throws -> Drive {
        let before = try await load()
        let earlier = before.roost.diskFormats[request.path]
        let format = try await host.formatOfDisk(request.path, stated: request.format, recorded: recorded ?? earlier)
        if format == .vhdx && kind == .hardDisk {
            host.log.notice(
                "a VHDX disk blocks live migration",
                metadata: ["machine": "\(name)", "disk": "\(request.path)"]
            )
        }
        try await checkReachable(request.path, writable: kind == .hardDisk)
        // IDE takes drives only while the machine is off.
        let free = machine != nil ? before.nextFreeSCSILocation : before.nextFreeLocation(for: kind)
        guard let location = wanted ?? free else {
            throw APIError(.insufficientResources, "\(name) has no free place for another drive")
        }
        let drive = Drive(location: location, kind: kind, path: request.path)
        _ = try await commit { configuration in
            if let user = configuration.drives.first(where: { $0.path == request.path && kind == .hardDisk }) {
                throw APIError(.exists, "\(request.path) is attached at \(user.location) already")
            }
            try configuration.addDrive(drive)
            configuration.roost.diskFormats[request.path] = format
        }
        do {
            try await plug(drive, format)
        } catch {
            // What went wrong first is what the user should read.
            _ = try? await commit {
                _ = try $0.removeDrive(at: drive.location)
                $0.roost.diskFormats[request.path] = earlier
            }
            throw error
        }
        return drive
    }

    /// Detaches the drive at a location; its file stays.
    package func detach(_ text: String) async throws {
        let location = try parseLocation(text)
        try await gate.run {
            try requireUsable("detach a disk from")
            try requireDisksAtRest("detach a disk from")
            try requireNoSavedState("detach a disk from")
            try await settleCheckpoints()
            guard let drive = try await load().drive(at: location) else {
                throw APIError(.notFound, "\(name) has no drive at \(location)")
            }
            try await unplug(location)
            // What its file was used as stays known: a guest may have written anything into it.
            _ = try await commit { configuration in
                _ = try configuration.removeDrive(at: location)
                // Whoever takes a disk out wants to have it, whatever a merge that was cut off thought of it.
                configuration.spareDisks.removeAll { $0 == drive.path }
            }
        }
        host.events.publish("vm.changed", virtualMachine: id, subject: name, message: "\(name): \(location) detached")
    }

    /// Tells the running guest that one of its disks has another size.
    package func resizeRunning(_ path: String, sizeBytes: UInt64) async throws -> Bool {
        guard let machine,
            let drive = try await load().drives.first(where: { $0.path == path && $0.kind == .hardDisk })
        else { return false }
        try requireDisksAtRest("resize a disk of")
        let node = try await machine.topNode(drive.location)?.name ?? MachineArguments.nodeName(drive.location)
        try await machine.monitor.execute(QMPCommands.BlockResize(nodeName: node, sizeInBytes: sizeBytes))
        return true
    }

    private func checkReachable(_ path: String, writable: Bool) async throws {
        let user = host.user
        try await onDisk { try user.requireAccess(to: path, writable: writable) }
    }

    private func plug(_ drive: Drive, _ format: RoostSettings.DiskFormat) async throws {
        guard let machine, let path = drive.path else { return }
        guard drive.location.controllerType == .scsi else {
            throw APIError(.invalidState, "\(name) runs: only drives on a SCSI controller can be attached then")
        }
        let node = MachineArguments.nodeName(drive.location)
        let options = BlockNodeOptions(name: node, format: format, path: path, readOnly: drive.kind == .dvd)
        do {
            try await machine.monitor.execute(
                QMPCommands.BlockdevAdd(driver: options.driver, nodeName: node, options: options.options)
            )
        } catch let error as QMPError where error.message.contains("lock") {
            throw APIError(.busy, "cannot attach \(path): another process uses it", cause: error.message)
        }
        do {
            try await machine.monitor.execute(
                QMPCommands.DeviceAdd(
                    driver: drive.kind == .dvd ? "scsi-cd" : "scsi-hd",
                    id: MachineArguments.deviceID(drive.location),
                    bus: "scsi\(drive.location.controllerNumber).0",
                    properties: [
                        "channel": 0, "scsi-id": .int(Int64(drive.location.slot)), "lun": 0, "drive": .string(node),
                    ]
                )
            )
        } catch {
            _ = try? await machine.monitor.execute(QMPCommands.BlockdevDelete(nodeName: node))
            throw error
        }
    }

    private func unplug(_ location: DriveLocation) async throws {
        guard let machine else { return }
        guard location.controllerType == .scsi else {
            throw APIError(.invalidState, "\(name) runs: only drives on a SCSI controller can be detached then")
        }
        do {
            try await machine.monitor.execute(QMPCommands.DeviceDelete(id: MachineArguments.deviceID(location)))
        } catch let error as QMPError where error.errorClass == .deviceNotFound {
            // An earlier roostd was killed between QEMU and the configuration.
        }
        try await machine.closeNodes(of: location)
    }

    private func parseLocation(_ text: String) throws -> DriveLocation {
        guard let location = DriveLocation(text) else {
            throw APIError(.invalidArgument, "\"\(text)\" is no drive location: write it as scsi:0:1 or ide:0:0")
        }
        return location
    }
}

extension VirtualMachineConfiguration {
    /// The first free slot on a SCSI controller; nil when there is none.
    fileprivate var nextFreeSCSILocation: DriveLocation? {
        let taken = Set(drives.map(\.location))
        for controller in scsiControllers {
            for slot in 0..<DriveLocation.ControllerType.scsi.slotCount {
                let location = DriveLocation(.scsi, controller.number, slot)
                if !taken.contains(location) { return location }
            }
        }
        return nil
    }
}

extension Drive.Kind {
    /// The word that the API uses.
    var word: String {
        switch self {
        case .hardDisk: "disk"
        case .dvd: "dvd"
        case .floppy: "floppy"
        case .other(let type): type
        }
    }

    /// Reads `disk` or `dvd`; without a word the path's extension decides.
    init(word: String?, path: String) throws {
        switch word ?? (path.lowercased().hasSuffix(".iso") ? "dvd" : "disk") {
        case "disk": self = .hardDisk
        case "dvd": self = .dvd
        case let other: throw APIError(.invalidArgument, "\"\(other)\" is no kind of drive: choose disk or dvd")
        }
    }
}
