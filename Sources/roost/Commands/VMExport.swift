import ArgumentParser
import RoostAPI
import RoostClient

struct VMExport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Export a virtual machine with its disks into a folder.",
        discussion: help(
            """
            The machine must be off. The folder of its name appears when it is complete; "roost vm import" takes it. \
            Ctrl-C cancels: nothing half made stays.
            """,
            cmdlet: "Export-VM",
            example: "roost vm export web /mnt/exports\nroost vm export web /mnt/exports --vhdx"
        )
    )

    @Argument(help: "The machine's name or GUID.", completion: .virtualMachines)
    var name: String

    @Argument(help: "The folder in which the machine's folder is made.", completion: .directory)
    var directory: String

    @Flag(help: "Convert the disks to VHDX.")
    var vhdx = false

    @OptionGroup var jobs: JobOptions
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let request = ExportVirtualMachineRequest(directory: Files.absolute(directory), vhdx: vhdx ? true : nil)
        let name = name
        let sentence = { (job: Job) in "\(name): exported" + (job.result.map { " to \($0)" } ?? "") }
        _ = try await global.runJob(waits: !jobs.noWait, interrupt: .cancels, sentence: sentence) {
            try await $0.exportVirtualMachine(name, request, waitSeconds: $1)
        }
    }
}
