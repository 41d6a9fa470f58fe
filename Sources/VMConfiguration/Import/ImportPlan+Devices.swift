import RoostPrimitives

extension ImportPlan {
    /// Finds the drives' files, and decides where each comes to.
    mutating func takeDrives(_ source: ImportSource, _ choices: ImportChoices, _ facts: ImportFacts) {
        let recordedFormats = source.configuration.roost.diskFormats
        var targets: Set<String> = []
        var sources: Set<String> = []
        for drive in source.configuration.drives {
            checkSlot(drive)
            guard let recorded = drive.path else { continue }
            let search = DiskSearch(recordedPath: recorded, facts: facts)
            var disk = Disk(
                location: drive.location,
                kind: drive.kind,
                recordedPath: recorded,
                candidates: search.candidates
            )
            disk.source = search.found
            switch drive.kind {
            case .hardDisk:
                takeHardDisk(&disk, recordedFormats[recorded], choices, facts, &targets)
                if let path = disk.source, !sources.insert(path).inserted {
                    problems.append("\(path) is the disk of two drives: give each its own with --disks")
                }
            case .dvd:
                disk.format = .raw
                takeDVD(disk)
            case .floppy, .other:
                disk.source = nil
                drop(disk)
            }
            disks.append(disk)
        }
    }

    private mutating func checkSlot(_ drive: Drive) {
        guard drive.location.controllerType == .scsi, let controller = configuration.roost.diskController,
            drive.location.slot >= controller.slotCount
        else { return }
        problems.append(
            "the \(drive.kind) at \(drive.location) has no place on a SATA controller, which has \(controller.slotCount) "
                + "slots: leave --disk-controller out"
        )
    }

    private mutating func takeHardDisk(
        _ disk: inout Disk,
        _ recordedFormat: RoostSettings.DiskFormat?,
        _ choices: ImportChoices,
        _ facts: ImportFacts,
        _ targets: inout Set<String>
    ) {
        let name = DiskSearch.fileName(of: disk.recordedPath)
        guard !ImportFormat.isDifferencing(fileName: name) else {
            return problems.append(
                "the disk at \(disk.location), \(disk.recordedPath), belongs to a checkpoint and holds only changes: delete "
                    + "the checkpoints in Hyper-V, which merges them, and export again"
            )
        }
        guard let path = disk.source else {
            let reasons = disk.candidates.compactMap { candidate in candidate.note.map { "\(candidate.path): \($0)" } }
            let where_ = disk.candidates.map(\.path).joined(separator: ", ")
            return problems.append(
                "the disk at \(disk.location), \(disk.recordedPath), was not found: name its folder with --disks (looked at "
                    + "\(where_)\(reasons.isEmpty ? "" : "; \(reasons.joined(separator: "; "))"))"
            )
        }
        let stated = recordedFormat.flatMap { ImportFormat(rawValue: $0.rawValue) }
        guard let format = ImportFormat(fileName: DiskSearch.fileName(of: path)) ?? stated else {
            return problems.append(
                "the disk \(path) has no name that tells its format: end it in .vhdx, .vhd, .qcow2 or .img"
            )
        }
        disk.format = format
        choices.mode == .register
            ? useInPlace(disk, path, format, facts) : copy(&disk, path, format, choices, facts, &targets)
    }

    /// Uses a disk where it lies.
    private mutating func useInPlace(_ disk: Disk, _ path: String, _ format: ImportFormat, _ facts: ImportFacts) {
        guard let recorded = format.recorded else {
            return problems.append(
                "\(path) is a VHD, which no virtual machine runs from here: import without --register, which converts it"
            )
        }
        switch facts.pathsInUse?.contains(path) {
        case true?:
            problems.append("\(path) is a disk of another virtual machine already: import without --register")
        case nil:
            problems.append(
                "a virtual machine is broken, so nobody knows whether \(path) is its disk: import without --register"
            )
        case false?: break
        }
        setPath(path, at: disk.location)
        configuration.roost.diskFormats[path] = recorded
        if recorded == .vhdx {
            warnings.append(
                "\(path) stays VHDX: it cannot be resized, and blocks live migration; 'qemu-img convert' makes qcow2 of it"
            )
        }
    }

