import Foundation
import HyperVStorage
import RoostPrimitives
import VMConfiguration

/// A virtual machine as ``VirtualMachineConfiguration/new(_:)`` makes it.
func makeConfiguration(
    _ generation: Generation = .two,
    _ version: ConfigurationVersion = .v9_0,
    _ change: (inout NewVirtualMachine) -> Void = { _ in }
) throws -> VirtualMachineConfiguration {
    var machine = NewVirtualMachine(name: "Test", generation: generation, version: version)
    change(&machine)
    return try .new(machine)
}

/// The names of a manifest's rows: `vdev001`, `vdev002` and so on.
func rowNames(_ count: Int) -> [String] {
    (1...count).map { "vdev" + String(1000 + $0).dropFirst() }
}

extension KeyNode {
    /// The paths of all keys below this one, in order, each with the kind of its value and the value.
    func flattened(_ prefix: String = "") -> [FlatKey] {
        children.flatMap { child -> [FlatKey] in
            let path = "\(prefix)/\(child.name)"
            return [FlatKey(path: path, value: child.value)] + child.flattened(path)
        }
    }

    /// A copy with a value at a path, made without the code under test.
    func replacing(_ path: String, _ value: KeyValue) -> KeyNode {
        var copy = self
        copy.remove(path)
        copy.set(path, value)
        return copy
    }
}

/// One key of a tree with its whole path.
struct FlatKey: Hashable {
    var path: String
    var value: KeyValue

    /// The kind of value, as the samples' listings call it.
    var kind: String {
        switch value {
        case .node: "Node"
        case .int: "Int"
        case .uint: "UInt"
        case .double: "Double"
        case .string: "String"
        case .array: "Array"
        case .bool: "Bool"
        }
    }
}

/// The folder with real Hyper-V files, which are not part of this repository.
enum Samples {
    static let directory: URL = {
        if let path = ProcessInfo.processInfo.environment["ROOST_SAMPLES"] { return URL(fileURLWithPath: path) }
        return URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/samples")
    }()

    static var arePresent: Bool { FileManager.default.fileExists(atPath: directory.path) }

    /// The keys of a listing: path, kind, `seq=` and value, separated by tabs.
    static func tree(_ name: String) throws -> KeyNode {
        let text = try String(contentsOf: directory.appendingPathComponent(name), encoding: .utf8)
        var root = KeyNode("configuration")
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            let path = fields[0].dropFirst("/configuration/".count)
            if !path.isEmpty { root.set(String(path), value(kind: fields[1], text: fields[3])) }
        }
        return root
    }

    /// The keys of a version 5.0 file, whose elements are one a line.
    static func xml(_ name: String, encoding: String.Encoding) throws -> KeyNode {
        let text = try String(contentsOf: directory.appendingPathComponent(name), encoding: encoding)
        var open: [KeyNode] = []
        for line in text.split(whereSeparator: \.isNewline).map({ $0.trimmingCharacters(in: .whitespaces) }) {
            if line.hasPrefix("</"), open.count > 1 {
                let node = open.removeLast()
                if node.name == line.dropFirst(2).dropLast() {
                    open[open.count - 1].children.append(node)
                } else {
                    open.append(node)
                }
            } else if line.hasPrefix("<"), !line.hasPrefix("<?"), !line.hasPrefix("</") {
                let tag = line.dropFirst().prefix { $0 != ">" }.split(separator: " ")
                guard tag.count == 2 else {
                    open.append(KeyNode(String(tag[0])))
                    continue
                }
                let content = line.drop { $0 != ">" }.dropFirst().prefix { $0 != "<" }
                let kinds = ["integer": "Int", "string": "String", "bool": "Bool", "bytes": "Array"]
                let kind = kinds[tag[1].dropFirst("type=\"".count).dropLast().description] ?? "Node"
                let text = kind == "Bool" ? (content == "True" ? "1" : "0") : String(content)
                open[open.count - 1].children.append(
                    KeyNode(String(tag[0]), value(kind: kind, text: kind == "String" ? "\"\(text)\"" : text))
                )
            }
        }
        return open.first ?? KeyNode("empty")
    }

    private static func value(kind: String, text: String) -> KeyValue {
        switch kind {
        case "Int": .int(Int64(text) ?? -1)
        case "Bool": .bool(text == "1")
        case "String": .string(text.dropFirst().dropLast().replacingOccurrences(of: "\\\\", with: "\\"))
        case "Array": .array(Array((Data(base64Encoded: base64(text)) ?? Data())))
        default: .node
        }
    }

    private static func base64(_ text: String) -> String {
        guard text.hasPrefix("{") else { return text }
        return text.split(separator: "\"").map(String.init).first { $0.hasSuffix("=") || $0.count > 8 } ?? ""
    }
}
