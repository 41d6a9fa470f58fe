import ArgumentParser
import RoostAPI
import RoostClient

struct CheckpointExport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Export what a checkpoint keeps as a virtual machine's folder.",
        discussion: help(
            """
            The machine may run. The folder of its name appears when it is complete, with whole disks; "roost vm import" \
            takes it. Ctrl-C cancels: nothing half made stays.
            """,
            cmdlet: "Export-VMSnapshot",
            example: "roost checkpoint export web \"before the upgrade\" /mnt/exports"
        )
    )

    @OptionGroup var arguments: CheckpointArguments

    @Argument(help: "The folder in which the machine's folder is made.", completion: .directory)
    var directory: String

    @Flag(help: "Convert the disks to VHDX.")
    var vhdx = false

    @OptionGroup var jobs: JobOptions
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let request = ExportVirtualMachineRequest(directory: Files.absolute(directory), vhdx: vhdx ? true : nil)
        let (machine, checkpoint) = (arguments.machine, arguments.checkpoint)
        let sentence = { (job: Job) in
            "\(machine): the checkpoint \(checkpoint) exported" + (job.result.map { " to \($0)" } ?? "")
        }
        try await global.runJob(waits: !jobs.noWait, interrupt: .cancels, sentence: sentence) {
            try await $0.exportCheckpoint(of: machine, checkpoint, request, waitSeconds: $1)
        }
    }
}

struct CheckpointNewVM: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "new-vm",
        abstract: "Make a virtual machine of its own from a checkpoint.",
        discussion: help(
            """
            The new machine has whole copies of the disks, an identity and a VM-Generation ID of its own, and new MAC \
            addresses where they are not static. The machine of the checkpoint may run. Ctrl-C cancels: nothing half made \
            stays.
            """,
            cmdlet: "Export-VMSnapshot, Import-VM",
            example: "roost checkpoint new-vm web \"before the upgrade\" web-test"
        )
    )

    @OptionGroup var arguments: CheckpointArguments

    @Argument(help: "The new machine's name.")
    var name: String

    @OptionGroup var jobs: JobOptions
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let (machine, checkpoint, name) = (arguments.machine, arguments.checkpoint, name)
        let sentence = { (job: Job) in "\(name): made" + (job.result.map { " (\($0))" } ?? "") }
        let request = NewVirtualMachineFromCheckpointRequest(name: name)
        try await global.runJob(waits: !jobs.noWait, interrupt: .cancels, sentence: sentence) {
            try await $0.createVirtualMachine(fromCheckpoint: checkpoint, of: machine, request, waitSeconds: $1)
        }
    }
}
