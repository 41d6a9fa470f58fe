import ConfigStore
import RoostAPI

/// What is wrong with a file, what it can be made from, and what was done; as `roost file repair --output json` has it.
struct RepairReport: Encodable {
    /// Something that the file can be made from.
    struct Source: Encodable {
        /// `copy`, `file` or `salvage`.
        var kind: String
        var generation: UInt64?
        var keys: Int?
        /// Keys that can be read, but not where they belonged; they are not taken.
        var orphans: Int?
        /// Whether changes may be lost that the file had when it was whole.
        var mayLoseChanges: Bool
        /// Why roostd could not use the machine with these keys; left out when it could, and for a file of another kind.
        var problem: String?
    }

    var path: String
    var secondCopy: String?
    var isSound: Bool
    var problems: [String]
    var copyProblems: [String]
    /// What the file can be made from, the best first.
    var sources: [Source]
    /// Which of the sources is taken, from 0; left out when there is none that may be.
    var chosen: Int?
    /// The machine's configurations of earlier versions, as they were before an upgrade.
    var sealed: [String] = []
    var isRepaired = false
    /// Where the damaged file stays.
    var keptAs: String?
    /// Where the second copy stays as it was, when it was damaged or another state of it is given up.
    var copyKeptAs: String?

    private enum CodingKeys: CodingKey {
        case path, secondCopy, isSound, problems, copyProblems, sources, chosen, sealed, isRepaired, keptAs, copyKeptAs
    }

    private let plan: FileRepair

    /// - Parameter sealed: what is sealed beside a machine's configuration.
    init(_ plan: FileRepair, copy: String?, sealed: [String] = [], keepFile: Bool, salvage: Bool) {
        self.plan = plan
        path = plan.path
        secondCopy = copy
        isSound = plan.isSound
        problems = plan.problems
        copyProblems = plan.copyProblems
        sources = plan.sources.map { source in
            let loses = plan.mayLoseChanges(source)
            let problem = plan.configurationProblem(source)
            return switch source {
            case .file(let generation):
                Source(kind: "file", generation: generation, mayLoseChanges: loses, problem: problem)
            case .copy(let generation):
                Source(kind: "copy", generation: generation, mayLoseChanges: loses, problem: problem)
            case .salvage(let keys, let orphans):
                Source(
                    kind: "salvage",
                    keys: keys,
                    orphans: orphans,
                    mayLoseChanges: loses,
                    problem: problem
                )
            }
        }
        guard !isSound else { return }
        self.sealed = sealed
        chosen = plan.sources.indices.first { index in
            switch plan.sources[index] {
            // What makes no machine is not made anew.
            case .file: !salvage && sources[index].problem == nil
            case .copy: !salvage && !keepFile && sources[index].problem == nil
            case .salvage: salvage
            }
        }
    }

    /// The source to take.
    ///
    /// - Throws: `APIError` `.corrupt` when there is none, or only what the user has to ask for.
    func requiredSource() throws(APIError) -> FileRepair.Source {
        if let chosen { return plan.sources[chosen] }
        let reasons = (problems + copyProblems).joined(separator: "; ")
        let earlier = sealed.isEmpty ? "" : ", or what an upgrade has sealed: " + sealed.joined(separator: ", ")
        if sources.isEmpty {
            throw APIError(
                .corrupt,
                "\(path) was not touched, as nothing can be saved: put a backup in its place\(earlier)",
                cause: reasons
            )
        }
        if sources.count == 1, let only = sources.first, only.kind == "salvage" {
            if let problem = only.problem {
                throw APIError(
                    .corrupt,
                    "\(path) was not touched, as the keys that can be read make no machine (\(problem)): look with roost file "
                        + "show --salvage, and put a backup in its place\(earlier)",
                    cause: reasons
                )
            }
            throw APIError(
                .corrupt,
                "\(path) was not touched, as keys would be lost: look with roost file show --salvage, and give --salvage",
                cause: reasons
            )
        }
        throw APIError(
            .corrupt,
            "\(path) was not touched, as it cannot be made from what was asked for",
            cause: reasons
        )
    }

    /// What people read.
    var text: String {
        var lines: [String] = []
        if isSound {
            lines.append("\(path): sound; nothing to do")
        } else {
            lines.append("\(path):" + (problems.isEmpty ? " its second copy says something else" : ""))
            lines += problems.map { "  \($0)" }
            if let secondCopy, !copyProblems.isEmpty {
                lines.append("\(secondCopy):")
                lines += copyProblems.map { "  \($0)" }
            }
            if sources.isEmpty {
                let isText = path.hasSuffix(".xml")
                lines.append(
                    "Nothing can be saved" + (isText ? " by itself; in an editor, as text, it may be put right." : ".")
                )
            }
            for (index, source) in sources.enumerated() {
                lines.append("\(index == chosen ? "->" : "  ") \(Self.sentence(source))")
                if let problem = source.problem {
                    let lost = source.kind == "salvage" ? "keys that a machine needs are lost, and " : ""
                    lines.append("     \(lost)it would stay broken: \(problem)")
                }
            }
            if !isRepaired, !sealed.isEmpty, !sources.contains(where: { $0.kind != "salvage" }) {
                lines.append("The machine before its upgrade is sealed (docs/operating/recovery.md):")
                lines += sealed.map { "  \($0)" }
            }
        }
        if isRepaired { lines.append("\(path) was made anew" + (keptAs.map { "; the damaged one is \($0)" } ?? "")) }
        if let copyKeptAs { lines.append("its second copy was made anew; as it was, it is \(copyKeptAs)") }
        return lines.map { printable($0) + "\n" }.joined()
    }

    private static func sentence(_ source: Source) -> String {
        let loss = source.mayLoseChanges ? "; changes may be lost" : ""
        switch source.kind {
        case "copy": return "from the second copy, generation \(source.generation ?? 0)\(loss)"
        case "file": return "from the file as it is, generation \(source.generation ?? 0) (--keep-file)\(loss)"
        default:
            let orphans = source.orphans.map { $0 > 0 ? ", without \($0) more whose place is lost" : "" } ?? ""
            return "from the \(source.keys ?? 0) keys that can still be read\(orphans) (--salvage)\(loss)"
        }
    }
}
