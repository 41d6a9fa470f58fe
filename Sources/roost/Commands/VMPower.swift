import ArgumentParser
import RoostAPI
import RoostClient

struct VMStart: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start",
        abstract: "Start virtual machines.",
        discussion: help(
            """
            A machine with a saved state goes on where its guest was. One whose saved state is damaged, or needs what this \
            host lacks, is not started, unless --discard-saved-state gives that up: the guest starts as after a power cut.

            A machine with checkpoints whose older disk files were changed or replaced by another program is not started: \
            what it wrote since would be mixed with what they hold now. Put the right files back; when they are the right \
            ones, copied without their times for example, --accept-changed-disks takes them as they are.
            """,
            cmdlet: "Start-VM",
            example: "roost vm start web\nroost vm start web db cache"
        )
    )

    @Flag(help: "Give a saved state up. What the guest had not written is lost.")
    var discardSavedState = false

    @Flag(help: "Take disk files that another program has changed as they are.")
    var acceptChangedDisks = false

    @OptionGroup var machines: SeveralMachines

    func run() async throws {
        let request = StartVirtualMachineRequest(
            discardSavedState: discardSavedState ? true : nil,
            acceptChangedDisks: acceptChangedDisks ? true : nil
        )
        try await machines.runJobs(done: "started") {
            try await $0.startVirtualMachine($1, request, waitSeconds: $2)
        }
    }
}

/// How a machine is stopped.
struct StopOptions: ParsableArguments {
    @Flag(help: "Turn the machine off at once, without asking the guest. What the guest has not written is lost.")
    var turnOff = false

    @Option(
        help: "Seconds to wait for the guest to shut down. (default: 120)",
        transform: Value.number(1...86_400)
    )
    var timeout: Int?

    func validate() throws {
        if turnOff, timeout != nil {
            throw ValidationError("--turn-off does not wait for the guest, so --timeout cannot be given with it.")
        }
    }

    var request: StopVirtualMachineRequest {
        StopVirtualMachineRequest(turnOff: turnOff ? true : nil, timeoutSeconds: timeout)
    }
}

struct VMStop: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop",
        abstract: "Shut down the guests of virtual machines, or turn the machines off.",
        discussion: help(
            """
            The guest is asked to shut down. When it does not do so in time, the machine goes on running and the exit \
            code is 9. Ctrl-C ends the waiting only: the guest has been asked already.
            """,
            cmdlet: "Stop-VM",
            example: "roost vm stop web db --timeout 60\nroost vm stop web --turn-off"
        )
    )

    @OptionGroup var stop: StopOptions
    @OptionGroup var machines: SeveralMachines

    func run() async throws {
        let request = stop.request
        let done = stop.turnOff ? "turned off" : "stopped"
        try await machines.runJobs(done: done) {
            try await $0.stopVirtualMachine($1, request, waitSeconds: $2)
        }
    }
}

struct VMRestart: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restart",
        abstract: "Stop virtual machines, then start them again.",
        discussion: help(
            "The guest is asked to shut down first, as \"roost vm stop\" does it.",
            cmdlet: "Restart-VM",
            example: "roost vm restart web"
        )
    )

    @OptionGroup var stop: StopOptions
    @OptionGroup var machines: SeveralMachines

    func run() async throws {
        let request = stop.request
        try await machines.runJobs(done: "restarted") {
            try await $0.restartVirtualMachine($1, request, waitSeconds: $2)
        }
    }
}

struct VMPause: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Stop the processors of virtual machines; their memory stays in place.",
        discussion: help(cmdlet: "Suspend-VM", example: "roost vm pause web")
    )

    @OptionGroup var machines: SeveralMachines

    func run() async throws {
        try await machines.runJobs(done: "paused") {
            try await $0.pauseVirtualMachine($1, waitSeconds: $2)
        }
    }
}

struct VMResume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume",
        abstract: "Let paused virtual machines go on.",
        discussion: help(cmdlet: "Resume-VM", example: "roost vm resume web")
    )

    @OptionGroup var machines: SeveralMachines

    func run() async throws {
        try await machines.runJobs(done: "resumed") {
            try await $0.resumeVirtualMachine($1, waitSeconds: $2)
        }
    }
}

struct VMSave: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "save",
        abstract: "Write the memory of guests to the disk, and end their machines.",
        discussion: help(
            """
            "roost vm start" lets the guest go on where it was. Ctrl-C gives the saving up, and the guest goes on at once. \
            While a machine has a saved state, its virtual hardware and its disks cannot be changed.
            """,
            cmdlet: "Save-VM",
            example: "roost vm save web"
        )
    )

    @OptionGroup var machines: SeveralMachines

    func run() async throws {
        try await machines.runJobs(done: "saved", interrupt: .cancels) {
            try await $0.saveVirtualMachine($1, waitSeconds: $2)
        }
    }
}

struct VMDiscardSavedState: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "discard-saved-state",
        abstract: "Give the saved states of virtual machines up.",
        discussion: help(
            """
            The next start is as after a power cut: what the guest had not written is lost. On a terminal the command asks \
            first; scripts say --yes.
            """,
            cmdlet: "Remove-VMSavedState",
            example: "roost vm discard-saved-state web --yes"
        )
    )

    @Flag(help: "Do not ask.")
    var yes = false

    @OptionGroup var machines: SeveralMachines

    func run() async throws {
        let names = machines.names.map(printable).joined(separator: ", ")
        try confirm(
            "Give up what the guests of \(names) had in memory?",
            yes: yes,
            nothing: "nothing was given up"
        )
        try await machines.runJobs(done: "without a saved state") {
            try await $0.discardSavedState(of: $1, waitSeconds: $2)
        }
    }
}
