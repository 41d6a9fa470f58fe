import RoostAPI
import Synchronization

/// Shows how jobs get on: a bar on a terminal, plain lines elsewhere, nothing but notes for a program.
///
/// Jobs are reported here only once they have taken a second, so short ones leave no trace.
final class ProgressDisplay: Sendable {
    private let width: Int?
    private let output: OutputFormat
    private let write: @Sendable (String) -> Void
    private let state = Mutex(State())

    private struct State {
        var running: [Job] = []
        var reportedQuarters: [Int: Int] = [:]
        var hasBar = false
    }

    /// What is told beside the command's own result.
    private struct Note: Encodable {
        var message: String
    }

    /// A display for a terminal of a width; nil for no terminal.
    init(width: Int?, _ output: OutputFormat = .table, write: @escaping @Sendable (String) -> Void) {
        self.width = width
        self.output = output
        self.write = write
    }

    /// A display on standard error.
    convenience init(_ output: OutputFormat) {
        // Progress that cannot be shown is no reason to fail.
        self.init(width: FileDescriptor.standardError.terminalWidth, output) { text in
            try? FileDescriptor.standardError.write(text)
        }
    }

    /// Takes note of a job that still runs.
    func update(_ job: Job) {
        guard output == .table else { return }
        state.withLock { state in
            if let index = state.running.firstIndex(where: { $0.id == job.id }) {
                state.running[index] = job
            } else {
                state.running.append(job)
            }
            if let width { showBar(&state, width) } else { showLine(&state, job) }
        }
    }

    /// Takes note that a job has ended.
    func end(_ job: Job) {
        state.withLock { state in
            state.running.removeAll { $0.id == job.id }
            if let width { showBar(&state, width) }
        }
    }

    /// Prints a line in its own right, above the bar; for a program, an object with a `message`.
    func note(_ message: String) {
        state.withLock { state in
            if output == .json, let line = try? JSONText.line(Note(message: message)) {
                return write(String(decoding: line, as: UTF8.self))
            }
            write((state.hasBar ? Self.clearLine : "") + "roost: \(printable(message))\n")
            state.hasBar = false
            if let width { showBar(&state, width) }
        }
    }

    private func showBar(_ state: inout State, _ width: Int) {
        guard let first = state.running.first else {
            if state.hasBar { write(Self.clearLine) }
            state.hasBar = false
            return
        }
        let line = state.running.count == 1 ? Self.bar(first, width: width) : Self.summary(state.running)
        write(Self.clearLine + truncated(line, to: width - 1))
        state.hasBar = true
    }

    private func showLine(_ state: inout State, _ job: Job) {
        let quarter = Int(Self.fraction(job) * 4)
        guard let reported = state.reportedQuarters[job.id] else {
            state.reportedQuarters[job.id] = quarter
            write("roost: \(Self.title(job)) is under way as job \(job.id)\n")
            return
        }
        guard quarter > reported, quarter < 4 else { return }
        state.reportedQuarters[job.id] = quarter
        write("roost: \(Self.title(job)): \(Self.percent(job)) %\n")
    }

    private static let clearLine = "\r\u{1B}[K"

    /// A job as `vm.create web [######--------------]  30 %`.
    static func bar(_ job: Job, width: Int) -> String {
        guard job.progress != nil else { return "\(title(job)) ..." }
        let cells = min(40, max(10, width - title(job).unicodeScalars.count - 12))
        let filled = Int(fraction(job) * Double(cells))
        let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: cells - filled)
        let number = String(percent(job))
        return "\(title(job)) [\(bar)] \(String(repeating: " ", count: 3 - number.count))\(number) %"
    }

    private static func summary(_ jobs: [Job]) -> String {
        let parts = jobs.map {
            $0.progress == nil ? printable($0.subject) : "\(printable($0.subject)) \(percent($0)) %"
        }
        return "\(jobs.count) jobs: " + parts.joined(separator: ", ")
    }

    private static func title(_ job: Job) -> String { printable("\(job.kind) \(job.subject)") }

    /// The progress within 0 and 1, whatever was sent.
    private static func fraction(_ job: Job) -> Double {
        guard let progress = job.progress, progress.isFinite else { return 0 }
        return min(max(progress, 0), 1)
    }

    private static func percent(_ job: Job) -> Int { Int(fraction(job) * 100) }
}
