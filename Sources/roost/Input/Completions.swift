import ArgumentParser
import RoostAPI
import RoostClient

extension CompletionKind {
    /// The names of the host's virtual machines; nothing when roostd does not answer at once.
    static var virtualMachines: CompletionKind {
        .custom { words, _, _ in await names(words) { try await $0.virtualMachines().map(\.name) } }
    }

    /// The names of the host's virtual switches.
    static var switches: CompletionKind {
        .custom { words, _, _ in await names(words) { try await $0.switches().map(\.name) } }
    }

    /// The Secure Boot templates, and what turns Secure Boot off.
    static var secureBoot: CompletionKind {
        .list(["MicrosoftWindows", "MicrosoftUEFICertificateAuthority", "off"])
    }

    private static func names(
        _ words: [String],
        _ ask: (RoostClient) async throws -> [String]
    ) async -> [String] {
        var options = GlobalOptions()
        options.runDirectory = runDirectory(in: words)
        let client = RoostClient(socketPath: options.socketPath, timeoutSeconds: 2)
        // A completion has nowhere to report a failure: no candidates are all that the user can use.
        let names = (try? await ask(client)) ?? []
        return names.filter { printable($0) == $0 }
    }

    /// The run directory that the words of an unfinished command line name.
    static func runDirectory(in words: [String]) -> String? {
        for (word, next) in zip(words, words.dropFirst() + [""]) {
            if word == "--run-dir", !next.isEmpty { return next }
            if word.hasPrefix("--run-dir=") { return String(word.dropFirst("--run-dir=".count)) }
        }
        return nil
    }
}
