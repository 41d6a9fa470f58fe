import ArgumentParser
import RoostAPI
import RoostClient

struct VMRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Remove virtual machines.",
        discussion: help(
            """
            The configuration is deleted; disks stay unless --remove-disks is given, and then only the machine's own \
            ones in the host's folder go. On a terminal the command asks first; scripts say --yes.
            """,
            cmdlet: "Remove-VM",
            example: "roost vm remove web\nroost vm remove web db --remove-disks --yes"
        )
    )

    @Flag(help: "Delete the machines' own disks too.")
    var removeDisks = false

    @Flag(help: "Do not ask.")
    var yes = false

    @OptionGroup var machines: SeveralMachines

    func run() async throws {
        try confirm()
        let request = RemoveVirtualMachineRequest(removeDisks: removeDisks ? true : nil)
        try await machines.runJobs(done: "removed") {
            try await $0.removeVirtualMachine($1, request, waitSeconds: $2)
        }
    }

    private func confirm() throws {
        guard !yes else { return }
        let answer = FileDescriptor.standardInput.isTerminal ? try ask() : nil
        if let error = Self.refusal(answer: answer) { throw error }
    }

    private func ask() throws -> String {
        try FileDescriptor.standardError.write(Self.question(machines.unique, removeDisks: removeDisks))
        return readLine() ?? ""
    }

    static func question(_ names: [String], removeDisks: Bool) -> String {
        let what = names.count == 1 ? "the virtual machine" : "the \(names.count) virtual machines"
        let disks = removeDisks ? " and delete \(names.count == 1 ? "its" : "their") own disks" : ""
        return "Remove \(what) \(names.map(printable).joined(separator: ", "))\(disks)? [y/N] "
    }

    /// Why nothing is removed, nil when the answer is yes; no answer means that nobody could be asked.
    static func refusal(answer: String?) -> APIError? {
        guard let answer else {
            return APIError(.invalidArgument, "nothing was removed: without a terminal to ask on, give --yes")
        }
        return ["y", "yes"].contains(answer.lowercased()) ? nil : APIError(.cancelled, "nothing was removed")
    }
}
