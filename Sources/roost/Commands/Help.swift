/// The discussion of a command's help: what there is to know, Hyper-V's cmdlet, and an example.
func help(_ text: String = "", cmdlet: String? = nil, example: String) -> String {
    var parts: [String] = []
    if !text.isEmpty { parts.append(text) }
    if let cmdlet { parts.append("Hyper-V: \(cmdlet)") }
    let lines = example.split(separator: "\n").map { "  \($0)" }.joined(separator: "\n")
    parts.append("Example:\n\(lines)")
    return parts.joined(separator: "\n\n")
}
