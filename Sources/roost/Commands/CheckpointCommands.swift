import ArgumentParser
import RoostAPI
import RoostPrimitives
import RoostClient

struct CheckpointCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "checkpoint",
        abstract: "Take, apply and remove checkpoints of virtual machines.",
        discussion: help(
            """
            A checkpoint keeps the disks, the settings and the UEFI variables of a virtual machine as they are, a standard \
            one of a guest that runs its memory too. Disks branch off in a moment and cost what is written afterwards. One \
            can be taken and removed while the guest runs.
            """,
            example: "roost checkpoint create web --name \"before the upgrade\"\nroost checkpoint list web"
        ),
        subcommands: [
            CheckpointCreate.self, CheckpointList.self, CheckpointShow.self, CheckpointRename.self,
            CheckpointApply.self, CheckpointRemove.self, CheckpointVerify.self, CheckpointExport.self,
            CheckpointNewVM.self,
        ]
    )
}

/// The argument that names a checkpoint.
struct CheckpointArguments: ParsableArguments {
    @Argument(help: "The machine's name or GUID.", completion: .virtualMachines)
    var machine: String

    @Argument(help: "The checkpoint's GUID, or its name when no other has it.")
    var checkpoint: String
}

struct CheckpointCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Take a checkpoint.",
        discussion: help(
            """
            The checkpoint's GUID is printed. What the machine writes from then on goes to new files beside its disks. The \
            file systems of a guest that runs are frozen for that moment by its agent. One that cannot be frozen has its memory \
            kept instead, as far as the machine's checkpoint type allows. roost checkpoint show says what was consistent. \
            Ctrl-C cancels the work: nothing half made stays.
            """,
            cmdlet: "Checkpoint-VM",
            example: "roost checkpoint create web\nroost checkpoint create web --name \"before the upgrade\""
        )
    )

    @Argument(help: "The machine's name or GUID.", completion: .virtualMachines)
    var machine: String

    @Option(help: "The checkpoint's name. (default: the machine's name and the time)")
    var name: String?

    @Flag(help: "A production checkpoint or none, with the checkpoint type Standard too.")
    var production = false

    @Flag(help: "A standard checkpoint, with memory, with the checkpoint type Production too.")
    var standard = false

    @OptionGroup var jobs: JobOptions
    @OptionGroup var global: GlobalOptions

    func validate() throws {
        if production, standard { throw ValidationError("--production and --standard exclude each other.") }
    }

    /// What roostd is asked for.
    var request: CreateCheckpointRequest {
        CreateCheckpointRequest(name: name, kind: production ? .production : standard ? .standard : nil)
    }

    func run() async throws {
        let (machine, request) = (machine, request)
        let sentence = { (job: Job) in "\(machine): checkpoint \(job.result ?? "") taken" }
        try await global.runJob(waits: !jobs.noWait, interrupt: .cancels, sentence: sentence) {
            try await $0.createCheckpoint(of: machine, request, waitSeconds: $1)
        }
    }
}

struct CheckpointList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List a virtual machine's checkpoints as a tree.",
        discussion: help(
            "A checkpoint stands below the one that the machine came from when it was taken. * marks the one that it came "
                + "from last.",
            cmdlet: "Get-VMSnapshot",
            example: "roost checkpoint list web"
        )
    )

    @Argument(help: "The machine's name or GUID.", completion: .virtualMachines)
    var machine: String

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        try global.show(await global.client.checkpoints(of: machine)) { Render.checkpoints($0).text(width: $1) }
    }
}

struct CheckpointShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show a checkpoint and its receipt: what was consistent, and what it relies on.",
        discussion: help(
            cmdlet: "Get-VMSnapshot | Format-List",
            example: "roost checkpoint show web \"before the upgrade\""
        )
    )

    @OptionGroup var arguments: CheckpointArguments
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        try global.show(await global.client.checkpoint(of: arguments.machine, arguments.checkpoint)) {
            Render.checkpoint($0).text(width: $1)
        }
    }
}

