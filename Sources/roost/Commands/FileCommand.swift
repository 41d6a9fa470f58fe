import ArgumentParser
import HyperVStorage
import RoostAPI

struct FileCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "file",
        abstract: "Look into configuration files, check, compare, repair and convert them.",
        discussion: help(
            """
            These commands work on paths and never ask roostd. They read files of version 5.0 (XML), HyperVStorage \
            files (.vmcx, .vmrs), of real Hyper-V too, and keys as text, as export writes them.
            """,
            cmdlet: "none",
            example: "roost file verify web.vmcx"
        ),
        subcommands: [
            FileShow.self, FileVerify.self, FileRepairCommand.self, FileDiff.self, FileExport.self, FileImport.self,
        ]
    )
}

/// What `roost file show --output json` prints.
struct KeyFileJSON: Encodable {
    var path: String
    var form: KeyFile.Form
    var keys: [KeyJSON]
    /// Keys of a damaged file whose parents are lost; left out for a file that is whole.
    var orphans: [KeyJSON]?
    /// What is wrong with a damaged file; left out for a file that is whole.
    var problems: [String]?
}

struct FileShow: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show the keys of a file as a tree, with types and values.",
        discussion: help(
            """
            For people long arrays are cut; --output json has them whole. A damaged file is shown as far as it can be \
            read when --salvage is given; what is wrong with it goes to standard error.
            """,
            cmdlet: "none",
            example: "roost file show web.vmcx\nroost file show web.vmcx --key configuration/properties"
        )
    )

    @Argument(help: "The file.", completion: .file())
    var file: String

    @Option(help: ArgumentHelp("Show only this key and those below it, by names with / between.", valueName: "path"))
    var key: String?

    @Flag(help: "Show what can be read of a damaged file.")
    var salvage = false

    @OptionGroup var global: GlobalOptions

    func run() throws {
        let found = try KeyFile(file, salvage: salvage)
        let keys = try found.keys(at: key)
        var value = KeyFileJSON(path: file, form: found.form, keys: keys.map { KeyJSON(node: $0) })
        if !found.problems.isEmpty {
            value.orphans = found.orphans.map { KeyJSON(node: $0) }
            value.problems = found.problems
        }
        try global.show(value) { _, _ in
            let lost = key == nil && !found.orphans.isEmpty
            return Render.keys(keys) + (lost ? "(parents lost)\n" + Render.keys(found.orphans, depth: 1) : "")
        }
        try found.warn()
    }
}

extension KeyFile {
    /// Says on standard error what is wrong with a file that was read in part.
    func warn() throws {
        for problem in problems {
            try FileDescriptor.standardError.write("roost: \(printable("\(path): \(problem)"))\n")
        }
    }
}
