import ArgumentParser
import ConfigStore
import DurableFiles
import RoostAPI

struct FileRepairCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repair",
        abstract: "Make a damaged or missing file anew from what can be saved of it.",
        discussion: help(
            """
            A file in roostd's state directory is made from its second copy, one elsewhere from the copy that --copy \
            names. Without a whole copy, --salvage takes the keys that can still be read: look at them first with \
            roost file show --salvage. The damaged file stays beside the new one as FILE.damaged-1. roostd must not \
            run. On a terminal the command asks first; scripts say --yes. --dry-run only says what could be done.
            """,
            cmdlet: "none",
            example: """
                roost file repair web.vmcx --copy web.vmcx.copy --dry-run
                roost file repair web.vmcx --copy web.vmcx.copy --yes
                """
        )
    )

    @Argument(help: "The file.", completion: .file())
    var file: String

    @Option(help: "The file's second copy.", completion: .file())
    var copy: String?

    @Flag(help: "Keep the state of the file, although its second copy is newer.")
    var keepFile = false

    @Flag(help: "Take the keys that can still be read; the others are lost.")
    var salvage = false

    @Flag(help: "Say what can be saved and from where, and change nothing.")
    var dryRun = false

    @Flag(help: "Do not ask.")
    var yes = false

    @OptionGroup var global: GlobalOptions

    func validate() throws {
        if keepFile, salvage { throw ValidationError("--keep-file and --salvage exclude each other.") }
    }

    func run() throws {
        let stored = StoredFile(file)
        let copyPath = copy.map { StoredFile($0).path } ?? stored.copy
        if copy != nil, let copyPath, !FileAccess.system.exists(copyPath) {
            throw APIError(.notFound, "there is no second copy \(copyPath)")
        }
        if let copy { try KeyFile.requireCopy(StoredFile(copy).path) }
        if let bytes = try? FileAccess.readable(stored.path), try KeyFile.form(of: bytes, stored.path) == .text {
            throw APIError(
                .invalidArgument,
                "\(stored.path) is a text form, in which an editor puts right what is wrong"
            )
        }
        // Before looking: what is planned must still be so when it is done.
        if !dryRun { try stored.claim() }
        let plan: FileRepair
        do throws(StoreError) {
            plan = try FileRepair(planning: stored.path, copy: copyPath, files: FileAccess.system)
        } catch {
            throw APIError(error)
        }
        let repair = RepairReport(
            plan,
            copy: copyPath,
            sealed: try stored.sealed(),
            keepFile: keepFile,
            salvage: salvage
        )
        if dryRun || plan.isSound { return try global.show(repair) { repair, _ in repair.text } }
        let source = try repair.requiredSource()
        if !yes { try confirm(repair) }
        var done = repair
        do throws(StoreError) {
            let kept = try plan.carryOut(
                from: source,
                copy: copyPath,
                mode: stored.mode,
                files: FileAccess.system
            )
            (done.keptAs, done.copyKeptAs) = (kept.file, kept.copy)
        } catch {
            throw APIError(error)
        }
        done.isRepaired = true
        try global.show(done) { done, _ in done.text }
    }

    private func confirm(_ repair: RepairReport) throws {
        guard FileDescriptor.standardInput.isTerminal else {
            throw APIError(.invalidArgument, "nothing was changed: without a terminal to ask on, give --yes")
        }
        try FileDescriptor.standardError.write(repair.text + "Make \(printable(repair.path)) anew? [y/N] ")
        guard ["y", "yes"].contains((readLine() ?? "").lowercased()) else {
            throw APIError(.cancelled, "nothing was changed")
        }
    }
}