struct CheckpointRename: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rename",
        abstract: "Give a checkpoint another name.",
        discussion: help(
            cmdlet: "Rename-VMSnapshot",
            example: "roost checkpoint rename web \"before the upgrade\" good"
        )
    )

    @OptionGroup var arguments: CheckpointArguments

    @Argument(help: "The new name.")
    var newName: String

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let changed = try await global.client.updateCheckpoint(
            of: arguments.machine,
            arguments.checkpoint,
            UpdateCheckpointRequest(name: newName)
        )
        try global.show(changed, sentence: "\(changed.summary.id): called \"\(changed.summary.name)\"")
    }
}

struct CheckpointApply: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Give a virtual machine the state of a checkpoint.",
        discussion: help(
            """
            Disks, settings and UEFI variables become those of the checkpoint; the machine keeps its name. One with memory leaves \
            the machine saved: its start goes on from there. A saved state that the machine had is lost. What it has written \
            since its last checkpoint is lost, unless --checkpoint-first keeps it. A machine that runs is refused, unless \
            --turn-off ends its guest, as if the power were cut. The guest is told by a new VM-Generation ID. On a terminal \
            the command asks first; scripts say --yes.
            """,
            cmdlet: "Restore-VMSnapshot",
            example:
                "roost checkpoint apply web \"before the upgrade\"\nroost checkpoint apply web good --checkpoint-first --turn-off --start --yes"
        )
    )

    @OptionGroup var arguments: CheckpointArguments

    @Flag(help: "Take a checkpoint of the present state first.")
    var checkpointFirst = false

    @Flag(help: "Turn the machine off for it when it runs.")
    var turnOff = false

    @Flag(help: "Start the machine afterwards.")
    var start = false

    @Flag(help: "Do not ask.")
    var yes = false

    @OptionGroup var jobs: JobOptions
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let (machine, checkpoint) = (arguments.machine, arguments.checkpoint)
        let loss =
            (turnOff ? " It is turned off for that when it runs." : "")
            + (checkpointFirst
                ? "" : " What it has written since its last checkpoint is lost, and its saved state when it has one.")
        try confirm(
            "Apply the checkpoint \(printable(checkpoint)) to \(printable(machine))?\(loss)",
            yes: yes,
            nothing: "nothing was applied"
        )
        let request = ApplyCheckpointRequest(
            checkpointFirst: checkpointFirst ? true : nil,
            turnOff: turnOff ? true : nil,
            start: start ? true : nil
        )
        let end = start ? ", and it runs" : ""
        let sentence = { (_: Job) in "\(machine): the checkpoint \(checkpoint) was applied\(end)" }
        try await global.runJob(waits: !jobs.noWait, interrupt: .leaves, sentence: sentence) {
            try await $0.applyCheckpoint(to: machine, checkpoint, request, waitSeconds: $1)
        }
    }
}

struct CheckpointRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Remove a checkpoint.",
        discussion: help(
            """
            The machine, which may run, and its other checkpoints stay as they are. Disk files that nobody needs for \
            themselves any more are merged, which costs as much as was written into them. Ctrl-C ends that: the checkpoint is gone, and the \
            rest is done with the next one. On a terminal the command asks first; scripts say --yes.
            """,
            cmdlet: "Remove-VMSnapshot",
            example:
                "roost checkpoint remove web \"before the upgrade\"\nroost checkpoint remove web old --subtree --yes"
        )
    )

    @OptionGroup var arguments: CheckpointArguments

    @Flag(help: "Remove all checkpoints that came from it too. Without it they stay.")
    var subtree = false

    @Flag(help: "Do not ask.")
    var yes = false

    @OptionGroup var jobs: JobOptions
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let (machine, checkpoint) = (arguments.machine, arguments.checkpoint)
        try confirm(
            "Remove the checkpoint \(printable(checkpoint)) of \(printable(machine))"
                + (subtree ? " with all that came from it?" : "?"),
            yes: yes,
            nothing: "nothing was removed"
        )
        let request = RemoveCheckpointRequest(subtree: subtree ? true : nil)
        let sentence = { (_: Job) in "\(machine): the checkpoint \(checkpoint) was removed" }
        try await global.runJob(waits: !jobs.noWait, interrupt: .cancels, sentence: sentence) {
            try await $0.removeCheckpoint(of: machine, checkpoint, request, waitSeconds: $1)
        }
    }
}
