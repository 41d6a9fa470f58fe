import ArgumentParser
import RoostAPI
import RoostClient
import RoostPrimitives

struct VMCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vm",
        abstract: "Create, run and change virtual machines.",
        discussion: help(
            "A machine is named by its name or its GUID. start, stop, restart, pause, resume, save, discard-saved-state, "
                + "update-version and remove take several at once.",
            example: "roost vm create web --image debian-12.qcow2 --start\nroost vm list"
        ),
        subcommands: [
            VMCreate.self, VMList.self, VMShow.self, VMSet.self, VMRename.self, VMRemove.self, VMStart.self,
            VMStop.self, VMRestart.self, VMPause.self, VMResume.self, VMSave.self,
            VMDiscardSavedState.self, VMConsole.self, VMScreenshot.self,
            VMImport.self, VMExport.self, VMUpdateVersion.self, VMVersionHistory.self,
        ]
    )
}

struct VMList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the virtual machines.",
        discussion: help(
            "A machine whose configuration cannot be read is listed as broken, with the reason.",
            cmdlet: "Get-VM",
            example: "roost vm list\nroost vm list --output json"
        )
    )

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        try global.show(await global.client.virtualMachines()) { Render.machines($0).text(width: $1) }
    }
}

struct VMShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show one virtual machine with all its settings.",
        discussion: help(
            """
            Of a machine whose configuration cannot be read it shows what is known, then ends with the exit code of the \
            reason, as 7 for a damaged file.
            """,
            cmdlet: "Get-VM",
            example: "roost vm show web"
        )
    )

    @Argument(help: "The machine's name or GUID.", completion: .virtualMachines)
    var name: String

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        do {
            try global.show(await global.client.virtualMachine(name)) { Render.machine($0, width: $1) }
        } catch let error as APIError where error.code != .unavailable && error.code != .timeout {
            if let summary = try await global.client.virtualMachines().first(where: isBroken) {
                try global.show(BrokenMachine(summary: summary)) { Render.summary($0.summary).text(width: $1) }
            }
            throw error
        }
    }

    /// What there is of a ``VirtualMachineDetail`` when the configuration cannot be read.
    private struct BrokenMachine: Encodable {
        var summary: VirtualMachineSummary
    }

    private func isBroken(_ machine: VirtualMachineSummary) -> Bool {
        machine.state == .broken && (machine.name == name || GUID(name) == machine.id)
    }
}

struct VMRename: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rename",
        abstract: "Give a virtual machine another name.",
        discussion: help(
            "The machine may run; its GUID and its files stay as they are.",
            cmdlet: "Rename-VM",
            example: "roost vm rename web web-old"
        )
    )

    @Argument(help: "The machine's name or GUID.", completion: .virtualMachines)
    var name: String

    @Argument(help: "The new name.")
    var newName: String

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        var request = UpdateVirtualMachineRequest()
        request.name = newName
        let detail = try await global.client.updateVirtualMachine(name, request)
        try global.show(detail, sentence: "\(name): renamed to \(detail.summary.name)")
    }
}

struct VMScreenshot: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "screenshot",
        abstract: "Save a picture of a virtual machine's display as a PNG file.",
        discussion: help(
            "The file is written once the whole picture has arrived; - writes it to standard output.",
            cmdlet: "vmconnect",
            example: "roost vm screenshot web web.png"
        )
    )

    @Argument(help: "The machine's name or GUID.", completion: .virtualMachines)
    var name: String

    @Argument(help: "The PNG file to write.", completion: .file(extensions: ["png"]))
    var file: String

    @OptionGroup var global: GlobalOptions

    func validate() throws {
        if file == "-", FileDescriptor.standardOutput.isTerminal {
            throw ValidationError("A picture is not for a terminal: redirect the output, or name a file.")
        }
        if file == "-", global.output == .json {
            throw ValidationError("A picture is no JSON: with --output json, name a file.")
        }
    }

    func run() async throws {
        let picture = try await global.client.screenshot(name)
        if file == "-" {
            try FileDescriptor.standardOutput.write(picture)
        } else {
            try Files.write(picture, to: file, what: "picture")
            try global.show(["file": Files.absolute(file)], sentence: "\(name): display saved to \(file)")
        }
    }
}
