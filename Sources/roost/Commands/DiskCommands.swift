import ArgumentParser
import RoostAPI
import RoostClient

struct DiskCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disk",
        abstract: "Create, attach and resize virtual disks.",
        discussion: help(example: "roost disk create data.qcow2 --size 10GiB\nroost disk list"),
        subcommands: [DiskCreate.self, DiskAttach.self, DiskDetach.self, DiskResize.self, DiskList.self]
    )
}

struct DiskCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Create an empty disk.",
        discussion: help(
            """
            A name without / is placed in the host's folder \"Virtual Hard Disks\". The path of the new disk is printed. \
            Ctrl-C cancels the work: nothing half made stays.
            """,
            cmdlet: "New-VHD",
            example: "roost disk create data.qcow2 --size 10GiB\nroost disk create ./old.vhdx --size 40GiB"
        )
    )

    @Argument(help: "The new file.", completion: .file())
    var path: String

    @Option(help: "The size that a guest sees, as in 10GiB.", transform: Value.sizeBytes)
    var size: UInt64

    @Option(
        help: "qcow2, raw or vhdx. (default: what the file's extension says, else qcow2)",
        completion: .list(["qcow2", "raw", "vhdx"])
    )
    var format: String?

    @OptionGroup var jobs: JobOptions
    @OptionGroup var global: GlobalOptions

    var request: CreateDiskRequest {
        CreateDiskRequest(path: path.contains("/") ? Files.absolute(path) : path, sizeBytes: size, format: format)
    }

    func run() async throws {
        let request = request
        let sentence = { (job: Job) in job.result ?? request.path }
        try await global.runJob(waits: !jobs.noWait, interrupt: .cancels, sentence: sentence) {
            try await $0.createDisk(request, waitSeconds: $1)
        }
    }
}

struct DiskResize: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resize",
        abstract: "Give a disk a new size.",
        discussion: help(
            "A smaller size cuts off what lies behind it, so it needs --shrink. Ctrl-C ends the waiting only.",
            cmdlet: "Resize-VHD",
            example: "roost disk resize /srv/disks/data.qcow2 --size 20GiB"
        )
    )

    @Argument(help: "The disk's file.", completion: .file())
    var path: String

    @Option(help: "The new size, as in 20GiB.", transform: Value.sizeBytes)
    var size: UInt64

    @Flag(help: "Allow a size that is smaller than now.")
    var shrink = false

    @Option(
        help: "qcow2 or raw. (default: what the file looks like, unless it was used as another)",
        completion: .list(["qcow2", "raw"])
    )
    var format: String?

    @OptionGroup var jobs: JobOptions
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let path = Files.absolute(path)
        let request = ResizeDiskRequest(path: path, sizeBytes: size, shrink: shrink ? true : nil, format: format)
        let sentence = { (_: Job) in "\(path): resized to \(sizeText(size))" }
        try await global.runJob(waits: !jobs.noWait, interrupt: .leaves, sentence: sentence) {
            try await $0.resizeDisk(request, waitSeconds: $1)
        }
    }
}

struct DiskAttach: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attach",
        abstract: "Attach a disk or DVD image to a virtual machine.",
        discussion: help(
            """
            What a disk's bytes look like is up to the guest that wrote them. So a file that looks like another format than \
            the one it was used as before, or that needs another file (a differencing disk), is refused until --format says \
            what it is.
            """,
            cmdlet: "Add-VMHardDiskDrive, Add-VMDvdDrive",
            example: "roost disk attach web /srv/disks/data.qcow2\nroost disk attach web a.iso --location scsi:0:2"
        )
    )

    @Argument(help: "The machine's name or GUID.", completion: .virtualMachines)
    var machine: String

    @Argument(help: "The file to attach.", completion: .file())
    var path: String

    @Option(help: "disk or dvd. (default: dvd for a file *.iso, else disk)", completion: .list(["disk", "dvd"]))
    var kind: String?

    @Option(help: "Where to attach it, as in scsi:0:1. (default: the first free place)")
    var location: String?

    @Option(
        help: "qcow2, raw or vhdx. (default: what the file looks like)",
        completion: .list(["qcow2", "raw", "vhdx"])
    )
    var format: String?

    @OptionGroup var global: GlobalOptions

    func validate() throws {
        if let location, !Value.isLocation(location) {
            throw ValidationError("\"\(location)\" is no location: write it as in scsi:0:1.")
        }
    }

    func run() async throws {
        let request = AttachDiskRequest(
            path: Files.absolute(path),
            kind: kind,
            location: location,
            format: format
        )
        let drive = try await global.client.attachDisk(to: machine, request)
        try global.show(drive, sentence: "\(machine): \(drive.path ?? request.path) attached at \(drive.location)")
    }
}

struct DiskDetach: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detach",
        abstract: "Detach a disk or DVD drive from a virtual machine; the file stays.",
        discussion: help(
            cmdlet: "Remove-VMHardDiskDrive, Remove-VMDvdDrive",
            example: "roost disk detach web scsi:0:1\nroost disk detach web /srv/disks/data.qcow2"
        )
    )

    @Argument(help: "The machine's name or GUID.", completion: .virtualMachines)
    var machine: String

    @Argument(help: "The drive's location, as in scsi:0:1, or the path of its file.")
    var drive: String

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let location: String
        if Value.isLocation(drive) {
            location = drive
        } else {
            location = try Self.location(
                of: Files.absolute(drive),
                in: await global.client.drives(of: machine),
                machine
            )
        }
        try await global.client.detachDisk(from: machine, location: location)
        try global.show(
            ["virtualMachine": machine, "location": location],
            sentence: "\(machine): \(location) detached"
        )
    }

    /// The location of the drive with a file.
    static func location(of path: String, in drives: [DriveInfo], _ machine: String) throws -> String {
        let matches = drives.filter { $0.path == path }
        guard let match = matches.first else {
            throw APIError(.notFound, "cannot detach \(path) from \(machine): no drive of it has this file")
        }
        guard matches.count == 1 else {
            let locations = matches.map(\.location).joined(separator: " and ")
            throw APIError(
                .invalidArgument,
                "cannot detach \(path) from \(machine): it is at \(locations), name one of them"
            )
        }
        return match.location
    }
}

struct DiskList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the host's disks, or the drives of one virtual machine.",
        discussion: help(
            """
            --orphans lists the files in the host's folder "Virtual Hard Disks" that no machine and no checkpoint needs, \
            not even as a file that another one stands on. Linked clones that no machine of this host has are not known.
            """,
            cmdlet: "Get-VHD, Get-VMHardDiskDrive",
            example: "roost disk list\nroost disk list web\nroost disk list --orphans"
        )
    )

    @Argument(help: "A machine's name or GUID.", completion: .virtualMachines)
    var machine: String?

    @Flag(help: "Only disks that nobody needs.")
    var orphans = false

    @OptionGroup var global: GlobalOptions

    func validate() throws {
        if orphans, machine != nil { throw ValidationError("--orphans takes no machine: a machine needs its disks.") }
    }

    func run() async throws {
        if orphans {
            try global.show(await global.client.orphanedDisks()) { Render.disks($0).text(width: $1) }
        } else if let machine {
            try global.show(await global.client.drives(of: machine)) { Render.drives($0).text(width: $1) }
        } else {
            try global.show(await global.client.disks()) { Render.disks($0).text(width: $1) }
        }
    }
}
