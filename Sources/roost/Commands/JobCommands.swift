import ArgumentParser
import RoostAPI
import RoostClient

struct JobCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "job",
        abstract: "Look at work that takes time, and cancel it.",
        discussion: help(example: "roost job list"),
        subcommands: [JobList.self, JobShow.self, JobCancel.self]
    )
}

struct JobList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List jobs, the newest first.",
        discussion: help(cmdlet: "Get-Job", example: "roost job list")
    )

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        try global.show(await global.client.jobs()) { Render.jobs($0).text(width: $1) }
    }
}

struct JobShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show one job; with --wait, once it has ended.",
        discussion: help(
            "With --wait, the exit code is that of the job's failure, and Ctrl-C ends the waiting only.",
            cmdlet: "Get-Job, Wait-Job",
            example: "roost job show 12\nroost job show 12 --wait"
        )
    )

    @Argument(help: "The job's number.", transform: Value.number(1...Int.max))
    var id: Int

    @Flag(help: "Wait for the job's end.")
    var wait = false

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let id = id
        if wait {
            try await global.show(
                JobRunner(global.client, progress: global.progress).run { try await $0.job(id, waitSeconds: $1) }
            ) {
                Render.job($0).text(width: $1)
            }
        } else {
            try global.show(await global.client.job(id)) { Render.job($0).text(width: $1) }
        }
    }
}

struct JobCancel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel",
        abstract: "Ask a job to end; nothing half done stays.",
        discussion: help(cmdlet: "Stop-Job", example: "roost job cancel 12")
    )

    @Argument(help: "The job's number.", transform: Value.number(1...Int.max))
    var id: Int

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let job = try await global.client.cancelJob(id)
        let state = job.state == .running ? "asked to end" : job.state.rawValue
        try global.show(job, sentence: "job \(job.id), \(job.kind) \(job.subject): \(state)")
    }
}
