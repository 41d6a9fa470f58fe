import ArgumentParser
import RoostAPI
import RoostClient

struct FirmwareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "firmware",
        abstract: "Show and change firmware settings: Secure Boot, certificates, boot order.",
        discussion: help(example: "roost firmware show web"),
        subcommands: [FirmwareShow.self, FirmwareSet.self]
    )
}

struct FirmwareShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show a virtual machine's firmware settings.",
        discussion: help(cmdlet: "Get-VMFirmware, Get-VMBios", example: "roost firmware show web")
    )

    @Argument(help: "The machine's name or GUID.", completion: .virtualMachines)
    var machine: String

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        try global.show(await global.client.firmware(of: machine)) { Render.firmware($0).text(width: $1) }
    }
}

struct FirmwareSet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Change a virtual machine's firmware settings.",
        discussion: help(
            """
            The machine must be off. Once it has started, Secure Boot templates and certificates are changed only with \
            --force: that makes a new variable store, and what the guest kept in the old one is lost.
            """,
            cmdlet: "Set-VMFirmware, Set-VMBios",
            example: """
                roost firmware set web --secure-boot MicrosoftUEFICertificateAuthority
                roost firmware set web --own-certificate db.pem
                roost firmware set web --boot-order scsi:0:1,scsi:0:0
                """
        )
    )

    @Argument(help: "The machine's name or GUID.", completion: .virtualMachines)
    var machine: String

    @Option(help: "A Secure Boot template, on or off.", completion: .secureBoot)
    var secureBoot: String?

    @Option(
        name: .customLong("own-certificate"),
        help: ArgumentHelp(
            "A PEM file with a certificate that the machine trusts as well; may be given several times.",
            valueName: "file"
        ),
        completion: .file(extensions: ["pem", "crt"])
    )
    var ownCertificates: [String] = []

    @Option(
        help:
            "What is booted from, first first: locations or adapter names (generation 2), device kinds (generation 1).",
        transform: Value.list
    )
    var bootOrder: [String]?

    @Flag(help: "Replace the variable store of a machine that has started before.")
    var force = false

    @OptionGroup var global: GlobalOptions

    func validate() throws {
        if secureBoot == nil, ownCertificates.isEmpty, bootOrder == nil {
            throw ValidationError("Nothing to change: give --secure-boot, --own-certificate or --boot-order.")
        }
    }

    /// What roostd is asked for; reads the certificate files.
    func request() throws -> UpdateFirmwareRequest {
        var request = UpdateFirmwareRequest()
        request.secureBoot = secureBoot
        if !ownCertificates.isEmpty {
            request.ownCertificates = try ownCertificates.map { try Files.text($0, what: "certificate") }
        }
        request.bootOrder = bootOrder
        request.force = force ? true : nil
        return request
    }

    func run() async throws {
        let firmware = try await global.client.updateFirmware(of: machine, request())
        try global.show(firmware, sentence: "\(machine): firmware settings changed")
    }
}
