import RoostAPI
import RoostPrimitives

/// What commands show to people, as tables and lists of fields.
enum Render {
    static func host(_ host: HostInfo) -> FieldList {
        var fields = FieldList()
        fields.append("Host", host.name)
        fields.append("Roost", host.roostVersion)
        fields.append("Functional level", "\(host.functionalLevel) (\(host.functionalLevelName))")
        fields.append("QEMU", "\(host.qemuVersion) (\(host.qemuPath))")
        fields.append("QEMU's user", host.qemuUser)
        fields.append("Accelerator", "\(host.accelerator) (\(host.acceleratorReason))")
        fields.append("Processor model", host.processorModel)
        fields.append("Processors", String(host.processors))
        fields.append("Memory", "\(memoryText(host.memoryMiB)), \(memoryText(host.availableMemoryMiB)) available")
        fields.append("Versions", host.supportedVersions.joined(separator: ", "))
        fields.append("Default version", host.defaultVersion)
        fields.append("State directory", host.stateDirectory)
        fields.append("Run directory", host.runDirectory)
        fields.append("roostd's process", String(host.processID))
        fields.append("Warnings", host.warnings.joined(separator: "\n"))
        return fields
    }

    static func disks(_ disks: [DiskInfo]) -> Table {
        var table = Table([
            .init("PATH"), .init("FORMAT"), .init("SIZE", isNumber: true), .init("ON HOST", isNumber: true),
            .init("ATTACHED TO"), .init("PARENT"), .init("PROBLEM"),
        ])
        for disk in disks {
            let isKnown = disk.problem == nil
            table.append([
                disk.path, isKnown ? disk.format : nil, isKnown ? sizeText(disk.virtualSizeBytes) : nil,
                isKnown ? sizeText(disk.actualSizeBytes) : nil, disk.attachedTo.joined(separator: ", "),
                disk.backingFile, disk.problem,
            ])
        }
        return table
    }

    static func drives(_ drives: [DriveInfo]) -> Table {
        var table = Table([
            .init("LOCATION"), .init("KIND"), .init("FORMAT"), .init("SIZE", isNumber: true),
            .init("ON HOST", isNumber: true), .init("FILE"), .init("PROBLEM"),
        ])
        for drive in drives {
            table.append([
                drive.location, drive.kind, drive.disk?.format, drive.disk.map { sizeText($0.virtualSizeBytes) },
                drive.disk.map { sizeText($0.actualSizeBytes) }, drive.path ?? "(empty)", drive.problem,
            ])
        }
        return table
    }

    static func adapters(_ adapters: [NetworkAdapterInfo]) -> Table {
        var table = Table([.init("VM"), .init("NAME"), .init("SWITCH"), .init("MAC ADDRESS"), .init("ADDRESSES")])
        for adapter in adapters {
            table.append([
                adapter.virtualMachine, adapter.name, adapter.switchName ?? "(not connected)", adapter.macAddress,
                adapter.addresses.joined(separator: ", "),
            ])
        }
        return table
    }

    static func switches(_ switches: [SwitchInfo]) -> Table {
        var table = Table([
            .init("NAME"), .init("TYPE"), .init("BRIDGE"), .init("INTERFACE"), .init("VMS"), .init("PROBLEM"),
        ])
        for item in switches {
            table.append([
                item.name, item.type.rawValue, item.bridge, item.interface,
                item.virtualMachines.joined(separator: ", "), item.problem,
            ])
        }
        return table
    }

    static func firmware(_ firmware: FirmwareInfo) -> FieldList {
        var fields = FieldList()
        fields.append("Firmware", firmware.type)
        fields.append("Secure Boot", firmware.secureBoot.map(onOff))
        fields.append("Template", firmware.secureBootTemplate)
        let authorities = firmware.trustedAuthorities.map { authority in
            authority.commonName + (authority.notAfter.map { " (valid until \($0))" } ?? "")
        }
        fields.append("Trusts", authorities.joined(separator: "\n"))
        fields.append("Boot order", firmware.bootOrder.joined(separator: ", "))
        fields.append("Boot entries", firmware.firmwareBootEntries.joined(separator: "\n"))
        fields.append("Has started", firmware.hasStarted ? "yes" : "no")
        return fields
    }

    static func jobs(_ jobs: [Job]) -> Table {
        var table = Table([
            .init("ID", isNumber: true), .init("KIND"), .init("SUBJECT"), .init("STATE"), .init("DONE", isNumber: true),
            .init("STARTED"), .init("ENDED"), .init("RESULT"),
        ])
        for job in jobs {
            table.append([
                String(job.id), job.kind, job.subject, job.state.rawValue,
                job.state == .running ? percent(job.progress) : nil, job.started, job.ended,
                job.error?.description ?? job.result,
            ])
        }
        return table
    }

    static func job(_ job: Job) -> FieldList {
        var fields = FieldList()
        fields.append("Job", String(job.id))
        fields.append("Kind", job.kind)
        fields.append("Subject", job.subject)
        fields.append("Identifier", job.virtualMachine?.uppercased)
        fields.append("State", job.state.rawValue)
        fields.append("Done", percent(job.progress))
        fields.append("Started", job.started)
        fields.append("Ended", job.ended)
        fields.append("Result", job.result)
        fields.append("Error", job.error?.description)
        fields.append("Warnings", job.warnings.joined(separator: "\n"))
        return fields
    }

    static func event(_ event: Event, width: Int?) -> String {
        let state = event.state.map { " (\($0.rawValue))" } ?? ""
        let line = printable(
            "\(event.sequence)  \(event.time)  \(event.kind)  \(event.subject)\(state)  \(event.message)"
        )
        return (width.map { truncated(line, to: $0) } ?? line) + "\n"
    }

    static func onOff(_ value: Bool) -> String { value ? "on" : "off" }

    private static func percent(_ progress: Double?) -> String? {
        guard let progress, progress.isFinite else { return nil }
        return "\(Int(min(max(progress, 0), 1) * 100)) %"
    }
}
