import ArgumentParser

extension Roost {
    /// What the parser does not say of a command line that it has refused; nil when it has said it all.
    static func usageHint(_ arguments: [String]) -> String? { unknownCommand(arguments) ?? negativeValue(arguments) }

    /// The commands there are, when a word names none of them.
    private static func unknownCommand(_ arguments: [String]) -> String? {
        var path = "roost"
        var command: any ParsableCommand.Type = Roost.self
        var words = arguments[...]
        while let word = words.popFirst() {
            if word.hasPrefix("-") {
                // Of the options that may stand before a command, these have a value.
                if ["--run-dir", "--output", "-o"].contains(word) { words = words.dropFirst() }
                continue
            }
            let subcommands = command.configuration.subcommands
            guard !subcommands.isEmpty else { return nil }
            if let next = subcommands.first(where: { $0._commandName == word }) {
                path += " \(word)"
                command = next
                continue
            }
            let known = subcommands.map { $0._commandName }
            let near = known.filter { distance($0, word) <= max(1, $0.count / 3) }
                .min { distance($0, word) < distance($1, word) }
            return "There is no command '\(path) \(word)'" + (near.map { ": did you mean '\(path) \($0)'?" } ?? ".")
                + " The commands are: \(known.joined(separator: ", "))."
        }
        return nil
    }

    /// How a value that begins with a hyphen is written, when one stands where an option's value belongs.
    private static func negativeValue(_ arguments: [String]) -> String? {
        for (option, value) in zip(arguments, arguments.dropFirst()) where option.hasPrefix("--") {
            guard value.hasPrefix("-"), value.dropFirst().first?.isNumber == true else { continue }
            return "A value that begins with '-' is written as \(option)=\(value)."
                + " Sizes, counts and times cannot be negative."
        }
        return nil
    }

    /// How many letters have to be put in, left out or replaced to make one word of another (Levenshtein).
    private static func distance(_ one: String, _ other: String) -> Int {
        let other = Array(other)
        var row = Array(0...other.count)
        for (index, letter) in one.enumerated() {
            var previous = row[0]
            row[0] = index + 1
            for column in other.indices {
                let replaced = previous + (letter == other[column] ? 0 : 1)
                previous = row[column + 1]
                row[column + 1] = min(replaced, previous + 1, row[column] + 1)
            }
        }
        return row[other.count]
    }
}
