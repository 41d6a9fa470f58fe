import ArgumentParser

struct CompletionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completion",
        abstract: "Print a completion script for bash, zsh or fish.",
        discussion: help(
            """
            The script completes commands, options, and the names of virtual machines and switches. With --output json \
            it is the value of "script".
            """,
            example: """
                roost completion bash > /etc/bash_completion.d/roost
                roost completion fish > roost.fish
                """
        )
    )

    @Argument(help: "bash, zsh or fish.", completion: .list(["bash", "zsh", "fish"]), transform: Self.shell)
    var shell: CompletionShell

    @OptionGroup var global: GlobalOptions

    func run() throws {
        let script = Roost.completionScript(for: shell) + "\n"
        try global.show(["shell": shell.rawValue, "script": script]) { _, _ in script }
    }

    private static func shell(_ text: String) throws -> CompletionShell {
        guard let shell = CompletionShell(rawValue: text) else {
            throw ValidationError("it is none of bash, zsh, fish.")
        }
        return shell
    }
}