    /// Plans a copy of a disk in the host's folder.
    private mutating func copy(
        _ disk: inout Disk,
        _ path: String,
        _ format: ImportFormat,
        _ choices: ImportChoices,
        _ facts: ImportFacts,
        _ targets: inout Set<String>
    ) {
        let keeps = choices.keepsVHDX && format == .vhdx
        if choices.keepsVHDX && format == .vhd { warnings.append("\(path) is a VHD and becomes qcow2 all the same") }
        let targetFormat: RoostSettings.DiskFormat = keeps ? .vhdx : .qcow2
        let stem = Self.stem(DiskSearch.fileName(of: path), number: disks.count)
        var target = "\(facts.disksFolder)/\(stem).\(targetFormat.rawValue)"
        var number = 2
        while !targets.insert(target.lowercased()).inserted {
            target = "\(facts.disksFolder)/\(stem)-\(number).\(targetFormat.rawValue)"
            number += 1
        }
        disk.target = target
        disk.targetFormat = targetFormat
        setPath(target, at: disk.location)
        configuration.roost.diskFormats[target] = targetFormat
    }

    /// The name of a copy without its extension; one that makes no good name on Linux is replaced.
    private static func stem(_ name: String, number: Int) -> String {
        let stem = name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name
        let isGood =
            !stem.isEmpty && stem.utf8.count <= 200 && !stem.utf8.contains { $0 < 0x20 || $0 == 0x7F }
            && !stem.hasPrefix(".")
        return isGood ? stem : "disk-\(number)"
    }

    private mutating func takeDVD(_ disk: Disk) {
        setPath(disk.source, at: disk.location)
        if let path = disk.source {
            configuration.roost.diskFormats[path] = .raw
        } else {
            warnings.append("the DVD drive at \(disk.location) is empty now: \(disk.recordedPath) was not found")
        }
    }

    private mutating func drop(_ disk: Disk) {
        if disk.kind == .floppy {
            setPath(nil, at: disk.location)
            warnings.append("the floppy drive is empty now: there are none here")
        } else {
            _ = try? configuration.removeDrive(at: disk.location)
            warnings.append(
                "the \(disk.kind) at \(disk.location), \(disk.recordedPath), is detached: it is part of the other host"
            )
        }
    }

    private mutating func setPath(_ path: String?, at location: DriveLocation) {
        guard var drive = configuration.drive(at: location) else { return }
        drive.path = path
        do {
            try configuration.setDrive(drive)
        } catch {
            problems.append(error.message)
        }
    }
}

// Network adapters
extension ImportPlan {
    /// Connects the adapters to switches of this host.
    mutating func takeAdapters(_ choices: ImportChoices, _ facts: ImportFacts) {
        for var adapter in configuration.networkAdapters {
            if adapter.isConnected { connect(&adapter, facts) }
            if adapter.macAddress == nil || (choices.mode == .copy && !adapter.macAddressIsStatic) {
                adapter.macAddress = .random()
                newAddresses.insert(adapter.id)
            } else if choices.mode == .copy {
                warnings.append(
                    "\(adapter.name) keeps its static MAC address, which the original has too: change one of them before "
                        + "both run in one network"
                )
            }
            do {
                try configuration.updateNetworkAdapter(adapter)
            } catch {
                problems.append(error.message)
            }
        }
    }

    private mutating func connect(_ adapter: inout NetworkAdapter, _ facts: ImportFacts) {
        let item =
            facts.switches.first { $0.id == adapter.switchID }
            ?? facts.switches.first { !adapter.switchName.isEmpty && $0.name == adapter.switchName }
        if let item {
            adapter.switchID = item.id
            adapter.switchName = item.name
        } else {
            adapter.isConnected = false
            let name = adapter.switchName.isEmpty ? adapter.switchID?.description ?? "" : adapter.switchName
            warnings.append("\(adapter.name) is not connected: there is no switch \"\(name)\" on this host")
        }
    }
}
