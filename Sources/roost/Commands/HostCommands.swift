import ArgumentParser
import RoostAPI
import RoostClient

struct HostCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "host",
        abstract: "Show what this host is and can do, check its files, and stop its guests.",
        discussion: help(cmdlet: "Get-VMHost", example: "roost host show"),
        subcommands: [HostShow.self, HostVersions.self, HostScrub.self, HostStopGuests.self]
    )
}

struct HostShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show the host: QEMU, accelerator, versions, memory, directories, warnings.",
        discussion: help(cmdlet: "Get-VMHost", example: "roost host show"),
    )

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        try global.show(await global.client.host()) { host, width in Render.host(host).text(width: width) }
    }
}

struct HostScrub: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scrub",
        abstract: "Check every byte of Roost's own files and their second copies, and repair what is damaged.",
        discussion: help(
            "The files are configurations, run records, UEFI variables (but for those of guests that run), seeds, "
                + "what upgrades have sealed, the host's own file, and the memory of saved machines and checkpoints, which "
                + "has no second copy. roostd does so by itself once a day (roostd --scrub-interval). What was repaired is told as warnings; "
                + "ends with 7 when something stays damaged. Ctrl-C cancels.",
            cmdlet: "nothing like it",
            example: "roost host scrub"
        )
    )

    @OptionGroup var jobs: JobOptions
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let sentence = { (job: Job) in job.result ?? "looked at every file" }
        try await global.runJob(waits: !jobs.noWait, interrupt: .cancels, sentence: sentence) {
            try await $0.scrub(waitSeconds: $1)
        }
    }
}

struct HostStopGuests: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop-guests",
        abstract: "Stop all running virtual machines as their automatic stop actions say.",
        discussion: help(
            "The service manager calls this when the host shuts down. A guest whose memory is not written within two "
                + "minutes is asked to shut down; one that does not shut down within two minutes is turned off. Both are told "
                + "as warnings; ends with 11 when a machine still runs.",
            cmdlet: "AutomaticStopAction of Set-VM",
            example: "roost host stop-guests"
        )
    )

    @OptionGroup var jobs: JobOptions
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let sentence = { (_: Job) in "all virtual machines are off" }
        try await global.runJob(waits: !jobs.noWait, interrupt: .leaves, sentence: sentence) {
            try await $0.stopGuests(waitSeconds: $1)
        }
    }
}
