import ConfigStore
import DurableFiles
import HyperVStorage
import RoostAPI
import VMConfiguration

/// A file of keys, in whatever form: read by its path, without roostd.
struct KeyFile {
    /// The form of a file; its contents tell, and where they do not, its name.
    enum Form: String, Encodable {
        case storage = "HyperVStorage"
        case xml = "XML"
        case text
    }

    /// The path, as the user named it.
    var path: String
    var form: Form
    /// The keys, below a root without a name.
    var tree: KeyNode
    /// Keys of a damaged file whose parents are lost.
    var orphans: [KeyNode] = []
    /// What is wrong with a damaged file.
    var problems: [String] = []

    /// Reads a file.
    ///
    /// - Parameter salvage: takes what can be read of a damaged HyperVStorage file.
    init(_ path: String, salvage: Bool = false) throws(APIError) {
        self.path = path
        let bytes = try Self.bytes(path, salvage: salvage)
        form = try Self.form(of: bytes, path)
        switch form {
        case .storage where salvage:
            let found = StorageFile.salvage(bytes)
            guard found.keyCount > 0 else {
                throw APIError(.corrupt, "cannot read \(path): not a single key of it is whole")
            }
            (tree, orphans) = (found.tree, found.orphans)
            problems = found.findings.filter { $0.severity == .error }.map(\.message)
        case .storage:
            do throws(StorageError) { tree = try StorageFile(parsing: bytes).tree } catch {
                throw APIError(reading: path, error)
            }
        case .xml:
            do throws(ConfigurationError) {
                tree = KeyNode("", children: [try ConfigurationXML.parse(bytes).root])
            } catch {
                throw APIError(.corrupt, "cannot read \(path)", cause: error.message)
            }
        case .text: tree = try Self.text(bytes, path)
        }
    }

    /// Reads keys in text form.
    static func text(_ bytes: [UInt8], _ path: String) throws(APIError) -> KeyNode {
        do throws(StorageError) {
            return try TextForm.parse(bytes)
        } catch {
            throw APIError(
                error.code == .unsupported ? .unsupported : .corrupt,
                "cannot read the text \(path)",
                cause: error.detail
            )
        }
    }

    /// The form of a file with these bytes.
    static func form(of bytes: [UInt8], _ path: String) throws(APIError) -> Form {
        if TextForm.isText(bytes) { return .text }
        if bytes.starts(with: "RoostCpy".utf8) {
            throw APIError(
                .unsupported,
                "\(path) is the second copy of a file: name that file, and this one with --copy where there is that option"
            )
        }
        if bytes.starts(with: "RoostKpt".utf8) || path.hasSuffix(".vmgs") || path.hasSuffix(".iso") {
            throw APIError(
                .unsupported,
                "\(path) holds no keys but UEFI variables or a seed, which roostd keeps and checks itself: see roost host scrub"
            )
        }
        return FileExamination.isXML(bytes, path: path) ? .xml : .storage
    }

    /// Refuses a file that is no second copy, so that it is never written as one.
    static func requireCopy(_ path: String) throws(APIError) {
        let bytes: [UInt8]
        do throws(StoreError) { bytes = try FileAccess.readable(path) } catch { throw APIError(error) }
        // Either half may be damaged, or both in part; a file without a trace of one is another file.
        let halves = [bytes[...], bytes.dropFirst(bytes.count / 2)]
        guard halves.contains(where: { $0.starts(with: "RoostCpy".utf8) }) else {
            throw APIError(
                .invalidArgument,
                "\(path) is no second copy: its name ends in .copy or .kept, and it lies in the folder Configuration Copies"
            )
        }
    }

    private static func bytes(_ path: String, salvage: Bool) throws(APIError) -> [UInt8] {
        do throws(StoreError) {
            return salvage ? try FileAccess.readable(path) : try FileAccess.read(path)
        } catch {
            throw APIError(error)
        }
    }

    /// The key that the command line names by its path, or all keys below the root.
    func keys(at path: String?) throws(APIError) -> [KeyNode] {
        guard let path else { return tree.children }
        guard let key = tree.descendant(path), !key.name.isEmpty else {
            throw APIError(.notFound, "\(self.path) has no key \(path): roost file show lists its keys")
        }
        return [key]
    }
}

extension APIError {
    /// A failure of the store.
    init(_ error: StoreError) {
        let code: Code =
            switch error.code {
            case .notFound: .notFound
            case .exists: .exists
            case .corrupt: .corrupt
            case .unsupported: .unsupported
            case .permissionDenied: .permissionDenied
            case .noSpace: .insufficientResources
            case .busy: .busy
            case .notDurable, .failed: .engineFailure
            }
        self.init(code, error.message, cause: error.cause)
    }

    /// A HyperVStorage file that cannot be read.
    init(reading path: String, _ error: StorageError) {
        switch error.code {
        case .unsupported: self.init(.unsupported, "cannot read \(path)", cause: error.message)
        case .foreign:
            self.init(.corrupt, "\(path) is neither a HyperVStorage file, XML nor keys as text", cause: error.message)
        default:
            self.init(
                .corrupt,
                "cannot read \(path); roost file verify lists what is wrong, and roost file repair --dry-run what "
                    + "can be saved",
                cause: error.message
            )
        }
    }
}
