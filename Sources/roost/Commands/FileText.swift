import ArgumentParser
import ConfigStore
import HyperVStorage
import RoostAPI
import VMConfiguration

struct FileExport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write the keys of a file as text, with nothing lost.",
        discussion: help(
            """
            The text is one key a line and can be edited, compared and kept in a version control system; \
            roost file import makes a file of it again. Without a second path it goes to standard output.
            """,
            cmdlet: "none",
            example: "roost file export web.vmcx web.txt"
        )
    )

    @Argument(help: "The file.", completion: .file())
    var file: String

    @Argument(help: "The text to write; - is standard output.", completion: .file())
    var target = "-"

    @Flag(help: "Take what can be read of a damaged file.")
    var salvage = false

    @Flag(help: "Replace a file that is there already.")
    var force = false

    @OptionGroup var global: GlobalOptions

    func run() throws {
        let found = try KeyFile(file, salvage: salvage)
        let text: [UInt8]
        do throws(StorageError) { text = try TextForm.serialize(found.tree) } catch {
            throw APIError(.corrupt, "cannot write the keys of \(file) as text", cause: error.message)
        }
        if target == "-" {
            try FileDescriptor.standardOutput.write(text)
        } else {
            try Files.writeDurably(text, to: target, force: force)
            try global.show(["file": target], sentence: "\(target): written")
        }
        try found.warn()
    }
}

struct FileImport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Make a file of keys from text that roost file export wrote.",
        discussion: help(
            """
            The name's end says which form the file gets: .vmcx and .vmrs a HyperVStorage file, .xml the XML of \
            version 5.0. A mistake in the text is named with its line, and nothing is written.
            """,
            cmdlet: "none",
            example: "roost file import web.txt web.vmcx"
        )
    )

    @Argument(help: "The text; - is standard input.", completion: .file())
    var text: String

    @Argument(help: "The file to make.", completion: .file(extensions: ["vmcx", "vmrs", "xml"]))
    var target: String

    @Flag(help: "Replace a file that is there already.")
    var force = false

    @OptionGroup var global: GlobalOptions

    /// Whether the file is to be XML.
    private var isXML: Bool { target.lowercased().hasSuffix(".xml") }

    func validate() throws {
        let isStorage = [".vmcx", ".vmrs"].contains { target.lowercased().hasSuffix($0) }
        guard isXML || isStorage else {
            throw ValidationError("The name of the file must end in .vmcx, .vmrs or .xml: that is its form.")
        }
    }

    func run() throws {
        let bytes = try Files.bytes(text, what: "text", limit: TextForm.largestText)
        let tree = try KeyFile.text(bytes, text)
        let file = isXML ? try Self.xml(tree, target) : try Self.storage(tree, target)
        try Files.writeDurably(file, to: target, force: force)
        try global.show(["file": target], sentence: "\(target): written")
    }

    static func storage(_ tree: KeyNode, _ target: String) throws(APIError) -> [UInt8] {
        do throws(StorageError) {
            return try StorageFile.create(tree: tree).bytes
        } catch {
            throw APIError(.invalidArgument, "cannot make \(target)", cause: error.message)
        }
    }

    static func xml(_ tree: KeyNode, _ target: String) throws(APIError) -> [UInt8] {
        guard tree.children.count == 1 else {
            throw APIError(
                .invalidArgument,
                "cannot make \(target): XML has one key at the top, the text has \(tree.children.count); "
                    + "a file with the ending .vmcx can hold them"
            )
        }
        do throws(ConfigurationError) {
            let bytes = try ConfigurationXML.serialize(tree.children[0])
            guard ConfigurationDifference.between(tree.children[0], try ConfigurationXML.parse(bytes).root).isEmpty
            else {
                throw ConfigurationError(.invalidValue, "the written keys would read back differently")
            }
            return bytes
        } catch {
            throw APIError(.invalidArgument, "cannot make \(target)", cause: error.message)
        }
    }
}

extension Files {
    /// Writes a file as a whole, durably; one that is there stays unless `force` says otherwise.
    static func writeDurably(_ bytes: [UInt8], to path: String, force: Bool) throws(APIError) {
        let stored = StoredFile(path)
        guard !stored.isSpecial else {
            throw APIError(.invalidArgument, "cannot write \(path), which is no regular file; - is standard output")
        }
        try stored.claim()
        do throws(StoreError) {
            try FileAccess.write(bytes, to: stored.path, mode: stored.mode, replacing: force)
        } catch {
            guard error.code == .exists else { throw APIError(error) }
            throw APIError(.exists, "\(path) exists already: --force replaces it")
        }
    }
}
