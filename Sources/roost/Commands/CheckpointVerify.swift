import ArgumentParser
import RoostAPI
import RoostClient

struct CheckpointVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Start a throw-away copy of a checkpoint and see whether all is well.",
        discussion: help(
            """
            The copy has no network, and nothing of it stays. When its guest agent answers, the file systems are looked at, or \
            --command runs in the guest's shell and has to end with exit code 0. The outcome stands in the receipt (roost \
            checkpoint show); the exit code is 7 when the checkpoint does not pass. The machine may run. Ctrl-C cancels.
            """,
            cmdlet: "none",
            example:
                "roost checkpoint verify web nightly\nroost checkpoint verify web nightly --command \"pg_isready\" --timeout 600"
        )
    )

    @OptionGroup var arguments: CheckpointArguments

    @Option(help: "A command for the guest's shell, instead of a look at the file systems.")
    var command: String?

    @Option(
        help: "Seconds within which all has to be over, 1 to 86400. (default: 300)",
        transform: Value.number(1...86_400)
    )
    var timeout: Int?

    @OptionGroup var jobs: JobOptions
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let (machine, checkpoint) = (arguments.machine, arguments.checkpoint)
        let request = VerifyCheckpointRequest(command: command, timeoutSeconds: timeout)
        let sentence = { (job: Job) in "\(machine): the checkpoint \(checkpoint) passed: \(job.result ?? "")" }
        try await global.runJob(waits: !jobs.noWait, interrupt: .cancels, sentence: sentence) {
            try await $0.verifyCheckpoint(of: machine, checkpoint, request, waitSeconds: $1)
        }
    }
}
