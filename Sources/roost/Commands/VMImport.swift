import ArgumentParser
import RoostAPI
import RoostClient

struct VMImport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Import a virtual machine of Hyper-V, or one that was exported.",
        discussion: help(
            """
            The path is an exported folder, or a configuration file: .vmcx, or .xml of version 5.0 and older. Disks are \
            looked for at their recorded path, beside the file and in the export's folders, then in --disks.

            Without --register disks are copied into the host's folder, VHDX and VHD as qcow2; the originals are only \
            read. Ctrl-C cancels: nothing half made stays.
            """,
            cmdlet: "Import-VM, Compare-VM",
            example: """
                roost vm import /mnt/export/web --plan
                roost vm import /mnt/export/web --copy --name web2
                roost vm import web.xml --disks /mnt/disks --disk-controller ahci
                """
        )
    )

    @Argument(help: "An exported folder, or a configuration file.", completion: .file())
    var path: String

    @Flag(help: "Use the disks where they lie; the GUID stays.")
    var register = false

    @Flag(help: "Give the machine a new GUID, so that the original can go on beside it.")
    var copy = false

    @Flag(help: "Only tell what would be done.")
    var plan = false

    @Option(help: "Look for disks in this folder too.", completion: .directory)
    var disks: String?

    @Option(help: "The machine's name. (default: the one in the file)")
    var name: String?

    @Flag(name: .customLong("keep-vhdx"), help: "Copy VHDX disks as they are.")
    var keepVHDX = false

    @Option(
        help: "The SCSI controllers: virtio-scsi, or ahci for a guest without drivers. (default: virtio-scsi)",
        completion: .list(["virtio-scsi", "ahci"])
    )
    var diskController: String?

    @Option(
        help: "The network adapters: virtio, e1000 or e1000e. (default: e1000 for generation 1, virtio for 2)",
        completion: .list(["virtio", "e1000", "e1000e"])
    )
    var adapterModel: String?

    @OptionGroup var jobs: JobOptions
    @OptionGroup var global: GlobalOptions

    func validate() throws {
        if register, copy {
            throw ValidationError("--register and --copy exclude each other: disks are used, or copied.")
        }
        if register, keepVHDX {
            throw ValidationError("--keep-vhdx is for copies; --register leaves disks as they are.")
        }
        if plan, jobs.noWait { throw ValidationError("--plan makes no job, so --no-wait cannot be given with it.") }
    }

    /// What roostd is asked for.
    func request() -> ImportVirtualMachineRequest {
        var request = ImportVirtualMachineRequest(path: Files.absolute(path))
        request.mode = register ? .register : copy ? .copy : .restore
        request.name = name
        request.disksFolder = disks.map { Files.absolute($0) }
        request.keepVHDX = keepVHDX ? true : nil
        request.diskController = diskController
        request.adapterModel = adapterModel
        return request
    }

    func run() async throws {
        let request = request()
        guard !plan else {
            let report = try await global.client.importPlan(request)
            return try global.show(report) { report, _ in Render.importReport(report) }
        }
        let sentence = { [path] (job: Job) in "\(path): imported" + (job.result.map { " (\($0))" } ?? "") }
        _ = try await global.runJob(waits: !jobs.noWait, interrupt: .cancels, sentence: sentence) {
            try await $0.importVirtualMachine(request, waitSeconds: $1)
        }
    }
}
