import Foundation

/// A QEMU as the kernel shows it.
struct QEMUProcess: Hashable, Sendable {
    var processID: Int32
    /// Start time in clock ticks since the host started: with the process id it names a process for good.
    var startTicks: UInt64
    /// The machine's identifier, in lower case.
    var uuid: String

    /// Every QEMU that works in a folder below a run directory, whoever started it.
    static func all(runDirectory: String) -> [QEMUProcess] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int32($0) }.compactMap { process in
            guard
                let folder = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/cwd"),
                folder.hasPrefix("\(runDirectory)/vm/"), let arguments = arguments(process),
                let flag = arguments.firstIndex(of: "-uuid"), flag + 1 < arguments.count,
                let ticks = startTicks(process)
            else { return nil }
            return QEMUProcess(processID: process, startTicks: ticks, uuid: arguments[flag + 1])
        }
    }

    /// Whether it still exists and is no zombie.
    var isAlive: Bool { Self.startTicks(processID) == startTicks && Self.arguments(processID) != nil }

    /// What it was started with; nothing once it has ended.
    var arguments: [String] { Self.arguments(processID) ?? [] }

    private static func arguments(_ process: Int32) -> [String]? {
        guard let data = Files.read("/proc/\(process)/cmdline"), !data.isEmpty else { return nil }
        return data.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }

    private static func startTicks(_ process: Int32) -> UInt64? {
        guard let data = Files.read("/proc/\(process)/stat") else { return nil }
        // The program's name may contain anything, so fields are counted from its closing parenthesis.
        let text = String(decoding: data, as: UTF8.self)
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[end...].split(separator: " ")
        return fields.count > 20 ? UInt64(fields[20]) : nil
    }
}
