import ArgumentParser
import ConfigStore
import HyperVStorage
import RoostAPI

/// What a check of a file found, as `roost file verify --output json` has it.
struct FileReport: Encodable {
    /// Something that was found.
    struct Finding: Encodable {
        var severity: String
        var structure: String
        var offset: UInt64?
        var detail: String
    }

    var path: String
    var form: KeyFile.Form
    var bytes: Int
    /// How many keys there are; left out when the file cannot be read.
    var keys: Int?
    /// The second copy that the file was compared with.
    var secondCopy: String?
    var copyGeneration: UInt64?
    var isSound: Bool
    var findings: [Finding]

    /// Checks a file, with its second copy where it has one.
    init(checking path: String, copy: String?) throws {
        let bytes: [UInt8]
        do { bytes = try FileAccess.readable(path) } catch { throw APIError(error) }
        self.path = path
        self.bytes = bytes.count
        form = try KeyFile.form(of: bytes, path)
        if form == .text {
            findings = []
            do throws(APIError) {
                keys = try KeyFile.text(bytes, path).children.reduce(0) { $0 + Self.count($1) }
            } catch {
                findings = [Finding(severity: "error", structure: "text", detail: error.cause ?? error.message)]
            }
            isSound = findings.isEmpty
            return
        }
        let found: FileExamination
        do { found = try FileExamination(of: path, copy: copy) } catch { throw APIError(error) }
        keys = found.keyCount
        secondCopy = copy
        copyGeneration = found.copyGeneration
        let memory = Self.memoryDamage(path)
        isSound = found.isSound && memory == nil
        findings =
            found.findings.map {
                Finding(severity: $0.severity.rawValue, structure: $0.structure, offset: $0.offset, detail: $0.detail)
            } + (memory.map { [Finding(severity: "error", structure: "memory", detail: $0)] } ?? [])
    }

    /// What is wrong with the memory in a saved state; nil for other files.
    private static func memoryDamage(_ path: String) -> String? {
        guard let reader = try? SavedStateReader(path) else { return nil }
        do {
            while try reader.next() != nil {}
            return nil
        } catch {
            return error.cause.map { "\(error.message): \($0)" } ?? error.message
        }
    }

    private static func count(_ node: KeyNode) -> Int { node.children.reduce(1) { $0 + count($1) } }

    /// A line on the whole, then one on each finding.
    var text: String {
        var parts = [form.rawValue, "\(bytes) bytes"]
        if let keys { parts.append("\(keys) keys") }
        if let secondCopy {
            parts.append("second copy \(secondCopy)" + (copyGeneration.map { ", generation \($0)" } ?? ""))
        }
        let lines = findings.map { finding in
            let place = finding.offset.map { " at 0x" + String($0, radix: 16, uppercase: true) } ?? ""
            return "  \(finding.severity): \(finding.structure)\(place): \(finding.detail)"
        }
        return (["\(path): \(isSound ? "sound" : "damaged") (\(parts.joined(separator: "; ")))"] + lines)
            .map { printable($0) + "\n" }.joined()
    }
}

struct FileVerify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check every checksum and rule of files, and say what is wrong where.",
        discussion: help(
            """
            A file in roostd's state directory is also compared, block by block, with its second copy; --copy names \
            one for another place. Errors and warnings end with exit code 7, notices do not. Nothing is changed.
            """,
            cmdlet: "none",
            example: "roost file verify web.vmcx db.xml\nroost file verify web.vmcx --copy web.vmcx.copy"
        )
    )

    @Argument(help: "The files.", completion: .file())
    var files: [String]

    @Option(help: "The file's second copy.", completion: .file())
    var copy: String?

    @OptionGroup var global: GlobalOptions

    func validate() throws {
        if copy != nil, files.count > 1 { throw ValidationError("--copy belongs to one file; check the others alone.") }
    }

    func run() throws {
        var reports: [FileReport] = []
        var failures = ""
        var code: Int32 = 0
        for file in files {
            do {
                let report = try FileReport(checking: file, copy: copy ?? StoredFile(file).existingCopy)
                reports.append(report)
                if !report.isSound, code == 0 { code = APIError.Code.corrupt.exitCode }
            } catch {
                let ending = Roost.ending(after: error)
                failures += ending.standardError
                if code == 0 { code = ending.code }
            }
        }
        try global.show(reports) { reports, _ in reports.map(\.text).joined() }
        try FileDescriptor.standardError.write(failures)
        if code != 0 { throw ExitCode(code) }
    }
}
