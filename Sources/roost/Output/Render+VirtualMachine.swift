import RoostAPI
import RoostPrimitives

extension Render {
    static func machines(_ machines: [VirtualMachineSummary]) -> Table {
        var table = Table([
            .init("NAME"), .init("STATE"), .init("GEN", isNumber: true), .init("VERSION", isNumber: true),
            .init("MEMORY", isNumber: true), .init("CPUS", isNumber: true), .init("UPTIME", isNumber: true),
            .init("REASON"),
        ])
        for machine in machines {
            table.append([
                machine.name, machine.state.rawValue, machine.generation.map(String.init), machine.version,
                machine.memoryMiB.map(memoryText), machine.processors.map(String.init),
                machine.uptimeSeconds.map { durationText(seconds: $0) }, machine.reason,
            ])
        }
        return table
    }

    /// A machine's settings as fields, then its drives and network adapters as tables.
    static func machine(_ detail: VirtualMachineDetail, width: Int?) -> String {
        var text = settings(detail).text(width: width)
        if !detail.drives.isEmpty { text += "\n" + drives(detail.drives).text(width: width) }
        if !detail.networkAdapters.isEmpty { text += "\n" + adapters(detail.networkAdapters).text(width: width) }
        text += "\n" + firmware(detail.firmware).text(width: width)
        if let runtime = detail.runtime { text += "\n" + running(runtime).text(width: width) }
        if let saved = detail.savedState { text += "\n" + savedState(saved).text(width: width) }
        return text
    }

    /// What is known of every machine, be it broken.
    static func summary(_ summary: VirtualMachineSummary) -> FieldList {
        var fields = FieldList()
        fields.append("Name", summary.name)
        fields.append("Identifier", summary.id.uppercased)
        fields.append("State", summary.state.rawValue)
        fields.append("Reason", summary.reason)
        fields.append("Uptime", summary.uptimeSeconds.map { durationText(seconds: $0) })
        fields.append("Generation", summary.generation.map(String.init))
        fields.append("Version", summary.version)
        fields.append("Memory", summary.memoryMiB.map(memoryText))
        fields.append("Processors", summary.processors.map(String.init))
        fields.append("Configuration", summary.configurationFile)
        return fields
    }

    private static func settings(_ detail: VirtualMachineDetail) -> FieldList {
        var fields = summary(detail.summary)
        fields.append("Created", detail.created)
        let delay = detail.automaticStartDelaySeconds
        let start = detail.automaticStartAction.rawValue
        fields.append("Start action", delay > 0 ? "\(start), after \(delay) s" : start)
        fields.append("Stop action", detail.automaticStopAction.rawValue)
        fields.append("Checkpoints", detail.checkpointType.rawValue)
        fields.append("Automatic ones", detail.checkpointSchedule.map(schedule))
        let services = detail.integrationServices.sorted { $0.key < $1.key }
        fields.append("Integration", services.map { "\($0.key): \(onOff($0.value))" }.joined(separator: "\n"))
        fields.append("Free adapters", detail.freeNetworkAdapterSlots.map(String.init))
        fields.append("Configuration", detail.configurationFile)
        fields.append("Notes", detail.notes)
        return fields
    }

    private static func schedule(_ schedule: CheckpointScheduleInfo) -> String {
        var lines = ["every \(intervalText(minutes: schedule.everyMinutes)), \(schedule.keep) kept"]
        lines.append("last: \(schedule.last ?? "none")" + (schedule.next.map { ", next: \($0)" } ?? ""))
        if schedule.missed > 0 {
            lines.append(
                "missed since roostd started: \(schedule.missed), noticed \(schedule.lastMissed ?? "")"
                    + (schedule.reason.map { ": \($0)" } ?? "")
            )
        }
        return lines.joined(separator: "\n")
    }

    private static func intervalText(minutes: Int) -> String {
        if minutes % 1440 == 0 { return "\(minutes / 1440)d" }
        return minutes % 60 == 0 ? "\(minutes / 60)h" : "\(minutes)m"
    }

    private static func savedState(_ saved: SavedStateSummary) -> FieldList {
        var fields = FieldList()
        fields.append("Saved state", saved.path)
        fields.append("Size", saved.sizeBytes.map(sizeText))
        fields.append("Saved", saved.created)
        fields.append("QEMU", saved.qemuVersion)
        fields.append("Accelerator", saved.accelerator)
        fields.append("Problem", saved.problem)
        return fields
    }

    private static func running(_ runtime: RuntimeInfo) -> FieldList {
        var fields = FieldList()
        fields.append("QEMU", "\(runtime.qemuVersion), process \(runtime.processID)")
        fields.append("Machine type", runtime.machineType)
        fields.append("Accelerator", runtime.accelerator)
        fields.append("Processor model", runtime.processorModel)
        fields.append("Guest agent", runtime.guestAgentConnected ? "connected" : "has not answered")
        fields.append("VNC socket", runtime.vncSocket)
        fields.append("Serial socket", runtime.serialSocket)
        return fields
    }
}
