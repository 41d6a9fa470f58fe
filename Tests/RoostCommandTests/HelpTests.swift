import ArgumentParser
import FoundationEssentials
import Testing

@testable import roost

/// A command of the tree below `roost`, with the words that name it.
struct CommandPath: Sendable, CustomTestStringConvertible {
    var words: [String]
    var type: any ParsableCommand.Type

    var isLeaf: Bool { type.configuration.subcommands.isEmpty }
    var testDescription: String { words.joined(separator: " ") }

    /// `roost` and every command below it.
    static let all = tree(CommandPath(words: ["roost"], type: Roost.self))

    private static func tree(_ command: CommandPath) -> [CommandPath] {
        [command]
            + command.type.configuration.subcommands.flatMap { type in
                tree(CommandPath(words: command.words + [type._commandName], type: type))
            }
    }
}

@Suite struct HelpTests {
    @Test func treeHoldsTheCommandsThatArePromised() {
        let leaves = CommandPath.all.filter(\.isLeaf).map { $0.words.dropFirst().joined(separator: " ") }
        let vm = [
            "create", "list", "show", "set", "rename", "remove", "start", "stop", "restart", "pause", "resume", "save",
            "discard-saved-state", "console", "screenshot", "import", "export", "update-version", "version-history",
        ]
        let disk = ["create", "attach", "detach", "resize", "list"]
        let checkpoint = ["create", "list", "show", "rename", "apply", "remove", "verify", "export", "new-vm"]
        let others = [
            "host show", "host versions", "host scrub", "host stop-guests", "nic list", "switch create", "switch list",
            "switch remove",
            "firmware show", "firmware set",
            "file show", "file verify", "file repair", "file diff", "file export", "file import",
            "events", "job list", "job show", "job cancel", "completion",
        ]
        #expect(
            Set(leaves)
                == Set(
                    vm.map { "vm \($0)" } + disk.map { "disk \($0)" }
                        + checkpoint.map { "checkpoint \($0)" } + others
                )
        )
    }

    @Test(arguments: CommandPath.all)
    func commandHasAnAbstractAndAnExample(command: CommandPath) {
        let configuration = command.type.configuration
        #expect(configuration.abstract.hasSuffix("."))
        #expect(configuration.discussion.contains("Example:\n  roost "))
    }

    @Test(arguments: CommandPath.all.filter { $0.isLeaf && $0.words.last != "completion" })
    func commandNamesTheCmdletOfHyperV(command: CommandPath) {
        #expect(command.type.configuration.discussion.contains("Hyper-V: "))
    }

    @Test(arguments: CommandPath.all)
    func exampleIsALineThatRoostUnderstands(command: CommandPath) async throws {
        let examples = Self.examples(in: command.type.configuration.discussion)
        #expect(!examples.isEmpty)
        for example in examples {
            let parsed = try await Roost.asyncParseAsRoot(Array(example.dropFirst()))
            if command.isLeaf { #expect(type(of: parsed) == command.type) }
        }
    }

    @Test(arguments: CommandPath.all)
    func exampleFitsOnALineOfEightyColumns(command: CommandPath) {
        for line in command.type.configuration.discussion.split(separator: "\n") where line.hasPrefix("  ") {
            #expect(line.count <= 79)
        }
    }

    @Test(arguments: CommandPath.all.filter(\.isLeaf))
    func manualNamesTheCommand(command: CommandPath) throws {
        let manual = try Self.manual()
        #expect(manual.contains("`\(command.words.joined(separator: " "))"))
    }

    @Test func manualHasTheExitCodeOfEveryKindOfFailure() throws {
        let rows = try Self.manual().split(separator: "\n").filter { $0.hasPrefix("| ") }
        for code in ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "69", "130", "141"] {
            #expect(rows.contains { $0.hasPrefix("| \(code) |") })
        }
    }

    /// The words of the lines below `Example:` that begin with `roost`, up to a redirection; also from behind a pipe.
    private static func examples(in discussion: String) -> [[String]] {
        discussion.split(separator: "\n").filter { $0.hasPrefix("  ") }.compactMap { line in
            let words = shellWords(line)
            guard let first = words.firstIndex(of: "roost") else { return nil }
            return Array(words[first...].prefix { $0 != ">" && $0 != "|" })
        }
    }

    private static func shellWords(_ line: Substring) -> [String] {
        var words: [String] = []
        for (index, part) in line.split(separator: "\"", omittingEmptySubsequences: false).enumerated() {
            if index % 2 == 1 {
                words.append(String(part))
            } else {
                words += part.split(separator: " ").map(String.init)
            }
        }
        return words
    }

    private static func manual() throws -> String {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return try String(contentsOf: root.appending(path: "docs/operating/command-line.md"), encoding: .utf8)
    }
}
